# SPDX-License-Identifier: Apache-2.0
"""Formats of which little has to be said: VDI, ISO 9660 and UDF, QED, LUKS, and disks with a partition table."""

from __future__ import annotations

from collections.abc import Iterator

from cumulet.kernel.diskimage.base import SECTOR, Bytes, Danger, Found

VDI, ISO, QED, LUKS, GPT = "vdi", "iso", "qed", "luks", "gpt"

_VDI_SIGN = b"\x7f\x10\xda\xbe"
_VDI_TYPES = (1, 2)  # that grows, that does not; others stand on a parent
_ISO_VOLUME = 0x8000
_ISO_SIGNS = (b"CD001", b"NSR02", b"NSR03")
_ISO_PRIMARY = 1
_LUKS_SIGN = b"LUKS\xba\xbe"
_PROTECTIVE = 0xEE  # the type of the one partition that keeps old tools from a GPT


def matches_vdi(data: Bytes) -> bool:
    return data.starts(_VDI_SIGN, 0x40)


def look_at_vdi(data: Bytes) -> Found:
    """Size and dangers; raises CutOff."""
    size, kind = data.number("<Q", 0x170), data.number("<I", 0x4C)
    link, parent = data.fields("16s16s", 0x1A8)
    if kind not in _VDI_TYPES or any(link) or any(parent):
        return Found(VDI, size, (Danger("backing_file", "it stands on another image"),))
    return Found(VDI, size)


def matches_iso(data: Bytes) -> bool:
    return data.up_to(_ISO_VOLUME + 1, 5) in _ISO_SIGNS


def look_at_iso(data: Bytes) -> Found:
    """Its size, where there is a primary volume descriptor of ISO 9660; raises CutOff."""
    if data.number("B", _ISO_VOLUME) != _ISO_PRIMARY or not data.starts(b"CD001", _ISO_VOLUME + 1):
        return Found(ISO)
    return Found(ISO, data.number("<I", _ISO_VOLUME + 80) * data.number("<H", _ISO_VOLUME + 128))


def matches_qed(data: Bytes) -> bool:
    return data.starts(b"QED\0")


def look_at_qed(data: Bytes) -> Found:
    return Found(QED, None, (Danger("banned", "the format is abandoned"),))


def matches_luks(data: Bytes) -> bool:
    return data.starts(_LUKS_SIGN)


def look_at_luks(data: Bytes) -> Found:
    """Size and dangers; raises CutOff. Only version 1 says in its first sector where the data begin."""
    version = data.number(">H", 6)
    if version != 1:
        return Found(LUKS, None, (Danger("version", f"version {version} is not taken"),))
    return Found(LUKS, max(0, data.size - data.number(">I", 104) * SECTOR))


def matches_gpt(data: Bytes) -> bool:
    """Whether the first sector is a master boot record, that of a GPT or an old one, and not that of a FAT."""
    head = data.up_to(0, SECTOR)
    is_fat = len(head) == SECTOR and head[0x10] == 2 and head[0x15] == 0xF8
    return head[510:] == b"\x55\xaa" and not is_fat


def look_at_gpt(data: Bytes) -> Found:
    """Size and dangers, by the UEFI specification's chapter on the protective MBR."""
    return Found(GPT, data.size, tuple(_partition_dangers(data)))


def _partition_dangers(data: Bytes) -> Iterator[Danger]:
    used, protected = [], False
    for number in range(4):
        boot, *start, kind, _h, _s, _c, first, _sectors = data.fields("<B3BB3BII", 446 + 16 * number)
        if boot not in (0, 0x80):
            yield Danger("mbr", f"partition {number} has a boot flag that does not exist")
        if kind:
            used.append(number)
        if kind == _PROTECTIVE:
            protected = True
            if start != [0, 2, 0] or first != 1:
                yield Danger("mbr", "the partition that protects a GPT is not where it belongs")
    if protected and used != [0]:
        yield Danger("mbr", "there are partitions beside the one that protects a GPT")
    if not used:
        yield Danger("mbr", "there are no partitions")
