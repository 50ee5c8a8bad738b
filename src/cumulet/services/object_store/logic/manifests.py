# SPDX-License-Identifier: Apache-2.0
"""What a static large object is made of, as its client says it: other objects, parts of them, and bytes in between."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import msgspec

from cumulet.kernel.errors import Invalid
from cumulet.services.object_store.logic import ranges
from cumulet.services.object_store.logic.ranges import Asked, Span

_KEYS = {"data": {"data"}, "path": {"path", "etag", "size_bytes", "range"}}
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """Another object of the account, as `path` names it. `size` and `etag` are what it has to have, None for any."""

    path: str
    container: str
    name: str
    size: int | None = None
    etag: str | None = None
    part: Asked | None = None

    def span(self, size: int) -> Span | None:
        """Which of its `size` bytes are meant; None where there are none such."""
        if self.part is None:
            return 0, size
        return next(iter(ranges.of_length([self.part], size)), None)


class Inline(msgspec.Struct, frozen=True):
    """Bytes of the manifest's own."""

    data: bytes


class Refused(Exception):
    """What is wrong with one entry."""


def parse(body: bytes, container: str, name: str) -> list[Segment | Inline]:
    """The segments of the manifest that is to be `name`. Invalid, in Swift's words, tells all that is wrong."""
    try:
        entries = json.loads(body)
    except (ValueError, RecursionError):
        raise Invalid("Manifest must be valid JSON.\n") from None
    if not isinstance(entries, list):
        raise Invalid("Manifest must be a list.\n")
    found: list[Segment | Inline] = []
    wrong = []
    for index, entry in enumerate(entries):
        try:
            found.append(_parsed(entry, (container, name), last=index == len(entries) - 1))
        except Refused as why:
            wrong.append(f"Index {index}: {why}")
    if entries and all(isinstance(entry, dict) and "data" in entry for entry in entries):
        wrong.append("Inline data segments require at least one object-backed segment.")
    if wrong:
        raise Invalid("".join(f"{each}\n" for each in wrong))
    return found


def _parsed(entry: Any, itself: tuple[str, str], *, last: bool) -> Segment | Inline:
    if not isinstance(entry, dict):
        raise Refused("not a JSON object")
    kind = next((each for each in _KEYS if each in entry), None)
    if kind is None:
        raise Refused(f"expected keys to include one of {' or '.join(map(repr, _KEYS))}")
    if extra := sorted(entry.keys() - _KEYS[kind]):
        raise Refused(f"extraneous keys {', '.join(map(json.dumps, extra))}")
    return _segment(entry, itself, last=last) if kind == "path" else _inline(entry["data"])


def _segment(entry: dict[str, Any], itself: tuple[str, str], *, last: bool) -> Segment:
    path, etag = entry["path"], entry.get("etag")
    if not isinstance(path, str):
        raise Refused('"path" must be a string')
    if not path.isascii() and any("\ud800" <= each <= "\udfff" for each in path):
        raise Refused('"path" must be valid UTF-8')
    if not isinstance(etag, str | None):
        raise Refused('"etag" must be a string or null (if provided)')
    if "/" not in path.strip("/"):
        raise Refused("path does not refer to an object. Path must be of the form /container/object.")
    size = _size(entry.get("size_bytes"))
    if size is not None and size < 1 and not last:
        raise Refused("too small; each segment must be at least 1 byte.")
    container, _, name = path.lstrip("/").partition("/")
    if (container, name) == itself:
        raise Refused("manifest must not include itself as a segment")
    part = _part(entry.get("range"), size)
    return Segment(path=path, container=container, name=name, size=size, etag=etag, part=part)


def _size(said: Any) -> int | None:
    try:
        return None if said is None else int(said)
    except (TypeError, ValueError, OverflowError):
        raise Refused("invalid size_bytes") from None


def _part(said: Any, size: int | None) -> Asked | None:
    if not said:
        return None
    asked = ranges.parse(f"bytes={said}")
    if not asked:
        raise Refused("invalid range")
    if len(asked) > 1:
        raise Refused("multiple ranges (only one allowed)")
    if size is not None and len(ranges.of_length(asked, size)) != 1:
        raise Refused("unsatisfiable range")
    return asked[0]


def _inline(said: Any) -> Inline:
    # The decoder alone would overlook other characters.
    if not isinstance(said, str) or not _BASE64.issuperset(said.strip("=")):
        raise Refused("data must be valid base64")
    try:
        data = base64.b64decode(said)
    except binascii.Error:
        raise Refused("data must be valid base64") from None
    if not data:
        raise Refused("too small; each segment must be at least 1 byte.")
    return Inline(data)
