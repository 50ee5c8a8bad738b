# SPDX-License-Identifier: Apache-2.0
"""Uploads in parts: how they are kept, and what completes them.

As in Swift's s3api an upload is an empty object `KEY/UPLOAD` in the bucket's container of uploads, its parts are
objects `KEY/UPLOAD/NUMBER` there, and what is complete is a static large object of them.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import md5
from typing import Any
from urllib.parse import quote

import msgspec
import orjson

from cumulet.kernel import ids
from cumulet.services.object_store.logic import ranges
from cumulet.services.object_store.logic.conditions import bare
from cumulet.services.object_store.s3 import documents, listings, times
from cumulet.services.object_store.s3.documents import element, leaf
from cumulet.services.object_store.s3.errors import S3Error, argument
from cumulet.services.object_store.s3.grants import person
from cumulet.services.object_store.s3.naming import UPLOADS

LARGEST = 2048 * 1024  # bytes of the document that completes an upload
MOST_UPLOADS = 1000

_PART = re.compile(r".*/[0-9]+", re.ASCII | re.DOTALL)
_MD5 = re.compile(r"[0-9a-f]{32}", re.ASCII)
_SUMS = tuple(f"Checksum{each}" for each in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"))


def new_id() -> str:
    return base64.urlsafe_b64encode(ids.new_uuid().encode()).decode()


def container(bucket: str) -> str:
    return bucket + UPLOADS


class Part(msgspec.Struct, frozen=True):
    number: int
    etag: str


def parse(data: bytes, upload: str) -> list[Part]:
    """The parts that an upload is completed of, in their order."""
    if not data:
        raise S3Error("InvalidRequest", "You must specify at least one part")
    root = documents.parse(data, "CompleteMultipartUpload")
    root.only("Part")
    found: list[Part] = []
    for each in root:
        each.only("PartNumber", "ETag", *_SUMS)
        try:
            number = int(each.word("PartNumber"))
        except ValueError:
            raise S3Error("MalformedXML") from None
        if (found and number <= found[-1].number) or number <= 0:
            raise S3Error("InvalidPartOrder", UploadId=upload)
        etag = bare(each.word("ETag").strip())
        if not _MD5.fullmatch(etag):
            raise S3Error("InvalidPart", UploadId=upload, PartNumber=number, ETag=etag)
        found.append(Part(number, etag))
    if not found:
        raise S3Error("MalformedXML")
    return found


def etag(parts: Iterable[Part]) -> str:
    """Of the whole: the MD5 of the parts' MD5s, and their number."""
    sums = [bytes.fromhex(each.etag) for each in parts]
    return f"{md5(b''.join(sums), usedforsecurity=False).hexdigest()}-{len(sums)}"


def manifest(bucket: str, key: str, upload: str, parts: Iterable[Part]) -> bytes:
    """Of the static large object."""
    prefix = f"/{container(bucket)}/{key}/{upload}"
    return orjson.dumps([{"path": f"{prefix}/{each.number}", "etag": each.etag} for each in parts])


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which uploads are asked for."""

    most: int
    key: str = ""
    upload: str = ""
    prefix: str | None = None
    delimiter: str | None = None
    encoded: bool = False


def asked(query: Mapping[str, str]) -> Wanted:
    encoded = listings.encoding(query)
    return Wanted(
        key=listings.word(query, "key-marker") or "",
        upload=listings.word(query, "upload-id-marker") or "",
        prefix=listings.word(query, "prefix"),
        delimiter=listings.word(query, "delimiter"),
        most=listings.number(query, "max-uploads", MOST_UPLOADS, MOST_UPLOADS),
        encoded=encoded,
    )


class Uploads:
    """The first uploads and common prefixes behind the markers, told from the names of the container.

    These come in another order than keys do, so all of them are looked at and no more are kept than are wanted.
    """

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self._found: dict[tuple[str, str], str | None] = {}  # key and upload: when it began; None for a prefix

    def add(self, item: Mapping[str, Any]) -> None:
        name = item["name"]
        if _PART.fullmatch(name) or "/" not in name:
            return
        key, _, upload = name.rpartition("/")
        wanted, prefix = self.wanted, self._prefix(key)
        if prefix is not None:
            if key > wanted.key and prefix != wanted.key:
                self._found[prefix, ""] = None
        elif key > wanted.key or (key == wanted.key and wanted.upload and upload > wanted.upload):
            self._found[key, upload] = item["last_modified"]
        if len(self._found) > 2 * wanted.most + 2:
            self._found = {each: self._found[each] for each in sorted(self._found)[: wanted.most + 1]}

    def _prefix(self, key: str) -> str | None:
        delimiter, start = self.wanted.delimiter, len(self.wanted.prefix or "")
        end = key.find(delimiter, start) if delimiter else -1
        return None if end < 0 or not delimiter else key[: end + len(delimiter)]

    def view(self, bucket: str, owner: str) -> bytes:
        wanted = self.wanted
        found = sorted(self._found)[: wanted.most]
        more = 0 < len(found) < len(self._found)
        key, upload = found[-1] if more or len(found) > 1 else ("", "")
        parts = [leaf("Bucket", bucket), leaf("KeyMarker", self._name(wanted.key))]
        parts += [leaf("UploadIdMarker", wanted.upload), leaf("NextKeyMarker", self._name(key))]
        parts.append(leaf("NextUploadIdMarker", upload))
        if wanted.delimiter is not None:
            parts.append(leaf("Delimiter", self._name(wanted.delimiter)))
        if wanted.prefix is not None:
            parts.append(leaf("Prefix", self._name(wanted.prefix)))
        parts.append(leaf("MaxUploads", wanted.most))
        if wanted.encoded:
            parts.append(leaf("EncodingType", "url"))
        parts.append(leaf("IsTruncated", "true" if more else "false"))
        began = {each: self._found[each] for each in found}
        parts += [self._upload(*each, when, owner) for each, when in began.items() if when is not None]
        prefixes = [key for (key, _), when in began.items() if when is None]
        parts += [element("CommonPrefixes", leaf("Prefix", self._name(each))) for each in prefixes]
        return documents.document("ListMultipartUploadsResult", parts)

    def _upload(self, key: str, upload: str, began: str, owner: str) -> str:
        return element(
            "Upload",
            leaf("Key", self._name(key)),
            leaf("UploadId", upload),
            person("Initiator", owner),
            person("Owner", owner),
            leaf("StorageClass", listings.STANDARD),
            leaf("Initiated", times.of_listing(began)),
        )

    def _name(self, words: str) -> str:
        return quote(words) if self.wanted.encoded else words


def parts_view(
    names: tuple[str, str, str], owner: str, query: Mapping[str, str], items: Sequence[Mapping[str, Any]], most: int
) -> bytes:
    """The parts of an upload (bucket, key and id), of all objects that lie below it."""
    bucket, key, upload = names
    encoded = listings.encoding(query)
    limit = listings.number(query, "max-parts", min(1000, most), most)
    after = listings.number(query, "part-number-marker", 0)
    tails = ((item["name"].rpartition("/")[2], item) for item in items)
    numbered = sorted(
        ((int(tail), item) for tail, item in tails if tail.isascii() and tail.isdigit()), key=lambda each: each[0]
    )
    behind = [each for each in numbered if each[0] > after]
    found = behind[:limit]
    parts = [leaf("Bucket", bucket), leaf("Key", quote(key) if encoded else key), leaf("UploadId", upload)]
    parts += [person("Initiator", owner), person("Owner", owner), leaf("StorageClass", listings.STANDARD)]
    parts.append(leaf("PartNumberMarker", after))
    parts.append(leaf("NextPartNumberMarker", found[-1][0] if found else 0))
    parts.append(leaf("MaxParts", limit))
    if encoded:
        parts.append(leaf("EncodingType", "url"))
    parts.append(leaf("IsTruncated", "true" if len(behind) > len(found) else "false"))
    parts += [
        element(
            "Part",
            leaf("PartNumber", number),
            leaf("LastModified", times.of_listing(item["last_modified"])),
            leaf("ETag", listings.etag(item)),
            leaf("Size", item["bytes"]),
        )
        for number, item in found
    ]
    return documents.document("ListPartsResult", parts)


def checked_range(said: str, size: int) -> str:
    """The range of a source that a part is copied of; InvalidArgument for one that is none of `size` bytes."""
    found = ranges.parse(said)
    if len(found) != 1:
        words = (
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy"
        )
        raise argument("x-amz-source-range", said, words)
    if not ranges.of_length(found, size):
        raise argument("x-amz-source-range", said, f"Range specified is not valid for source object of size: {size}")
    return said
