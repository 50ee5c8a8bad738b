# SPDX-License-Identifier: Apache-2.0
"""Static large objects as they are kept: the manifest names what was found when it was put.

It is JSON, a list of entries as Swift keeps them: of an object `name`, `bytes`, `hash`, `content_type`,
`last_modified`, where only a part is meant `range`, and `sub_slo` of one that is such an object itself; else `data`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson

from cumulet.services.object_store.logic.manifests import Inline, Segment

MANIFEST = "x-static-large-object"
ETAG, SIZE = "x-object-sysmeta-slo-etag", "x-object-sysmeta-slo-size"
DEEPEST = 10

Entry = dict[str, Any]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An object that shall be a segment; `modified` is a second since 1970, `large` whether it is one itself."""

    size: int
    etag: str
    content_type: str
    modified: int
    large: bool


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes from `first` up to `last` of the object `name` ("/container/object") of `size` bytes; or `data`."""

    name: str = ""
    etag: str = ""
    size: int = 0
    first: int = 0
    last: int = 0
    nested: bool = False
    data: bytes | None = None

    @property
    def length(self) -> int:
        return self.last - self.first


def checked(segment: Segment, found: Found, *, last: bool) -> tuple[Entry, int, list[str]]:
    """The entry, how many bytes it stands for, and what is wrong with it."""
    wrong = []
    span = segment.span(found.size)
    if span is None:
        wrong.append("Unsatisfiable Range")
        span = (0, found.size)
    length = span[1] - span[0]
    if length < 1 and not last:
        wrong.append("Too small; each segment must be at least 1 byte.")
    if segment.size is not None and segment.size != found.size:
        wrong.append("Size Mismatch")
    if segment.etag is not None and segment.etag != found.etag:
        wrong.append("Etag Mismatch")
    entry: Entry = {
        "name": f"/{segment.container}/{segment.name}",
        "bytes": found.size,
        "hash": found.etag,
        "content_type": found.content_type.partition(";")[0],
        "last_modified": datetime.fromtimestamp(found.modified, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f"),
    }
    if span != (0, found.size):
        entry["range"] = f"{span[0]}-{span[1] - 1}"
    if found.large:
        entry["sub_slo"] = True
    return entry, length, wrong


def inline(data: Inline) -> Entry:
    return {"data": base64.b64encode(data.data).decode()}


def written(entries: Sequence[Entry]) -> bytes:
    return orjson.dumps(entries)


def etag(entries: Iterable[Entry]) -> str:
    """Of the object that the manifest stands for: the MD5 of those of its segments."""
    sum_ = hashlib.md5(usedforsecurity=False)
    for entry in entries:
        if "data" in entry:
            part = hashlib.md5(base64.b64decode(entry["data"]), usedforsecurity=False).hexdigest()
        elif "range" in entry:
            part = f"{entry['hash']}:{entry['range']};"
        else:
            part = entry["hash"]
        sum_.update(part.encode())
    return sum_.hexdigest()


def pieces(manifest: bytes) -> list[Piece]:
    """ValueError for what is no manifest."""
    try:
        return [_piece(entry) for entry in read(manifest)]
    except (KeyError, TypeError) as error:
        raise ValueError(f"an entry of a manifest lacks {error}") from error


def read(manifest: bytes) -> list[Entry]:
    """ValueError for what is no manifest."""
    found = orjson.loads(manifest)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError("a manifest is a list of objects")
    return found


def raw(manifest: bytes) -> bytes:
    """As a client may put it again."""
    return orjson.dumps([_said(entry) for entry in read(manifest)], option=orjson.OPT_SORT_KEYS)


def _said(entry: Entry) -> Entry:
    if "data" in entry:
        return entry
    said = {"path": entry["name"], "size_bytes": entry["bytes"], "etag": entry["hash"]}
    return said | ({"range": entry["range"]} if "range" in entry else {})


def _piece(entry: Entry) -> Piece:
    if "data" in entry:
        data = base64.b64decode(entry["data"])
        return Piece(data=data, size=len(data), last=len(data))
    size = int(entry["bytes"])
    first, last = 0, size
    if "range" in entry:
        low, _, high = entry["range"].partition("-")
        first, last = int(low), int(high) + 1
    return Piece(
        name=entry["name"],
        etag=entry["hash"],
        size=size,
        first=first,
        last=last,
        nested=bool(entry.get("sub_slo")),
    )
