# SPDX-License-Identifier: Apache-2.0
"""The indexes of shards, on all of their replicas: made, fenced and forgotten."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

from cumulet.kernel.errors import NotFound
from cumulet.services.object_store.drivers.index_base import IndexDevice
from cumulet.services.object_store.engine.asking import Asker, settled
from cumulet.services.object_store.engine.base import Unavailable
from cumulet.services.object_store.engine.places import Node, Places
from cumulet.services.object_store.engine.sharding.names import metadata_of
from cumulet.services.object_store.types.indexes import SHARDING, UNSHARDED, FoundRange, Info, Key


class ShardKeeper:
    """Every verb is Unavailable where no majority of the replicas answers."""

    def __init__(self, places: Places, asker: Asker) -> None:
        self._places = places
        self._asker = asker

    async def find(self, key: Key, size: int, lower: str, upper: str, minimum: int) -> list[FoundRange]:
        """As `IndexDevice.find_ranges`, by the first replica that answers."""
        for node in self._places.index(key).primaries:
            answer = await self._asker.one(
                node, lambda node: node.indexes.find_ranges(key, size, lower=lower, upper=upper, minimum=minimum)
            )
            if answer.value is not None:
                return answer.value[0]
        raise Unavailable("Too few devices answered.")

    async def make(self, key: Key, root: Key, stamp: int, policy: int) -> None:
        async def put(node: Node) -> None:
            await node.indexes.put(key, stamp, policy=policy, metadata=metadata_of(root))

        spot = self._places.index(key)
        spares = self._places.spares(spot)
        settled(await self._asker.each(spot.primaries, put, spares=spares), spot.quorum)

    async def begin(self, key: Key) -> None:
        """Mark what is `unsharded` as `sharding`: a root asks for its ranges then, a shard is fenced."""

        async def mark(device: IndexDevice) -> None:
            info = await device.info(key)
            if info is not None and info.sharding == UNSHARDED:
                await device.set_sharding(key, SHARDING)

        await self._done(key, mark)

    async def is_drained(self, key: Key) -> bool:
        """Whether a majority is fenced and has no row: then no row that was acknowledged is with the others alone."""
        spot = self._places.index(key)
        found = await self.replicas(key)
        return sum(info is None or (info.fenced and info.bare) for _, info in found) >= spot.quorum

    async def forget(self, key: Key, stamp: int) -> None:
        """Delete it, where it is."""

        async def delete(device: IndexDevice) -> None:
            if await device.info(key) is not None:
                await device.delete(key, stamp)

        await self._done(key, delete)

    async def replicas(self, key: Key) -> list[tuple[Node, Info | None]]:
        """Those at hand, with what they know."""
        spot = self._places.index(key)

        async def look(node: Node) -> Info | None:
            return await node.indexes.info(key)

        answers = await self._asker.each(spot.primaries, look)
        found = [(each.node, each.value) for each in answers if each.error is None and each.node is not None]
        if len(found) < spot.quorum:
            raise Unavailable("Too few devices answered.")
        return found

    async def _done(self, key: Key, verb: Callable[[IndexDevice], Awaitable[None]]) -> None:
        """By all replicas at hand; one that has no such index has nothing to do."""
        spot = self._places.index(key)

        async def do(node: Node) -> None:
            with contextlib.suppress(NotFound):
                await verb(node.indexes)

        settled(await self._asker.each(spot.primaries, do), spot.quorum)
