# SPDX-License-Identifier: Apache-2.0
"""Which files the disks of a host stand on, read from the disks themselves."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

_HEADER = struct.Struct(">4sIQI")  # magic, version, offset and length of the backing file's name
_MAGIC = b"QFI\xfb"
_LONGEST = 1023  # bytes of a backing file's name; specification of qcow2


def named_by(folder: Path) -> set[Path]:
    """The backing files of all qcow2 disks below `folder`."""
    return {backing for path in _files(folder) if (backing := _backing(path)) is not None}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _backing(path: Path) -> Path | None:
    try:
        with path.open("rb") as source:
            head = source.read(_HEADER.size)
            if len(head) < _HEADER.size:
                return None
            magic, _version, offset, length = _HEADER.unpack(head)
            if magic != _MAGIC or not offset or length > _LONGEST:
                return None
            source.seek(offset)
            return Path(source.read(length).decode(errors="surrogateescape"))
    except OSError:
        return None  # it went while we looked
