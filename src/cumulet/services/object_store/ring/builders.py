# SPDX-License-Identifier: Apache-2.0
"""Files of builders, which are numpy's `npz` without pickles; and the way from a builder to its ring and back."""

from __future__ import annotations

import io
import zlib
from array import array
from pathlib import Path
from zipfile import BadZipFile

import msgspec
import numpy as np

from cumulet.kernel.errors import Invalid
from cumulet.services.object_store.ring.builder import Builder
from cumulet.services.object_store.ring.devices import Device
from cumulet.services.object_store.ring.files import replace
from cumulet.services.object_store.ring.layout import NONE
from cumulet.services.object_store.ring.ring import RingFile


class _Builder(msgspec.Struct, kw_only=True):
    part_power: int
    replicas: float
    min_part_hours: int
    overload: float
    version: int
    devices: list[Device]
    leaving: list[Device]


def read(path: Path) -> Builder:
    """Raises Invalid for what is none, FileNotFoundError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            said = msgspec.json.decode(file["builder"].tobytes(), type=_Builder)
            table, moved_at = file["table"], file["moved_at"]
    except (ValueError, KeyError, OSError, EOFError, zlib.error, BadZipFile, msgspec.DecodeError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise Invalid(f"{path} is no builder: {error}") from error
    builder = Builder(said.part_power, said.replicas, said.min_part_hours)
    if table.ndim != 2 or table.shape[1] != builder.parts or moved_at.shape != (builder.parts,):
        raise Invalid(f"{path} is no builder: its tables have other sizes than it says.")
    builder.set_overload(said.overload)
    builder.devices = {device.id: device for device in said.devices}
    builder.leaving = {device.id: device for device in said.leaving}
    if not set(np.unique(table).tolist()) <= {NONE, *builder.devices, *builder.leaving}:
        raise Invalid(f"{path} is no builder: its table names devices that it does not have.")
    builder.table, builder.moved_at = table.astype(np.int32), moved_at.astype(np.float64)
    builder.version = said.version
    return builder


def write(path: Path, builder: Builder) -> None:
    said = _Builder(
        part_power=builder.part_power,
        replicas=builder.replicas,
        min_part_hours=builder.min_part_hours,
        overload=builder.overload,
        version=builder.version,
        devices=list(builder.devices.values()),
        leaving=list(builder.leaving.values()),
    )
    packed = io.BytesIO()
    words = np.frombuffer(msgspec.json.encode(said), np.uint8)
    np.savez_compressed(packed, builder=words, table=builder.table, moved_at=builder.moved_at)
    replace(path, packed.getvalue())


def finished(builder: Builder) -> RingFile:
    """The ring that a builder has made. Invalid before the first rebalance."""
    if not builder.table.size:
        raise Invalid("The ring has no partitions on devices: it is to be rebalanced first.")
    known = {**builder.leaving, **builder.devices}
    rows = [array("I", row[row != NONE].astype(np.uint32).tobytes()) for row in builder.table]
    return RingFile(
        part_power=builder.part_power,
        devices=[known.get(each) for each in range(max(known) + 1)],
        rows=rows,
        version=builder.version,
    )


def begun(ring: RingFile, min_part_hours: int) -> Builder:
    """A builder that goes on from a ring."""
    parts = 1 << ring.part_power
    builder = Builder(ring.part_power, sum(map(len, ring.rows)) / parts, min_part_hours)
    builder.devices = {device.id: device for device in ring.devices if device is not None}
    builder.table = np.full((len(ring.rows), parts), NONE, np.int32)
    for number, row in enumerate(ring.rows):
        builder.table[number, : len(row)] = np.frombuffer(row, np.uint32)
    builder.version = ring.version or 0
    return builder
