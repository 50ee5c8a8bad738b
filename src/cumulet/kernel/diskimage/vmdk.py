# SPDX-License-Identifier: Apache-2.0
"""VMDK, as VMware's Virtual Disk Format 5.0 lays it out: one sparse file with its descriptor inside, and no other.

A descriptor may name any file as an extent or as a parent. QEMU opens the extents of a descriptor that stands alone, or
within a header that claims no capacity, and every parent that a descriptor hints at.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from cumulet.kernel.diskimage.base import SECTOR, Bytes, Danger, Found

NAME = "vmdk"
# The types whose data are in the file itself.
ONE_FILE_TYPES = ("streamOptimized", "monolithicSparse")

_SPARSE = b"KDMV"
_OLD_SPARSE = b"COWD"
_HEADER = "<4sIIQQQQIQQQ"
_AT_END = (1 << 64) - 1
_DESCRIPTOR = SECTOR  # where every writer puts it, and where QEMU expects it
_READ_BY_QEMU = 20 * SECTOR  # of a descriptor, whatever size its header claims
_LONGEST_TEXT = (1 << 20) - 1
_FOOTER, _END_OF_STREAM = 3, 0
_TITLE = b"# disk descriptorfile"
_TYPE = re.compile(r'^\s*createtype\s*=\s*"([^"\n]*)"', re.MULTILINE)
_ANYWHERE = re.compile(rb'createtype\s*=\s*"', re.IGNORECASE)
_VERSION_LINE = re.compile(rb"(?:(?:#[^\n]*| *\r?)\n)*version=[123]\r?\n")
_EXTENT = re.compile(r'(?:rw|rdonly|noaccess)\s+\d+\s+(\w+)(?:\s+"([^"]*)")?(?:\s+\d+)?')
_FIELD = re.compile(r"[^\s=]+\s*=.*")


def matches(data: Bytes) -> bool:
    """Whether these are the bytes of a sparse VMDK, or a descriptor that QEMU would take for one."""
    if data.starts(_SPARSE) or data.starts(_OLD_SPARSE):
        return True
    head = data.up_to(0, SECTOR)
    if head.lower().startswith(_TITLE):
        return True
    if not _is_text(head):
        return False
    text = data.up_to(0, _LONGEST_TEXT)
    return bool(_VERSION_LINE.match(text) or _ANYWHERE.search(text.partition(b"\0")[0]))


def look(data: Bytes, allowed: Collection[str] = ONE_FILE_TYPES) -> Found:
    """Size and dangers of one whose createType must be among `allowed`; raises CutOff."""
    if not data.starts(_SPARSE):
        return Found(NAME, None, (Danger("descriptor", "its data are in other files"),))
    header = data.fields(_HEADER, 0)
    _sign, version, _flags, capacity, _grain, first, sectors, _entries, _redundant, directory, _overhead = header
    dangers = []
    if version not in (1, 2, 3):
        dangers.append(Danger("header", f"version {version} is not known"))
    if not capacity:
        dangers.append(Danger("header", "its size is in its descriptor"))
    if first * SECTOR != _DESCRIPTOR or not sectors:
        dangers.append(Danger("descriptor", "its descriptor is not where it belongs"))
    else:
        dangers += _descriptor(data, min(sectors * SECTOR, _LONGEST_TEXT), allowed)
    if directory == _AT_END:
        dangers += _footer(data)
    return Found(NAME, capacity * SECTOR, tuple(dangers))


def _descriptor(data: Bytes, length: int, allowed: Collection[str]) -> Iterator[Danger]:
    raw, end, _ = data.up_to(_DESCRIPTOR, max(length, _READ_BY_QEMU)).partition(b"\0")
    if not end or len(raw) >= length:
        yield Danger("descriptor", "its descriptor has no end")
        return
    try:
        text = raw.decode("ascii").lower()
    except UnicodeDecodeError:
        yield Danger("descriptor", "its descriptor is no text")
        return
    kinds = _TYPE.findall(text)
    if len(kinds) != 1 or kinds[0] not in {each.lower() for each in allowed}:
        yield Danger("descriptor", "its type is not taken")
    yield from _lines(text)


def _lines(text: str) -> Iterator[Danger]:
    """Each line must be one that is known; there is one extent, which is the file itself."""
    extents = []
    for line in (each.strip() for each in text.split("\n")):
        if not line or line.startswith(("#", "ddb.")):
            continue
        extent = _EXTENT.fullmatch(line)
        if extent is not None:
            extents.append((extent[1], extent[2] or ""))
        elif not _FIELD.fullmatch(line):
            yield Danger("descriptor", "its descriptor has a line that is not known")
    if "parentfilenamehint" in text or re.search(r"^\s*parentcid\s*=(?!\s*f{8}\s*$)", text, re.MULTILINE):
        yield Danger("backing_file", "it stands on another image")
    if len(extents) != 1 or extents[0][0] != "sparse" or re.search(r"[/\\:]", extents[0][1]):
        yield Danger("descriptor", "its data are not in this file alone")


def _footer(data: Bytes) -> Iterator[Danger]:
    """Readers believe the second header at the end more than the first one, so the two must agree."""
    start = data.size - 3 * SECTOR
    if start < SECTOR:
        yield Danger("footer", "its footer is missing")
        return
    first = data.fields(_HEADER, 0)
    second = data.fields(_HEADER, start + SECTOR)
    if first[:2] + first[3:7] != second[:2] + second[3:7]:
        yield Danger("footer", "its footer and its header disagree")
    if second[9] == _AT_END:
        yield Danger("footer", "its footer names another one")
    zeros = bytes(SECTOR - 16)
    _sectors, size, kind, rest = data.fields(f"<QII{len(zeros)}s", start)
    if size or kind != _FOOTER or rest != zeros:
        yield Danger("footer", "its footer is not marked as one")
    value, size, kind, rest = data.fields(f"<QII{len(zeros)}s", start + 2 * SECTOR)
    if value or size or kind != _END_OF_STREAM or rest != zeros:
        yield Danger("footer", "its stream has no end")


def _is_text(head: bytes) -> bool:
    text = head.rstrip(b"\0")
    return bool(text) and all(0x20 <= byte < 0x7F or 0x09 <= byte <= 0x0D for byte in text)
