# SPDX-License-Identifier: Apache-2.0
"""VHD and VHDX without parents, as Microsoft lays them out (Virtual Hard Disk Image Format 1.0, MS-VHDX)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from cumulet.kernel.diskimage.base import SECTOR, Bytes, Danger, Found

VHD, VHDX = "vhd", "vhdx"

_VHD_SIGN = b"conectix"
_VHD_TYPE, _VHD_SIZE = 60, 48
_FIXED, _DYNAMIC = 2, 3

_VHDX_SIGN = b"vhdxfile"
_REGIONS = 192 << 10
_METADATA = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
_DISK_SIZE = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8").bytes_le
_FILE_PARAMETERS = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le
_MOST_ENTRIES = 2047
_HAS_PARENT = 1 << 1
_ITEMS_LIMIT = 1 << 20  # bytes of a metadata region, as the specification has it


def matches_vhd(data: Bytes) -> bool:
    """Whether this is a VHD that grows; a fixed one looks like a plain disk, but for its end."""
    return data.starts(_VHD_SIGN)


def is_fixed_vhd(data: Bytes) -> bool:
    """Whether this is a plain disk with the footer of a VHD."""
    footer = data.size - SECTOR
    if footer < SECTOR or not data.starts(_VHD_SIGN, footer):
        return False
    return data.number(">Q", footer + _VHD_SIZE) == footer and data.number(">I", footer + _VHD_TYPE) == _FIXED


def look_at_vhd(data: Bytes) -> Found:
    """Size and dangers; raises CutOff."""
    start = 0 if matches_vhd(data) else data.size - SECTOR
    size, kind = data.number(">Q", start + _VHD_SIZE), data.number(">I", start + _VHD_TYPE)
    if kind in (_FIXED, _DYNAMIC):
        return Found(VHD, size)
    return Found(VHD, size, (Danger("backing_file", "it stands on another image"),))


def matches_vhdx(data: Bytes) -> bool:
    return data.starts(_VHDX_SIGN)


def look_at_vhdx(data: Bytes) -> Found:
    """Size and dangers; raises CutOff."""
    region = dict(_entries(data, _REGIONS, b"regi", ("<I", 8), 16, "<16sQ")).get(_METADATA)
    if region is None:
        return Found(VHDX, None, (Danger("header", "it does not tell what it holds"),))
    items = dict(_entries(data, region, b"metadata", ("<H", 10), 32, "<16sI"))
    if _DISK_SIZE not in items or _FILE_PARAMETERS not in items or max(items.values()) > _ITEMS_LIMIT:
        return Found(VHDX, None, (Danger("header", "it does not tell what it holds"),))
    size = data.number("<Q", region + items[_DISK_SIZE])
    _block, flags = data.fields("<II", region + items[_FILE_PARAMETERS])
    if flags & _HAS_PARENT:
        return Found(VHDX, size, (Danger("backing_file", "it stands on another image"),))
    return Found(VHDX, size)


def _entries(
    data: Bytes, table: int, sign: bytes, counted: tuple[str, int], first: int, layout: str
) -> Iterator[tuple[bytes, int]]:
    """The kinds and offsets in a table of regions or of metadata: entries of 32 bytes after the table's head."""
    if not data.starts(sign, table):
        return
    count = data.number(counted[0], table + counted[1])
    for number in range(min(count, _MOST_ENTRIES)):
        kind, offset = data.fields(layout, table + first + 32 * number)
        yield kind, offset
