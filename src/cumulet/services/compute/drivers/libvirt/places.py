# SPDX-License-Identifier: Apache-2.0
"""Which of a domain's disks is which volume: kept in the server's folder, for a disk can get another volume below it.

A volume's disk is the one whose alias and file are both those that were written down: whatever was interrupted, what
libvirt says of the domain decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from cumulet.services.compute.drivers.libvirt import disks, plugged
from cumulet.services.compute.drivers.libvirt.words import Element

FILE = "volumes.json"


class Place(msgspec.Struct, frozen=True):
    """Where a volume is, or is about to be; `size` is that which it is to have, in bytes, where that matters."""

    volume_id: str
    alias: str
    path: str
    size: int = 0


def begin(folder: Path, places: Iterable[Place]) -> None:
    """The places of a server that is about to be started."""
    draft = folder / f"{FILE}.new"
    draft.write_bytes(msgspec.json.encode(list(places)))
    draft.rename(folder / FILE)


def add(folder: Path, description: Element, place: Place) -> None:
    """Write down one more; those that are not true any more are forgotten."""
    live = plugged.files(description)
    begin(folder, [*(each for each in _read(folder) if live.get(each.alias) == each.path), place])


def find(folder: Path, description: Element, volume_id: str) -> str | None:
    """The alias of the volume's disk, None where the server does not have it."""
    live = plugged.files(description)
    for place in _read(folder):
        if place.volume_id == volume_id and live.get(place.alias) == place.path:
            return place.alias
    return None


def size_of(folder: Path, volume_id: str) -> int:
    """The size in bytes that was written down of a volume, 0 where there is none."""
    return max((place.size for place in _read(folder) if place.volume_id == volume_id), default=0)


def free_alias(description: Element, volume_id: str) -> str:
    """One for a volume that is plugged in: its own, unless that disk holds another volume by now."""
    live = plugged.files(description)
    alias, number = disks.volume_alias(volume_id), 1
    while alias in live:
        number += 1
        alias = f"{disks.volume_alias(volume_id)}-{number}"
    return alias


def _read(folder: Path) -> list[Place]:
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=list[Place])
    except FileNotFoundError:
        return []
