# SPDX-License-Identifier: Apache-2.0
"""Which indexes of a device somebody has work with, found by what has changed since the last look."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

import msgspec

from cumulet.services.object_store.drivers.index_base import IndexDevice
from cumulet.services.object_store.engine.asking import TROUBLE
from cumulet.services.object_store.engine.places import Node, Places, where
from cumulet.services.object_store.types.indexes import Info, Key

PAGE = 1000
PATIENCE = 5.0  # seconds

Wanted = Callable[[Info], bool]


class _Seen(msgspec.Struct):
    upto: int = 0
    found: dict[str, dict[Key, None]] = {}
    turn: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)


class Watch:
    """The first look at a device reads all of its indexes."""

    def __init__(self, wanted: Mapping[str, Wanted] = MappingProxyType({})) -> None:
        self._wanted = dict(wanted)
        self._seen: dict[str, _Seen] = {}

    def want(self, name: str, wanted: Wanted) -> None:
        """Look for those of which `wanted` says so, too."""
        self._wanted[name] = wanted
        self._seen.clear()

    async def keys(self, device: IndexDevice, name: str) -> list[Key]:
        """Those that were wanted when they changed last; the errors of devices are raised."""
        seen = self._seen.get(device.identity)
        if seen is None:
            seen = self._seen[device.identity] = _Seen(found={each: {} for each in self._wanted})
        async with seen.turn:
            while page := await device.changed(seen.upto, PAGE):
                for each in page:
                    await self._look(device, each.key, seen)
                    seen.upto = each.change
        return list(seen.found[name])

    async def _look(self, device: IndexDevice, key: Key, seen: _Seen) -> None:
        info = await device.info(key)
        for name, wanted in self._wanted.items():
            if info is not None and wanted(info):
                seen.found[name][key] = None
            else:
                seen.found[name].pop(key, None)


def rank(places: Places, key: Key, node: Node) -> tuple[int, int] | None:
    """Which of the replicas of an index the device is, by the ring's order, and how many there are; None for none."""
    spot = places.index(key)
    at = [places.devices.get(where(each)) for each in spot.ring.nodes(spot.part)]
    return (at.index(node), len(at)) if node in at else None


async def first(places: Places, key: Key, node: Node) -> bool:
    """Whether of the index's replicas that answer and have it this device is the first by the ring's order.

    A handoff never is. While replicas come and go there may be two.
    """
    spot = places.index(key)
    at = [places.devices.get(where(each)) for each in spot.ring.nodes(spot.part)]
    if node not in at:
        return False
    for other in at[: at.index(node)]:
        if other is not None and await _has(places.timed(other), key):
            return False
    return True


async def for_each(places: Places, watch: Watch, name: str, work: Callable[[Node, Key], Awaitable[int]]) -> int:
    """Do `work` with the indexes that are watched by this `name`, on the device that is the first; how much was done.

    A device in trouble is passed over.
    """
    done = 0
    for node in places.local():
        try:
            for key in await watch.keys(places.timed(node).indexes, name):
                if await first(places, key, node):
                    done += await work(node, key)
        except TROUBLE:
            continue
    return done


async def _has(node: Node, key: Key) -> bool:
    try:
        async with asyncio.timeout(PATIENCE):
            return await node.indexes.info(key) is not None
    except TROUBLE:
        return False
