# SPDX-License-Identifier: Apache-2.0
"""Files of rings, in Swift's formats 1 and 2 (swift/common/ring/io.py).

Format 1 has device ids of two bytes and is read by every Swift; format 2 has a checksum of each section and ids of up
to four bytes. Either is written whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import sys
import zlib
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from cumulet.kernel import faults
from cumulet.kernel.errors import Invalid
from cumulet.services.object_store.ring.devices import Device
from cumulet.services.object_store.ring.ring import RingFile

Format = Literal[1, 2]

MOST_OF_FIRST = (1 << 16) - 1  # devices in format 1: of the ids of two bytes the highest says that there is none

_MAGIC = b"R1NG"
_CODES = {1: "B", 2: "H", 4: "I"}  # of arrays, by the bytes of an id
_LARGEST = 1 << 32  # bytes that a ring's file is unpacked to: that of 2**32 partitions would have more, and no machine
_METADATA, _DEVICES, _ASSIGNMENTS = "swift/ring/metadata", "swift/ring/devices", "swift/ring/assignments"


def read(path: Path) -> RingFile:
    """Raises Invalid for what is no ring, FileNotFoundError."""
    return parse(path.read_bytes(), path)


def parse(content: bytes, path: Path) -> RingFile:
    """The ring that the file at `path` has as its content. Raises Invalid for what is none."""
    try:
        raw = _unpacked(content)
        magic, version = struct.unpack_from("!4sH", raw)
        if magic != _MAGIC or version not in (1, 2):
            raise Invalid(f"{path} is no ring of format 1 or 2.")
        return _read_first(raw) if version == 1 else _read_second(raw)
    except (zlib.error, struct.error, LookupError, AttributeError, TypeError, ValueError) as error:
        raise Invalid(f"{path} is no ring: {error}") from error


def write(path: Path, ring: RingFile, version: Format = 1) -> None:
    """Invalid where the format cannot say so much."""
    if version == 1 and len(ring.devices) > MOST_OF_FIRST:
        raise Invalid(f"Rings of format 1 have device ids below {MOST_OF_FIRST}.")
    replace(path, _first(ring) if version == 1 else _second(ring))


def replace(path: Path, content: bytes) -> None:
    """Write the file whole or not at all."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    faults.point("ring_file.written")
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _unpacked(packed: bytes) -> bytes:
    unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
    raw = unpacking.decompress(packed, _LARGEST)
    if not unpacking.eof:
        raise ValueError("it is cut short, or too large")
    return raw


def _read_first(raw: bytes) -> RingFile:
    (length,) = struct.unpack_from("!I", raw, 6)
    said = json.loads(raw[10 : 10 + length])
    rows = _rows(raw[10 + length :], 2, said, said.get("byteorder", sys.byteorder))
    if len(rows) != said["replica_count"]:
        raise ValueError("it has another number of replicas than it says")
    return _file(said, said["devs"], rows)


def _read_second(raw: bytes) -> RingFile:
    (index_at,) = struct.unpack_from("!Q", raw, len(raw) - 16)
    index = json.loads(_blob(raw, index_at))
    parts = {name: _section(raw, index[name]) for name in (_METADATA, _DEVICES, _ASSIGNMENTS)}
    said = json.loads(parts[_METADATA])
    rows = _rows(parts[_ASSIGNMENTS], said["dev_id_bytes"], said, "big")
    return _file(said, json.loads(parts[_DEVICES]), rows)


def _blob(raw: bytes, at: int) -> bytes:
    (length,) = struct.unpack_from("!Q", raw, at)
    if at + 8 + length > len(raw):
        raise ValueError("it is cut short")
    return raw[at + 8 : at + 8 + length]


def _section(raw: bytes, entry: list[Any]) -> bytes:
    """`entry`: where it begins, compressed and not, where it ends, and the name and value of its checksum."""
    _, start, _, end, method, value = entry
    if method not in ("md5", "sha1", "sha256", "sha512"):
        raise ValueError(f"its checksums are of an unknown kind, {method}")
    if hashlib.new(method, raw[start:end], usedforsecurity=False).hexdigest() != value:
        raise ValueError("a checksum does not fit")
    return _blob(raw, start)


def _rows(raw: bytes, width: int, said: Mapping[str, Any], order: str) -> list[array[int]]:
    parts = 1 << _power(said)
    ids = array(_CODES[width], raw)
    if order != sys.byteorder:
        ids.byteswap()
    return [array("I", ids[at : at + parts]) for at in range(0, len(ids), parts)]


def _bytes(ring: RingFile, width: int, order: str) -> bytes:
    """The table, row by row, with ids of so many bytes."""
    raw = bytearray()
    for row in ring.rows:
        ids = array(_CODES[width], row)
        if order != sys.byteorder:
            ids.byteswap()
        raw += ids.tobytes()
    return bytes(raw)


class _Packed:
    """A gzip stream that can be read from each of its `marks` on."""

    def __init__(self) -> None:
        # Without a time or a name, so that equal rings are equal files.
        self.packed = bytearray(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff")
        self.size = 0
        self._checksum = 0
        self._packing = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)

    def add(self, raw: bytes) -> None:
        self.packed += self._packing.compress(raw)
        self._checksum = zlib.crc32(raw, self._checksum)
        self.size += len(raw)

    def mark(self, level: int | None = None) -> int:
        """The place from which what follows can be read alone; from here on packed by the `level`."""
        self.packed += self._packing.flush(zlib.Z_FULL_FLUSH)
        if level is not None:
            self._packing = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
        return len(self.packed)

    def end(self) -> bytes:
        self.packed += self._packing.flush(zlib.Z_FINISH)
        return bytes(self.packed + struct.pack("<LL", self._checksum, self.size & 0xFFFFFFFF))


def _first(ring: RingFile) -> bytes:
    said = _said(ring) | {
        "devs": _listed(ring), "replica_count": len(ring.rows), "byteorder": "little",
    }  # fmt: skip
    words = json.dumps(said, sort_keys=True).encode()
    packed = _Packed()
    packed.add(struct.pack("!4sHI", _MAGIC, 1, len(words)) + words)
    packed.add(_bytes(ring, 2, "little"))
    return packed.end()


def _second(ring: RingFile) -> bytes:
    width = 2 if len(ring.devices) <= MOST_OF_FIRST else 4
    count = sum(map(len, ring.rows)) / (1 << ring.part_power)
    said = _said(ring) | {"dev_id_bytes": width, "replica_count": count}
    packed = _Packed()
    packed.mark(0)
    packed.add(struct.pack("!4sH", _MAGIC, 2))
    packed.mark(9)
    index: dict[str, list[Any]] = {}
    for name, content in (
        (_METADATA, json.dumps(said, sort_keys=True).encode()),
        (_DEVICES, json.dumps(_listed(ring), sort_keys=True).encode()),
        (_ASSIGNMENTS, _bytes(ring, width, "big")),
    ):
        blob = struct.pack("!Q", len(content)) + content
        start, at = packed.mark(), packed.size
        packed.add(blob)
        index[name] = [start, at, packed.mark(), packed.size, "sha256", hashlib.sha256(blob).hexdigest()]
    words = json.dumps(index).encode()
    start, at = packed.mark(), packed.size
    packed.add(struct.pack("!Q", len(words)) + words)
    packed.mark(0)
    for place in (at, start):
        packed.add(struct.pack("!Q", place))
        packed.mark()
    return packed.end()


def _said(ring: RingFile) -> dict[str, Any]:
    said = {"part_shift": 32 - ring.part_power, "version": ring.version, "next_part_power": ring.next_part_power}
    return {name: value for name, value in said.items() if value is not None}


def _listed(ring: RingFile) -> list[dict[str, Any] | None]:
    """Devices as Swift's readers want them, with addresses for replication."""
    return [
        None
        if each is None
        else msgspec.to_builtins(each)
        | {"replication_ip": each.replication_ip or each.ip, "replication_port": each.replication_port or each.port}
        for each in ring.devices
    ]


def _file(said: Mapping[str, Any], listed: list[dict[str, Any] | None], rows: list[array[int]]) -> RingFile:
    devices = [None if each is None else _device(each) for each in listed]
    if any(each is not None and each.id != place for place, each in enumerate(devices)):
        raise ValueError("a device is not at the place of its id")
    for row in rows:
        if any(each >= len(devices) or devices[each] is None for each in set(row)):
            raise ValueError("it names devices that it does not have")
    if not rows or len(rows[0]) < 1 << _power(said):
        raise ValueError("it has partitions without a replica")
    return RingFile(
        part_power=_power(said),
        devices=devices,
        rows=rows,
        version=said.get("version"),
        next_part_power=said.get("next_part_power"),
    )


def _power(said: Mapping[str, Any]) -> int:
    power: int = 32 - said["part_shift"]
    if not 0 <= power <= 32:
        raise ValueError("its number of partitions is impossible")
    return power


def _device(said: Mapping[str, Any]) -> Device:
    """Rings of old have no zones of regions and no addresses for replication."""
    known = {name: said[name] for name in Device.__struct_fields__ if said.get(name) is not None}
    return msgspec.convert(known, Device, strict=False)
