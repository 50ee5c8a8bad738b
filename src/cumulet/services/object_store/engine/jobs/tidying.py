# SPDX-License-Identifier: Apache-2.0
"""Reads devices for damage, and forgets what was deleted long ago."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.errors import NotFound
from cumulet.services.object_store.drivers.index_base import IndexDevice
from cumulet.services.object_store.engine.asking import TROUBLE
from cumulet.services.object_store.engine.moving import Mender
from cumulet.services.object_store.engine.places import Node, Places
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import Key

LOG = logging.getLogger(__name__)

PAGE = 1000
AT_ONCE = 64
INDEXES = 5  # that are read in one run


class Reclaimer:
    """Tombstones of objects and indexes, and what lies in quarantine, when they are `age` seconds old."""

    def __init__(self, places: Places, age: float) -> None:
        self._places = places
        self._age = age

    async def run(self) -> int:
        """How many were forgotten."""
        before = max(0, stamps.now() - stamps.stamp(self._age))
        done = 0
        for node in self._places.local():
            timed = self._places.timed(node)
            try:
                while count := await timed.objects.reclaim(before, PAGE):
                    done += count
                done += await self._indexes(timed.indexes, before)
            except TROUBLE:
                continue
        return done

    async def _indexes(self, device: IndexDevice, before: int) -> int:
        done = after = 0
        while page := await device.changed(after, PAGE):
            after = page[-1].change
            for at in range(0, len(page), AT_ONCE):  # so that they share commits
                found = [_reclaim(device, each.key, before) for each in page[at : at + AT_ONCE]]
                done += sum(await asyncio.gather(*found))
        return done


async def _reclaim(device: IndexDevice, key: Key, before: int) -> int:
    done = 0
    with contextlib.suppress(NotFound):
        while count := await device.reclaim(key, before, PAGE):
            done += count
            if count < PAGE:
                break
    return done


class Tally(msgspec.Struct):
    """What was read since the process began, and what of it was damaged. `bytes` are of bodies."""

    passed: int = 0
    failed: int = 0
    bytes: int = 0


class Auditor:
    """A piece of each device of this process with each run; `size` bytes of bodies are a piece.

    What is damaged lies in quarantine then, and comes back from another replica. A device that was read to its end is
    begun again `every` seconds after its beginning.
    """

    def __init__(self, places: Places, mender: Mender, size: int, every: float) -> None:
        self._places = places
        self._mender = mender
        self._size = size
        self._every = every
        self._at: dict[str, int] = {}
        self._begun: dict[str, float] = {}
        self.tallies = {kind: Tally() for kind in ("account", "container", "object")}

    async def run(self) -> int:
        """How many objects were damaged."""
        # Side by side: an audit may take longer than others are to wait for it.
        return sum(await asyncio.gather(*(self._device(self._places.timed(node)) for node in self._places.local())))

    async def _device(self, node: Node) -> int:
        done = 0
        with contextlib.suppress(*TROUBLE):
            if self._due(node.objects.id):
                done = await self._objects(node)
            if self._due(node.indexes.identity):
                await self._indexes(node.indexes)
        return done

    def _due(self, name: str) -> bool:
        """Whether a pass is under way, or a new one begins."""
        if self._at.get(name, 0):
            return True
        now = clock.now()
        if now < self._begun.get(name, 0.0) + self._every:
            return False
        self._begun[name] = now
        return True

    async def _objects(self, node: Node) -> int:
        device = node.objects
        found = await device.audit(self._at.get(device.id, 0), self._size)
        self._at[device.id] = found.next
        tally = self.tallies["object"]
        tally.passed += found.entries - len(found.damaged)
        tally.failed += len(found.damaged)
        tally.bytes += found.bytes
        for address in found.damaged:
            LOG.warning("device %s: a damaged object is in quarantine: %s", device.id, address.hash)
            await self._mender.mend(address)
        return len(found.damaged)

    async def _indexes(self, device: IndexDevice) -> None:
        """Some of them."""
        page = await device.changed(self._at.get(device.identity, 0), INDEXES)
        for each in page:
            try:
                wrong = await device.audit(each.key, mend=True)
                tally = self.tallies["container" if each.key.container else "account"]
                tally.passed += not wrong
                tally.failed += bool(wrong)
                for said in wrong:
                    LOG.warning("index %s: mended: %s", "/".join(each.key), said)
            except NotFound:
                continue
        self._at[device.identity] = page[-1].change if len(page) == INDEXES else 0
