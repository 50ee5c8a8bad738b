# SPDX-License-Identifier: Apache-2.0
"""Listings of a bucket in S3's three forms: what is asked for, and the documents."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from cumulet.services.object_store.s3 import documents, times
from cumulet.services.object_store.s3.documents import element, leaf
from cumulet.services.object_store.s3.errors import S3Error, argument
from cumulet.services.object_store.s3.grants import person
from cumulet.services.object_store.types import stamps

TRUE = frozenset(("true", "1", "yes", "on", "t", "y"))
LARGEST = 2**31 - 1
MARKER_TYPE = "application/x-deleted;swift_versions_deleted=1"  # the media type of a deleted object's last version
STANDARD = "STANDARD"

Form = Literal["one", "two", "versions"]
Item = Mapping[str, Any]  # an entry of Swift's listing in JSON


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a listing is asked for. `most` is what the client wants, `limit` what it gets. `marker` is where it goes on,
    `start`, `token` and `version` as they were sent."""

    form: Form
    most: int
    limit: int
    prefix: str | None = None
    delimiter: str | None = None
    marker: str | None = None
    start: str | None = None
    token: str | None = None
    version: str | None = None
    owners: bool = True
    encoded: bool = False

    def query(self) -> dict[str, str]:
        """For Swift's listing of the container: one entry more, which tells whether there is more."""
        found = {"format": "json", "limit": str(self.limit + 1)}
        if self.form == "versions":
            found["versions"] = "true"
        words = {"prefix": self.prefix, "delimiter": self.delimiter, "marker": self.marker}
        if self.marker is not None:
            words["version_marker"] = self.version
        return found | {name: value for name, value in words.items() if value is not None}


def number(query: Mapping[str, str], name: str, default: int, most: int = LARGEST) -> int:
    """A parameter that is a number, `most` for a larger one; InvalidArgument for none."""
    said = query.get(name)
    if said is None:
        return default
    try:
        found = int(said)
    except ValueError:
        found = LARGEST + 1
    if found < 0:
        raise argument(name, said, f"Argument {name} must be an integer between 0 and {LARGEST}")
    if found > LARGEST:
        raise argument(name, said, f"Provided {name} not an integer or within integer range")
    return min(found, most)


def word(query: Mapping[str, str], name: str) -> str | None:
    """A parameter's text; InvalidArgument where that is not UTF-8."""
    said = query.get(name)
    if said is None:
        return None
    try:
        found = said.encode("latin-1").decode()
    except UnicodeError:
        found = "\0"
    if "\0" in found:
        raise argument(name, quote(said.encode("latin-1")))
    return found


def encoding(query: Mapping[str, str]) -> bool:
    """Whether names are wanted with percent signs."""
    said = query.get("encoding-type")
    if said not in (None, "url"):
        raise argument("encoding-type", said, "Invalid Encoding Method specified in Request")
    return said == "url"


def asked(query: Mapping[str, str], most: int) -> Wanted:
    wanted = number(query, "max-keys", most)
    encoded = encoding(query)
    common = {"prefix": word(query, "prefix"), "delimiter": word(query, "delimiter"), "encoded": encoded}
    limits = {"most": wanted, "limit": min(wanted, most)}
    if "versions" in query:
        return Wanted(form="versions", **limits, **common, **_versions(query))  # type: ignore[arg-type]
    try:
        kind = int(query.get("list-type", "1"))
    except ValueError:
        raise argument("list-type", query["list-type"], "Argument list-type must be an integer") from None
    if kind != 2:
        return Wanted(form="one", **limits, **common, marker=word(query, "marker"))  # type: ignore[arg-type]
    start, token = word(query, "start-after"), query.get("continuation-token")
    marker = start if token is None else _token(token)
    owners = query.get("fetch-owner", "").lower() in TRUE
    return Wanted(form="two", **limits, **common, marker=marker, start=start, token=token, owners=owners)  # type: ignore[arg-type]


def _versions(query: Mapping[str, str]) -> dict[str, str | None]:
    marker, version = word(query, "key-marker"), word(query, "version-id-marker")
    if version is not None:
        if marker is None:
            words = "A version-id marker cannot be specified without a key marker."
            raise argument("version-id-marker", version, words)
        if version != "null" and not is_version(version):
            raise argument("version-id-marker", version, "Invalid version id specified")
    return {"marker": marker, "version": version}


def is_version(said: str) -> bool:
    try:
        stamps.parse(said)
    except ValueError:
        return False
    return True


def _token(said: str) -> str:
    try:
        return base64.b64decode(said.encode("latin-1"), validate=True).decode()
    except (binascii.Error, ValueError):
        words = "The continuation token provided is incorrect"
        raise argument("continuation-token", quote(said.encode("latin-1")), words) from None


def view(bucket: str, wanted: Wanted, items: Sequence[Item], owner: str) -> bytes:
    """The document; `items` are what the query of `wanted` has found."""
    more = 0 < wanted.limit < len(items)
    items = items[: wanted.limit]
    last = items[-1] if more else None
    head = {"one": _head_one, "two": _head_two, "versions": _head_versions}[wanted.form]
    parts = [leaf("Name", bucket), leaf("Prefix", _name(wanted.prefix, wanted)), *head(wanted, last, len(items))]
    if wanted.delimiter or (wanted.delimiter is not None and wanted.form == "versions"):
        parts.append(leaf("Delimiter", _name(wanted.delimiter, wanted)))
    if wanted.encoded:
        parts.append(leaf("EncodingType", "url"))
    parts.append(leaf("IsTruncated", "true" if more else "false"))
    parts += [_entry(each, wanted, owner) for each in items]
    root = "ListVersionsResult" if wanted.form == "versions" else "ListBucketResult"
    return documents.document(root, parts)


def _head_one(wanted: Wanted, last: Item | None, count: int) -> list[str]:
    parts = [leaf("Marker", _name(wanted.marker, wanted))]
    if last is not None and wanted.delimiter is not None:
        parts.append(leaf("NextMarker", _name(_last(last), wanted)))
    return [*parts, leaf("MaxKeys", wanted.most)]


def _head_two(wanted: Wanted, last: Item | None, count: int) -> list[str]:
    parts = []
    if last is not None:
        parts.append(leaf("NextContinuationToken", base64.b64encode(_last(last).encode()).decode()))
    if wanted.token is not None:
        parts.append(leaf("ContinuationToken", wanted.token))
    if wanted.start is not None:
        parts.append(leaf("StartAfter", _name(wanted.start, wanted)))
    return [*parts, leaf("KeyCount", count), leaf("MaxKeys", wanted.most)]


def _head_versions(wanted: Wanted, last: Item | None, count: int) -> list[str]:
    parts = [leaf("KeyMarker", _name(wanted.marker, wanted)), leaf("VersionIdMarker", wanted.version)]
    if last is not None:
        parts.append(leaf("NextKeyMarker", _name(_last(last), wanted)))
        parts.append(leaf("NextVersionIdMarker", last.get("version_id") or "null"))
    return [*parts, leaf("MaxKeys", wanted.most)]


def _last(item: Item) -> str:
    return str(item["name"] if "name" in item else item["subdir"])


def _name(words: str | None, wanted: Wanted) -> str | None:
    return quote(words) if words and wanted.encoded else words


def _entry(item: Item, wanted: Wanted, owner: str) -> str:
    if "subdir" in item:
        return element("CommonPrefixes", leaf("Prefix", _name(item["subdir"], wanted)))
    tag, parts = "Contents", [leaf("Key", _name(item["name"], wanted))]
    if wanted.form == "versions":
        tag = "DeleteMarker" if item["content_type"] == MARKER_TYPE else "Version"
        parts.append(leaf("VersionId", item.get("version_id") or "null"))
        parts.append(leaf("IsLatest", "true" if item.get("is_latest", True) else "false"))
    parts.append(leaf("LastModified", times.of_listing(item["last_modified"])))
    if tag != "DeleteMarker":
        parts += [leaf("ETag", etag(item)), leaf("Size", item["bytes"])]
    if wanted.owners:
        parts.append(person("Owner", owner))
    if tag != "DeleteMarker":
        parts.append(leaf("StorageClass", STANDARD))
    return element(tag, *parts)


def etag(item: Item) -> str:
    """As S3 tells it: that of a large object has the number of its parts behind it, or `N` where that is not known."""
    found, *parameters = str(item["hash"]).split(";")
    for each in parameters:
        name, _, value = each.strip().partition("=")
        if name == "s3_etag":
            return f'"{value}"'
    if "s3_etag" in item:
        return str(item["s3_etag"])
    if "slo_etag" in item:
        return f'"{str(item["slo_etag"]).strip(chr(34))}-N"'
    return found if len(found) > 1 and found[0] == found[-1] == '"' else f'"{found}"'


def part_number(
    query: Mapping[str, str], most: int, count: int | None = None, *, ranged: bool = False, bounded: bool = True
) -> int | None:
    """The parameter; where it is `bounded` neither above `most` nor above the object's parts (`count`)."""
    said = query.get("partNumber")
    if said is None:
        return None
    if ranged:
        raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
    largest = max(most, count or 0)
    try:
        found = int(said)
    except ValueError:
        found = 0
    if found < 1 or (bounded and found > largest):
        raise argument("partNumber", said, f"Part number must be an integer between 1 and {largest}, inclusive")
    if bounded and count is not None and found > count:
        raise S3Error("InvalidPartNumber")
    return found
