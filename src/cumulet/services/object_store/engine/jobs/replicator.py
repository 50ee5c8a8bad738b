# SPDX-License-Identifier: Apache-2.0
"""Brings what a device has to all others that should have it, and away from where it should not be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from cumulet.kernel import clock
from cumulet.services.object_store.drivers.base import DeviceGone, ObjectDevice
from cumulet.services.object_store.engine.asking import TROUBLE, Asker
from cumulet.services.object_store.engine.base import Unavailable
from cumulet.services.object_store.engine.behind import OBJECTS
from cumulet.services.object_store.engine.coded.replicator import CodedReplicator
from cumulet.services.object_store.engine.moving import bring, has
from cumulet.services.object_store.engine.places import Node, Places
from cumulet.services.object_store.types.objects import Entry, Version

PAGE = 1000
AT_ONCE = 16  # partitions of a device
EVERY = 1800.0  # seconds


class Replicator:
    """Of objects, for the devices of this process.

    A partition is compared with each of its replicas by the digests of its suffixes; where these are alike nothing more
    is read. What lies on a handoff goes when every primary has it. Where all devices are this process's, all that parts
    replicas goes by it: then nothing is compared, while it sees no trouble, but once in `every` seconds.
    """

    def __init__(
        self, places: Places, asker: Asker, coded: CodedReplicator | None = None, every: float = EVERY
    ) -> None:
        self._places = places
        self._coded = coded
        self._asker = asker
        self._every = every
        self._last: object = None
        self._due = 0.0

    async def run(self) -> int:
        """How many objects, or news of them, were brought or handed back."""
        if len(self._places.devices) < 2 or self._quiet():
            return 0
        behind = self._asker.behind
        begun, nodes = self._state(), behind.begin(self._places.devices.values())
        done, well = 0, True
        for node in self._places.local():
            try:
                partitions = await self._places.timed(node).objects.partitions()
            except TROUBLE:
                well = False
                continue
            for at in range(0, len(partitions), AT_ONCE):
                found = [self._partition(node, *each) for each in partitions[at : at + AT_ONCE]]
                for brought in await asyncio.gather(*found):
                    well = well and brought is not None
                    done += brought or 0
        # What was brought may have to go on from there.
        self._last = begun if well and not done else None
        if well:
            behind.caught_up(OBJECTS, nodes)
        self._due = clock.now() + self._every
        return done

    def _state(self) -> object:
        return self._asker.troubles, self._places.rings, frozenset(self._places.devices.values())

    def _quiet(self) -> bool:
        alone = all(node.local for node in self._places.devices.values())
        return alone and self._last == self._state() and clock.now() < self._due

    async def _partition(self, node: Node, policy: int, part: int) -> int | None:
        """How much was brought; None where some device is in trouble."""
        try:
            return await self._compare(node, policy, part)
        except TROUBLE:
            return None

    async def _compare(self, node: Node, policy: int, part: int) -> int | None:
        try:
            ring = self._places.ring(policy)
        except Unavailable:
            return 0  # its policy is not served here
        if part >= ring.parts:
            return 0
        spot = self._places.spot(ring, part)
        if self._coded is not None and self._coded.serves(policy):
            return await self._coded.compare(node, spot, policy)
        primaries = spot.primaries
        if node not in primaries:
            return await self._hand_back(self._places.timed(node).objects, primaries, policy, part)
        source, done, well = self._places.timed(node).objects, 0, True
        for other in primaries:
            if other is node:
                continue
            try:
                if other is None:
                    raise DeviceGone("The device is not there.", code="DeviceGone")
                done += await self._push(source, self._places.timed(other).objects, policy, part)
            except TROUBLE:
                well = False
        return done if well else None

    async def _push(self, source: ObjectDevice, target: ObjectDevice, policy: int, part: int) -> int:
        ours, theirs = await source.digests(policy, part), await target.digests(policy, part)
        done = 0
        for suffix, digest in ours.items():
            if theirs.get(suffix) == digest:
                continue
            known = await _known(target, policy, part, suffix)
            async for entry in _entries(source, policy, part, suffix):
                if not has(known.get(entry.address.hash), entry.version):
                    done += await bring(source, target, entry)
        return done

    async def _hand_back(
        self, source: ObjectDevice, primaries: Sequence[Node | None], policy: int, part: int
    ) -> int | None:
        done, well = 0, True
        async for entry in _entries(source, policy, part):
            safe = 0
            for node in primaries:
                if node is None:
                    continue
                try:
                    target = self._places.timed(node).objects
                    there = has(await target.head(entry.address), entry.version)
                    safe += there or await bring(source, target, entry)
                except TROUBLE:
                    continue
            if safe == len(primaries):
                done += await source.remove(entry)
            else:
                well = False
        return done if well else None


async def _entries(device: ObjectDevice, policy: int, part: int, suffix: int | None = None) -> AsyncIterator[Entry]:
    after = ""
    while page := await device.entries(policy, part, suffix, after, PAGE):
        for entry in page:
            yield entry
        after = page[-1].address.hash


async def _known(device: ObjectDevice, policy: int, part: int, suffix: int) -> dict[str, Version]:
    return {entry.address.hash: entry.version async for entry in _entries(device, policy, part, suffix)}
