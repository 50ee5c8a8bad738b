# SPDX-License-Identifier: Apache-2.0
"""How the devices of a ring lie in regions, zones and servers.

The terms are Swift's: a *tier* is a region, a zone of it, a server (its address) in that, or a device; whatever is in
one tier may fail at once, so that replicas of one partition are kept apart in as many tiers as there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from cumulet.services.object_store.ring.devices import Device

LEVELS = 4  # region, zone, server, device


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """Devices that lie side by side in a `Shape`: those from `start` to before `end`; `name` is a part of a path."""

    name: tuple[int | str, ...]
    start: int
    end: int
    children: tuple[Tier, ...] = ()

    def walk(self) -> Iterator[Tier]:
        """This tier and all below it, from above."""
        yield self
        for child in self.children:
            yield from child.walk()


class Shape:
    """Devices ordered so that each tier's are neighbours: `devices`, and the `root` over all of them.

    `tiers[level]` are those of a level, and `numbers[level]` says for each device which of them it is in, and -1 after
    the last device.
    """

    def __init__(self, devices: Sequence[Device]) -> None:
        self.devices = sorted(devices, key=lambda device: device.path)
        self.root = self._tier((), 0, len(self.devices))
        self.tiers: list[list[Tier]] = [[] for _ in range(LEVELS)]
        self.numbers = [np.full(len(self.devices) + 1, -1) for _ in range(LEVELS)]
        for tier in self.root.walk():
            if tier.name:
                level = len(tier.name) - 1
                self.numbers[level][tier.start : tier.end] = len(self.tiers[level])
                self.tiers[level].append(tier)

    def _tier(self, name: tuple[int | str, ...], start: int, end: int) -> Tier:
        depth = len(name)
        children = []
        while depth < LEVELS and start < end:
            key = self.devices[start].path[depth]
            after = start
            while after < end and self.devices[after].path[depth] == key:
                after += 1
            children.append(self._tier((*name, key), start, after))
            start = after
        return Tier(name=name, start=children[0].start if children else start, end=end, children=tuple(children))
