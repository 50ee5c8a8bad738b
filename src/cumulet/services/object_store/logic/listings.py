# SPDX-License-Identifier: Apache-2.0
"""What a request for a listing asks for, and the listing in the form that it wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape, quoteattr

import msgspec
import orjson

from cumulet.kernel.errors import Invalid, Precondition
from cumulet.services.object_store.logic import media, version_names
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import Listed, ListedContainer, Listing

TRUE = ("true", "1", "yes", "on", "t", "y")
SUBDIR = -1  # the policy of an entry of an account's listing that is no container

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_FIELDS = ("name", "hash", "bytes", "content_type", "last_modified")
_PARAMETERS = ("marker", "end_marker", "prefix", "delimiter", "path", "reverse", "limit", "format")


def asked(query: Mapping[str, str], most: int) -> Listing:
    """What the query asks for, which comes as it is on the wire; `most` entries are given at once.

    Invalid for what is not UTF-8, Precondition for a limit that is too high. One that is no number is overlooked.
    """
    found = {name: text(query, name) for name in _PARAMETERS}
    limit = found["limit"]
    number = most
    if limit and limit.isascii() and limit.isdigit():
        number = int(limit) if len(limit) < len(str(most)) + 1 else most + 1
        if number > most:
            raise Precondition(f"Maximum limit is {most}")
    return Listing(
        limit=number,
        marker=found["marker"] or "",
        end_marker=found["end_marker"] or "",
        prefix=found["prefix"] or "",
        delimiter=found["delimiter"] or "",
        path=found["path"],
        reverse=(found["reverse"] or "").lower() in TRUE,
    )


def with_reserved(listing: Listing) -> Listing:
    """The same, with names that the store made for itself."""
    return msgspec.structs.replace(listing, reserved=True)


def text(query: Mapping[str, str], name: str) -> str | None:
    """The value of a parameter; Invalid where it is not UTF-8."""
    value = query.get(name)
    if value is None:
        return None
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        raise Invalid(f'"{name}" parameter not valid UTF-8') from None


def of_container(form: str, container: str, entries: Iterable[Listed], account: str = "/v1/") -> bytes:
    """The body; nothing where there is nothing to be said in plain text. `account` is the path of the container's."""
    if form == media.PLAIN:
        return _plain(entry[0] for entry in entries)
    if form == media.JSON:
        return orjson.dumps([described(entry, account, container) for entry in entries])
    parts = (
        _subdir(entry[0]) if entry[3] is None else _element("object", _in_xml(described(entry, account, container)))
        for entry in entries
    )
    return _document("container", container, "", parts)


def of_account(form: str, account: str, entries: Iterable[ListedContainer], policies: Mapping[int, str]) -> bytes:
    """The same; `policies` are the names of storage policies."""
    if form == media.PLAIN:
        return _plain(entry[0] for entry in entries)
    if form == media.JSON:
        return orjson.dumps([_container(entry, policies) for entry in entries])
    parts = (
        f"<subdir name={quoteattr(entry[0])} />\n"
        if entry[4] == SUBDIR
        else _element("container", _container(entry, policies)) + "\n"
        for entry in entries
    )
    return _document("account", account, "\n", parts)


def iso(stamp: int) -> str:
    """As listings tell times: UTC, with microseconds and without a zone."""
    return datetime.fromtimestamp(stamps.seconds(stamp), UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def described(entry: Listed, account: str, container: str) -> dict[str, Any]:
    """An object as JSON tells it. What manifests and links have more of stands behind their ETag."""
    name, stamp, size, kind, etag = entry
    if kind is None:
        return {"subdir": name}
    found = {"name": name, "hash": etag, "bytes": size, "content_type": kind, "last_modified": iso(stamp)}
    if ";" in etag:
        _tell_more(found, account, container)
    return found


def version_of(entry: Listed, container: str) -> tuple[str, str] | None:
    """The object and the id of the version that a link of the container stands for; None for what is no such link."""
    _, found, rest = entry[4].partition("symlink_target=")
    home, _, name = unquote(rest.partition(";")[0]).partition("/")
    if not found or "symlink_target_etag=" not in rest or home != version_names.CONTAINER + container:
        return None
    return version_names.parse(name)


def _tell_more(found: dict[str, Any], account: str, container: str) -> None:
    etag, *words = found["hash"].split(";")
    said = {key.strip(): value.strip().strip('"') for key, _, value in (word.partition("=") for word in words)}
    target, whose = said.pop("symlink_target", None), said.pop("symlink_target_account", None)
    if (slo := said.pop("slo_etag", None)) is not None:
        found["slo_etag"] = f'"{slo}"'
    if target is not None:
        place = account if whose is None else f"{account.rsplit('/', 1)[0]}/{whose}"
        found["symlink_path"] = f"{place}/{target}"
        if "symlink_target_etag" in said:
            found["symlink_etag"] = said.pop("symlink_target_etag")
            found["symlink_bytes"] = int(said.pop("symlink_target_bytes", "0"))
            etag = _as_version(found, target, place, container) or etag
    found["hash"] = "; ".join([etag, *(f"{key}={value}" for key, value in said.items())])


def _as_version(found: dict[str, Any], target: str, account: str, container: str) -> str | None:
    """Tell of a link to an object's version what is to be told of the object; its ETag."""
    home, _, name = unquote(target).partition("/")
    version = version_names.parse(name)
    if home != version_names.CONTAINER + container or version is None:
        return None
    found["bytes"] = found.pop("symlink_bytes")
    found["version_symlink"] = True
    found["symlink_path"] = f"{account}/{quote(f'{container}/{version[0]}')}?version-id={version[1]}"
    return str(found.pop("symlink_etag"))


def _in_xml(found: Mapping[str, Any]) -> dict[str, Any]:
    return {field: found[field] for field in _FIELDS}


def _container(entry: ListedContainer, policies: Mapping[int, str]) -> dict[str, Any]:
    name, objects, size, put, policy = entry
    if policy == SUBDIR:
        return {"subdir": name}
    found: dict[str, Any] = {"name": name, "count": objects, "bytes": size, "last_modified": iso(put)}
    if policy in policies:
        found["storage_policy"] = policies[policy]
    return found


def _plain(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def _subdir(name: str) -> str:
    return f"<subdir name={quoteattr(name)}><name>{escape(name)}</name></subdir>"


def _element(tag: str, fields: Mapping[str, Any]) -> str:
    inside = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in fields.items())
    return f"<{tag}>{inside}</{tag}>"


def _document(tag: str, name: str, first: str, parts: Iterable[str]) -> bytes:
    return f"{_HEAD}<{tag} name={quoteattr(name)}>{first}{''.join(parts)}</{tag}>".encode()
