# SPDX-License-Identifier: Apache-2.0
"""Which format bytes have: all known ones are tried, since a forger has a use for bytes that pass for several."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from cumulet.kernel.diskimage import microsoft, others, qcow2, vmdk
from cumulet.kernel.diskimage.base import BAD_DATA, LARGEST, Bytes, CutOff, Danger, Found, Reader
from cumulet.kernel.errors import Invalid

RAW = "raw"

_FORMATS: dict[str, tuple[Callable[[Bytes], bool], Callable[[Bytes], Found]]] = {
    qcow2.NAME: (qcow2.matches, qcow2.look),
    vmdk.NAME: (vmdk.matches, vmdk.look),
    microsoft.VHD: (microsoft.matches_vhd, microsoft.look_at_vhd),
    microsoft.VHDX: (microsoft.matches_vhdx, microsoft.look_at_vhdx),
    others.VDI: (others.matches_vdi, others.look_at_vdi),
    others.ISO: (others.matches_iso, others.look_at_iso),
    others.QED: (others.matches_qed, others.look_at_qed),
    others.LUKS: (others.matches_luks, others.look_at_luks),
    others.GPT: (others.matches_gpt, others.look_at_gpt),
}
# What can be told from the bytes; of other formats (ami, aki, ari, ploop) only that they are none of these.
FORMATS = frozenset({RAW, *_FORMATS})


def inspect(read: Reader, size: int, expected: str = "", vmdk_types: Collection[str] = vmdk.ONE_FILE_TYPES) -> Found:
    """What `size` bytes are; `raw` where no format is recognized, `gpt` where all there is is a partition table.

    `expected` is the format that they are said to have: some can be told only by who knows what to look for.
    Raises Invalid where the bytes pass for several formats at once.
    """
    found = candidates(read, size, expected, vmdk_types)
    if len(found) > 1:
        raise Invalid(_several(found), code=BAD_DATA)
    return found[0]


def candidates(
    read: Reader, size: int, expected: str = "", vmdk_types: Collection[str] = vmdk.ONE_FILE_TYPES
) -> list[Found]:
    """All formats that these bytes pass for, at least one. Raises Invalid where looking takes too much reading."""
    data = Bytes(read, size)
    names = [name for name, (matches, _) in _FORMATS.items() if matches(data)]
    if set(names) == {others.ISO, others.GPT}:
        names = [others.ISO]  # one that a machine can start from as from a disk
    if expected == microsoft.VHD and set(names) <= {others.GPT} and microsoft.is_fixed_vhd(data):
        names = [microsoft.VHD]
    if not names:
        return [Found(RAW, size)]
    return [_look(name, data, vmdk_types) for name in names]


def mismatch(found: Collection[Found], declared: str) -> str:
    """Why `candidates` do not fit the format that was declared, in Glance's words; empty where they do.

    What is declared raw is used as a plain sequence of sectors, whatever it looks like.
    """
    if len(found) > 1:
        return _several(found)
    actual = next(iter(found)).format
    if declared in (actual, RAW) or (declared not in FORMATS and actual in (RAW, others.GPT)):
        return ""
    return f"Image disk_format {declared} does not match stream data {actual}"


def of_file(path: Path) -> tuple[Reader, int]:
    """A reader of a file, and its size in bytes."""

    def read(offset: int, length: int) -> bytes:
        with path.open("rb") as source:
            return os.pread(source.fileno(), length, offset)

    return read, path.stat().st_size


def _several(found: Collection[Found]) -> str:
    return f"Multiple formats detected: {', '.join(sorted(each.format for each in found))}"


def _look(name: str, data: Bytes, vmdk_types: Collection[str]) -> Found:
    try:
        found = vmdk.look(data, vmdk_types) if name == vmdk.NAME else _FORMATS[name][1](data)
    except CutOff:
        return Found(name, None, (Danger("header", "its header is cut off"),))
    if found.virtual_size is not None and found.virtual_size > LARGEST:
        too_large = Danger("size", "it claims to be larger than any disk")
        return msgspec.structs.replace(found, virtual_size=None, dangers=(*found.dangers, too_large))
    return found
