# SPDX-License-Identifier: Apache-2.0
"""A ring that is worked on: devices, rules, and the table that says which device has which replica of a partition.

Times are seconds of the Unix clock. Nothing here reads a clock or a file.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
import numpy.typing as npt

from cumulet.kernel.errors import Invalid, NotFound
from cumulet.services.object_store.ring import plan
from cumulet.services.object_store.ring.crowding import excess
from cumulet.services.object_store.ring.devices import Device, check
from cumulet.services.object_store.ring.layout import NONE, lay_out
from cumulet.services.object_store.ring.moves import Moves, Table
from cumulet.services.object_store.ring.plan import NEARLY
from cumulet.services.object_store.ring.shape import Shape

HOUR = 3600
MOST_HOURS = 1 << 15
DIGITS = 6  # of the fraction of replicas
MOST_POWER = 24  # a hundred partitions for each of 160,000 disks; its tables take some 2 GB while they are made


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Of a rebalance: replicas that `moved`, devices `removed`, and how good the ring is now (see `Builder`)."""

    moved: int
    removed: list[int]
    balance: float
    dispersion: float


class Builder:
    """A ring of 2**`part_power` partitions with `replicas` of each, a fraction of which some partitions alone have.

    A partition does not move again within `min_part_hours`. `overload` is explained in `plan`. `version` counts what
    was changed.
    """

    def __init__(self, part_power: int, replicas: float, min_part_hours: int) -> None:
        if not 0 <= part_power <= MOST_POWER:
            raise Invalid(f"The partition power is from 0 to {MOST_POWER}.")
        self.part_power = part_power
        self.overload = 0.0
        self.version = 0
        self.devices: dict[int, Device] = {}
        self.leaving: dict[int, Device] = {}  # removed, with replicas until the next rebalance
        self.table: Table = np.zeros((0, self.parts), np.int32)
        self.moved_at: npt.NDArray[np.float64] = np.zeros(self.parts)
        self.set_min_part_hours(min_part_hours)
        self.set_replicas(replicas)

    @property
    def parts(self) -> int:
        return 1 << self.part_power

    @property
    def slots(self) -> int:
        """How many replicas there are of all partitions together."""
        return int(self.replicas * self.parts)

    def set_replicas(self, replicas: float) -> None:
        if not 1 <= replicas < 1 << 15:
            raise Invalid("There is at least one replica.")
        self.replicas = round(replicas, DIGITS)
        self.version += 1

    def set_min_part_hours(self, hours: int) -> None:
        if not 0 <= hours <= MOST_HOURS:
            raise Invalid(f"Hours are from 0 to {MOST_HOURS}.")
        self.min_part_hours = hours
        self.version += 1

    def set_overload(self, overload: float) -> None:
        if not 0 <= overload < math.inf:
            raise Invalid("The overload is not below 0.")
        self.overload = overload
        self.version += 1

    def next_id(self) -> int:
        return max((*self.devices, *self.leaving), default=-1) + 1

    def add(self, device: Device) -> None:
        check(device)
        if device.id in self.devices or device.id in self.leaving:
            raise Invalid(f"There is a device {device.id} already.")
        place = (device.ip, device.port, device.device)
        if any((each.ip, each.port, each.device) == place for each in self.devices.values()):
            raise Invalid(f"There is a device {device.device} at {device.ip}:{device.port} already.")
        self.devices[device.id] = device
        self.version += 1

    def remove(self, device_id: int) -> None:
        """Its replicas leave it with the next rebalance."""
        self.leaving[device_id] = self.device(device_id)
        del self.devices[device_id]
        self.version += 1

    def change(self, device: Device) -> None:
        """Give the device with this id other properties, a weight say."""
        check(device)
        self.device(device.id)
        self.devices[device.id] = device
        self.version += 1

    def device(self, device_id: int) -> Device:
        found = self.devices.get(device_id)
        if found is None:
            raise NotFound(f"There is no device {device_id}.")
        return found

    def rebalance(self, now: float, seed: int | None = None) -> Outcome:
        """Bring the table as near to the plan as it may come. Invalid where there are not enough devices."""
        if seed is not None and seed < 0:
            raise Invalid("A seed is not below 0.")
        shape = Shape([device for device in self.devices.values() if device.weight > 0])
        if len(shape.devices) < self.replicas:
            raise Invalid(f"{self.replicas} replicas need as many devices with a weight, not {len(shape.devices)}.")
        random = np.random.default_rng(seed)
        goal = plan.make(shape, self.replicas, self.overload, self.parts, self.slots)
        before = self._resized()
        counts = self._counts()
        movable = self.moved_at + self.min_part_hours * HOUR <= now
        staying = self._staying(before, movable)
        absent = (np.arange(len(before))[:, None] >= counts) | staying
        table = _look_up(_positions(shape), before)
        if (table == NONE).all() and not staying.any():
            table = lay_out(goal, counts, random)
        else:
            leaves = (table == NONE) & (before != NONE) & ~absent
            Moves(goal, table, absent, movable & ~leaves.any(axis=0), random).run()
        ids = np.array([*(device.id for device in shape.devices), NONE], np.int32)
        self.table = np.where(staying, before, ids[table])
        changed = self.table != before
        self.moved_at[(changed & (before != NONE)).any(axis=0)] = now
        removed = sorted(self.leaving)
        self.leaving.clear()
        self.version += 1
        return Outcome(moved=int(changed.sum()), removed=removed, balance=self.balance(), dispersion=self.dispersion())

    def min_part_seconds_left(self, now: float) -> int:
        """Until the last partition that moved may move again."""
        return max(0, int(self.moved_at.max() + self.min_part_hours * HOUR - now))

    def held(self) -> dict[int, int]:
        """How many replicas each device has."""
        ids, numbers = np.unique(self.table[self.table != NONE], return_counts=True)
        return dict(zip(ids.tolist(), numbers.tolist(), strict=True))

    def balance(self) -> float:
        """By how many percent the device that differs most differs from its share by weight; infinite beside none."""
        held = self.held()
        total = sum(device.weight for device in self.devices.values())
        worst = 0.0
        for device in self.devices.values():
            have, share = held.get(device.id, 0), device.weight / total * self.slots if total else 0.0
            if share:
                worst = max(worst, abs(100.0 * have / share - 100.0))
            elif have:
                return math.inf
        return worst

    def dispersion(self) -> float:
        """How many percent of the replicas share a tier with more of their partition than an even spread has there."""
        if not self.table.size:
            return 0.0
        shape = Shape(list(self.devices.values()))
        table = _look_up(_positions(shape), self.table)
        risks = np.zeros(self.parts)
        evenly: dict[tuple[int | str, ...], float] = {(): self.replicas}
        for tier in shape.root.walk():
            for child in tier.children:
                evenly[child.name] = evenly[tier.name] / len(tier.children)
        for tiers, numbers in zip(shape.tiers, shape.numbers, strict=True):
            most = np.array([math.ceil(evenly[tier.name] - NEARLY) for tier in tiers])
            risks = np.maximum(risks, excess(numbers[table], most))
        return float(100.0 * risks.sum() / self.slots)

    def _staying(self, table: Table, movable: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Replicas on devices without a weight that wait: all but one of a partition, and those that may not move."""
        empty = [device.id for device in self.devices.values() if not device.weight]
        left: npt.NDArray[np.bool_] = np.isin(table, empty)
        gone = np.isin(table, list(self.leaving)).any(axis=0)
        first = left & (left.cumsum(axis=0) == 1) & movable & ~gone
        waits: npt.NDArray[np.bool_] = left & ~first
        return waits

    def _counts(self) -> npt.NDArray[np.int64]:
        """How many replicas each partition has."""
        whole = int(self.replicas)
        return whole + (np.arange(self.parts) < self.slots - whole * self.parts).astype(np.int64)

    def _resized(self) -> Table:
        """The table with as many rows as there are replicas now."""
        rows = math.ceil(self.slots / self.parts)
        result = np.full((rows, self.parts), NONE, np.int32)
        kept = min(rows, len(self.table))
        result[:kept] = self.table[:kept]
        result[np.arange(rows)[:, None] >= self._counts()] = NONE
        return result


def _positions(shape: Shape) -> dict[int, int]:
    return {device.id: position for position, device in enumerate(shape.devices)}


def _look_up(positions: dict[int, int], table: Table) -> Table:
    """Positions instead of ids; NONE for those that are not there."""
    size = max((*positions, int(table.max(initial=0))), default=0) + 2
    known = np.full(size, NONE, np.int32)
    known[list(positions)] = list(positions.values())
    return known[table]
