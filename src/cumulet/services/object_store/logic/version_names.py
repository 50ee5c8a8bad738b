# SPDX-License-Identifier: Apache-2.0
"""What versions of objects are called, in a container of the store's own beside theirs.

The newest comes first in a listing: behind the object's name stands the time that is left until the end of all stamps.
A version's id is the time at which it was made.
"""

from __future__ import annotations

import re

from cumulet.services.object_store.types import stamps

MARK = "\0"
CONTAINER = f"{MARK}versions{MARK}"
NONE = "null"  # the id of an object that was made while there were no versions
MARKER = "application/x-deleted;swift_versions_deleted=1"  # the media type of what tells that an object was deleted

_LAST = 10**15 - 1  # units of a stamp
_OFFSETS = 1 << 64
_LEFT = re.compile(r"(\d{10})\.(\d{5})(?:_([0-9a-f]{16}))?", re.ASCII)


def container(name: str) -> str:
    """Where the versions of a container's objects lie. ValueError for a name that is the store's own."""
    _check(name)
    return CONTAINER + name


def prefix(name: str) -> str:
    """What the names of an object's versions begin with."""
    _check(name)
    return f"{MARK}{name}{MARK}"


def of(name: str, stamp: int) -> str:
    """The name of the version that was made then."""
    units, offset = stamp // (stamps.MAX_OFFSET + 1), stamp & stamps.MAX_OFFSET
    left = _LAST - units - bool(offset)
    behind = f"_{_OFFSETS - offset:016x}" if offset else ""
    return f"{prefix(name)}{left // stamps.UNITS:010d}.{left % stamps.UNITS:05d}{behind}"


def parse(name: str) -> tuple[str, str] | None:
    """The object and the id of a version with this name; None for what is none."""
    mark, _, rest = name.partition(MARK)
    whose, _, left = rest.partition(MARK)
    found = _LEFT.fullmatch(left)
    if mark or found is None:
        return None
    offset = _OFFSETS - int(found[3], 16) if found[3] else 0
    units = _LAST - int(found[1] + found[2]) - bool(offset)
    if units < 0 or offset > stamps.MAX_OFFSET:
        return None
    return whose, stamps.internal(units * (stamps.MAX_OFFSET + 1) + offset)


def stamp(identity: str) -> int:
    """When the version with this id was made; ValueError for what is no id."""
    return stamps.parse(identity)


def _check(name: str) -> None:
    if MARK in name:
        raise ValueError("names of the store's own have no versions")
