# SPDX-License-Identifier: Apache-2.0
"""What uploaded bytes really are, read from their headers: format, the size that a guest sees, what makes it unsafe.

An image may name other files (a backing file, extents); whoever opened it would be shown the host's own. Such images
are refused before anything opens them. Layouts: the formats' public specifications.
"""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Callable, Iterator

import msgspec

from cumulet.kernel.errors import Invalid

BAD_DATA = "BadImageData"

Reader = Callable[[int, int], bytes]  # offset and length in bytes to at most that many bytes

# What can be told from the bytes; of other formats (ami, aki, ari, ploop) only that they are none of these.
KNOWN = frozenset({"raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi", "iso", "qed", "luks"})

SECTOR = 512
LARGEST = (1 << 63) - 1  # bytes: what a database keeps, and more than any disk
_HEAD = 0x200  # bytes that hold every magic but the ISO's
_ISO_VOLUME = 0x8000
_QCOW2_SAFE_FEATURES = 0b11011  # dirty, corrupt, compression type, extended L2: all but the external data file
_VMDK_TYPES = frozenset({"monolithicSparse", "streamOptimized"})
_VMDK_DESCRIPTOR_LIMIT = 1 << 20
_VMDK_EXTENT = re.compile(r"^\s*(?:RW|RDONLY|NOACCESS)\s+\d+\s+(\w+)(?:\s+\"([^\"]*)\")?", re.MULTILINE)
_VHDX_REGIONS = 192 * 1024
_VHDX_METADATA = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
_VHDX_DISK_SIZE = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8").bytes_le
_VHDX_ENTRIES_LIMIT = 2047


class Found(msgspec.Struct, frozen=True):
    """What the bytes are. `virtual_size` is in bytes, None where the header does not tell; `dangers` are sentences."""

    format: str
    virtual_size: int | None = None
    dangers: tuple[str, ...] = ()


def inspect(read: Reader, size: int) -> Found:
    """What `size` bytes are; `raw` where no format is recognized.

    Raises Invalid where the bytes pass for several formats at once, which only a forger has a use for.
    """
    head = read(0, _HEAD)
    found = [look(read, head) for magic, look in _LOOKS if head[magic[0] : magic[0] + len(magic[1])] == magic[1]]
    if read(_ISO_VOLUME + 1, 5) == b"CD001":
        found.append(_iso(read, head))
    if len(found) > 1:
        formats = ", ".join(sorted(each.format for each in found))
        raise Invalid(f"Multiple formats detected: {formats}", code=BAD_DATA)
    return found[0] if found else Found("raw", size)


def check(read: Reader, size: int, disk_format: str, container_format: str) -> int | None:
    """The virtual size of an image that may be used as `disk_format`, None where that is not known.

    Raises Invalid for bytes of another format than declared and for those that are unsafe. Only bare images are looked
    into: what a container holds is not opened here.
    """
    if container_format != "bare":
        return None
    found = inspect(read, size)
    if disk_format == "raw":
        # Whatever it looks like, it is used as a plain sequence of sectors.
        return size
    if found.format == disk_format:
        if found.dangers or (found.virtual_size or 0) > LARGEST:
            raise Invalid("Image failed safety checks", code=BAD_DATA, dangers=list(found.dangers))
        return found.virtual_size
    if found.format == "raw" and disk_format not in KNOWN:
        return None
    raise Invalid(f"Image disk_format {disk_format} does not match stream data {found.format}", code=BAD_DATA)


def _qcow2(read: Reader, head: bytes) -> Found:
    if len(head) < 104:
        return Found("qcow2", None, ("the header is cut off",))
    version, backing, _length, _bits, size = struct.unpack_from(">IQIIQ", head, 4)
    incompatible = struct.unpack_from(">Q", head, 72)[0] if version >= 3 else 0
    dangers = []
    if version not in (2, 3):
        dangers.append(f"version {version} is unknown")
    if backing:
        dangers.append("it names a backing file")
    if incompatible & ~_QCOW2_SAFE_FEATURES:
        dangers.append("it keeps its data in another file or in a way that is unknown")
    return Found("qcow2", size, tuple(dangers))


def _qed(read: Reader, head: bytes) -> Found:
    return Found("qed", None, ("the format is abandoned",))


def _luks(read: Reader, head: bytes) -> Found:
    return Found("luks")


def _vhd(read: Reader, head: bytes) -> Found:
    return Found("vhd", struct.unpack_from(">Q", head, 48)[0] if len(head) >= 56 else None)


def _vdi(read: Reader, head: bytes) -> Found:
    return Found("vdi", struct.unpack_from("<Q", head, 0x170)[0] if len(head) >= 0x178 else None)


def _iso(read: Reader, head: bytes) -> Found:
    volume = read(_ISO_VOLUME, 132)
    if len(volume) < 132:
        return Found("iso")
    blocks, length = struct.unpack_from("<I", volume, 80)[0], struct.unpack_from("<H", volume, 128)[0]
    return Found("iso", blocks * length)


def _vmdk(read: Reader, head: bytes) -> Found:
    if len(head) < 44:
        return Found("vmdk", None, ("the header is cut off",))
    capacity, _grain, first, sectors = struct.unpack_from("<QQQQ", head, 12)
    if not first or sectors * SECTOR > _VMDK_DESCRIPTOR_LIMIT:
        return Found("vmdk", capacity * SECTOR, ("it has no descriptor that can be read",))
    text = read(first * SECTOR, sectors * SECTOR).split(b"\0")[0].decode(errors="replace")
    return Found("vmdk", capacity * SECTOR, tuple(_vmdk_dangers(text)))


def _vmdk_text(read: Reader, head: bytes) -> Found:
    return Found("vmdk", None, ("its data are in other files",))


def _vmdk_dangers(descriptor: str) -> Iterator[str]:
    kind = re.search(r'^\s*createType\s*=\s*"([^"]*)"', descriptor, re.MULTILINE)
    if kind is None or kind[1] not in _VMDK_TYPES:
        yield f"the type {kind[1] if kind else 'none'} is not taken"
    extents = _VMDK_EXTENT.findall(descriptor)
    if len(extents) != 1 or extents[0][0] != "SPARSE" or "/" in extents[0][1] or "\\" in extents[0][1]:
        yield "its data are not in this file alone"


def _vhdx(read: Reader, head: bytes) -> Found:
    for guid, offset in _vhdx_entries(read, _VHDX_REGIONS, b"regi", 16, "<16sQII"):
        if guid == _VHDX_METADATA:
            for item, start in _vhdx_entries(read, offset, b"metadata", 32, "<16sIIII"):
                if item == _VHDX_DISK_SIZE:
                    value = read(offset + start, 8)
                    return Found("vhdx", struct.unpack("<Q", value)[0] if len(value) == 8 else None)
    return Found("vhdx")


def _vhdx_entries(read: Reader, table: int, sign: bytes, first: int, layout: str) -> Iterator[tuple[bytes, int]]:
    """The entries' kinds and offsets of a region table or a metadata table."""
    head = read(table, first)
    if len(head) < first or not head.startswith(sign):
        return
    count = struct.unpack_from("<I", head, 8)[0] if sign == b"regi" else struct.unpack_from("<H", head, 10)[0]
    entries = read(table + first, min(count, _VHDX_ENTRIES_LIMIT) * struct.calcsize(layout))
    for entry in struct.iter_unpack(layout, entries[: len(entries) // 32 * 32]):
        yield entry[0], entry[1]


_LOOKS: tuple[tuple[tuple[int, bytes], Callable[[Reader, bytes], Found]], ...] = (
    ((0, b"QFI\xfb"), _qcow2),
    ((0, b"QED\0"), _qed),
    ((0, b"LUKS\xba\xbe"), _luks),
    ((0, b"conectix"), _vhd),
    ((0, b"vhdxfile"), _vhdx),
    ((0, b"KDMV"), _vmdk),
    ((0, b"# Disk DescriptorFile"), _vmdk_text),
    ((0x40, b"\x7f\x10\xda\xbe"), _vdi),
)
