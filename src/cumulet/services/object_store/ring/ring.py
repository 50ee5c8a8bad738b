# SPDX-License-Identifier: Apache-2.0
"""A finished ring: where the replicas of an account, a container or an object are, and where they go when that is down.

Names are hashed and handoffs are walked as Swift does (swift/common/ring/ring.py), so that either finds what the other
has put down.
"""

from __future__ import annotations

import hashlib
import importlib
from array import array
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import Protocol, TypeAlias, cast

import msgspec

from cumulet.services.object_store.ring.devices import Device

Key: TypeAlias = Callable[[Device], object]
Place: TypeAlias = tuple[int, tuple[Device, ...]]  # a partition and its devices

_HANDOFF_STEPS = 65536  # the most partitions that are looked at for each kind of handoff

# From the farthest to the nearest: another region, another zone, another server, another device.
_FARNESS: tuple[Key, ...] = (
    lambda device: device.region,
    lambda device: (device.region, device.zone),
    lambda device: (device.region, device.zone, device.ip),
    lambda device: device.id,
)


class _Hash(Protocol):
    def digest(self) -> bytes: ...


class Finder(Protocol):
    """The partition of an account, a container or an object, and its devices."""

    def __call__(self, account: str, container: str | None = None, name: str | None = None) -> Place: ...


class RingFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a ring's file says. `rows[replica][partition]` is a device's id; the last row may be shorter."""

    part_power: int
    devices: list[Device | None]  # at the place of its id
    rows: list[array[int]]
    version: int | None = None
    next_part_power: int | None = None


class Ring:
    """Look-ups in a ring; `prefix` and `suffix` are the cluster's, so that nobody can choose where names go.

    What was looked up is kept: some 130 bytes for each partition of a ring in use.
    """

    def __init__(self, file: RingFile, prefix: str = "", suffix: str = "") -> None:
        self.part_power = file.part_power
        self.version = file.version
        self._devices = cast(list[Device], file.devices)  # None stands where no row points to
        self._rows = file.rows
        self._places: list[Place | None] = [None] * len(file.rows[0])
        self.find = _finder(prefix, suffix, file.part_power, self._places, self._place)
        assigned = {device_id for row in file.rows for device_id in set(row)}
        self._tiers = [_numbered({each: key(self._devices[each]) for each in assigned}) for key in _FARNESS]

    @property
    def devices(self) -> list[Device]:
        """Those that it knows, with partitions or without."""
        return [each for each in self._devices if each is not None]

    @property
    def parts(self) -> int:
        return len(self._places)

    @property
    def replicas(self) -> float:
        return sum(map(len, self._rows)) / self.parts

    def nodes(self, part: int) -> tuple[Device, ...]:
        """The devices of a partition's replicas, each once."""
        return (self._places[part] or self._place(part))[1]

    def handoffs(self, part: int) -> Iterator[Device]:
        """All other devices with partitions, those first that are farthest from the partition's own and each other."""
        used = {device.id for device in self.nodes(part)}
        order = None
        for tiers, known in self._tiers:
            near = {tiers[each] for each in used}
            if len(near) == known:
                continue
            order = order or self._order(part)
            for device_id in self._walk(order):
                if device_id in used or tiers[device_id] in near:
                    continue
                used.add(device_id)
                near.add(tiers[device_id])
                yield self._devices[device_id]
                if len(near) == known:
                    break

    def _order(self, part: int) -> tuple[range, range]:
        """Other partitions, beginning at one that the partition's number leads to."""
        digest = hashlib.md5(str(part).encode(), usedforsecurity=False).digest()
        start = int.from_bytes(digest) >> (128 - self.part_power)
        step = self.parts // _HANDOFF_STEPS or 1
        wrapped = step - ((self.parts - start) % step)
        return range(start, self.parts, step), range(wrapped, start, step)

    def _walk(self, order: tuple[range, range]) -> Iterator[int]:
        """The devices of these partitions."""
        for other in chain(*order):
            for row in self._rows:
                if other < len(row):
                    yield row[other]

    def _place(self, part: int) -> Place:
        ids = [row[part] for row in self._rows if part < len(row)]
        if len({*ids}) < len(ids):
            ids = list(dict.fromkeys(ids))
        devices = self._devices
        place = self._places[part] = part, tuple([devices[each] for each in ids])
        return place


def _numbered(keys: dict[int, object]) -> tuple[dict[int, int], int]:
    """A number instead of each different key, and how many there are."""
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys.values()))}
    return {each: numbers[key] for each, key in keys.items()}, len(numbers)


def _finder(
    prefix: str, suffix: str, part_power: int, places: list[Place | None], place: Callable[[int], Place]
) -> Finder:
    """`Ring.find`, with what it needs at hand: half of its time is the hash, and a self would be a sixth more."""
    md5, number, shift = quick_md5(), int.from_bytes, 128 - part_power

    def find(account: str, container: str | None = None, name: str | None = None) -> Place:
        """The partition of an account, a container or an object, and its devices."""
        if name is not None:
            text = f"{prefix}/{account}/{container}/{name}{suffix}"
        elif container is not None:
            text = f"{prefix}/{account}/{container}{suffix}"
        else:
            text = f"{prefix}/{account}{suffix}"
        part = number(md5(text.encode()).digest(), "big") >> shift
        return places[part] or place(part)

    return find


def quick_md5() -> Callable[[bytes], _Hash]:
    """Python's own MD5 where it is built in: OpenSSL's takes twice as long for something so short as a name."""
    try:
        return cast(Callable[[bytes], _Hash], importlib.import_module("_md5").md5)
    except ImportError:
        return partial(hashlib.md5, usedforsecurity=False)
