# SPDX-License-Identifier: Apache-2.0
"""qcow2, as QEMU's specification `docs/interop/qcow2` lays it out: one file that names no other."""

from __future__ import annotations

from collections.abc import Iterator

from cumulet.kernel.diskimage.base import Bytes, Danger, Found

NAME = "qcow2"
SIGN = b"QFI\xfb"

_DATA_FILE = 1 << 2
_KNOWN_FEATURES = 0b11111  # dirty, corrupt, data file, compression type, extended L2
_CLUSTER_BITS = range(9, 22)
_ENCRYPTIONS = (0, 1, 2)  # none, AES, LUKS
_HEADER_2, _HEADER_3 = 72, 104  # bytes of the header by version; a longer one says so itself
_LONGEST_HEADER = 4096
_DATA_FILE_NAME = 0x44415441
_END = 0
_MOST_EXTENSIONS = 64
_EXTENSIONS_LIMIT = 64 << 10  # bytes


def matches(data: Bytes) -> bool:
    """Whether these are the bytes of a qcow2 (or of the qcow that came before it)."""
    return data.starts(SIGN)


def look(data: Bytes) -> Found:
    """Size and dangers; raises CutOff."""
    version, backing, _length, cluster_bits, size, encryption = data.fields(">IQIIQI", 4)
    dangers = []
    if version not in (2, 3):
        return Found(NAME, size, (Danger("unknown_features", f"version {version} is not taken"),))
    if backing:
        dangers.append(Danger("backing_file", "it names a backing file"))
    if cluster_bits not in _CLUSTER_BITS or encryption not in _ENCRYPTIONS:
        dangers.append(Danger("header", "its header cannot be true"))
    header = _HEADER_2
    if version == 3:
        dangers += _features(data.number(">Q", 72))
        header = data.number(">I", 100)
        if header < _HEADER_3 or header > _LONGEST_HEADER or header % 8:
            return Found(NAME, size, (*dangers, Danger("header", "its header cannot be true")))
    dangers += _extensions(data, header)
    return Found(NAME, size, tuple(dangers))


def _features(incompatible: int) -> Iterator[Danger]:
    if incompatible & _DATA_FILE:
        yield Danger("data_file", "its data are in another file")
    if incompatible & ~_KNOWN_FEATURES:
        yield Danger("unknown_features", "it has a feature that is not known")


def _extensions(data: Bytes, offset: int) -> Iterator[Danger]:
    """A data file may be named without the feature that says so: whoever sets the feature later would open it."""
    start = offset
    for _ in range(_MOST_EXTENSIONS):
        if offset + 8 > data.size:
            return
        kind, length = data.fields(">II", offset)
        if kind == _END:
            return
        offset += 8 + (length + 7) // 8 * 8
        if offset - start > _EXTENSIONS_LIMIT:
            break
        if kind == _DATA_FILE_NAME:
            yield Danger("data_file", "it names a data file")
    else:
        yield Danger("header", "its header has too many extensions")
        return
    yield Danger("header", "its header has an extension that is too long")
