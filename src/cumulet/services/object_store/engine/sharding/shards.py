# SPDX-License-Identifier: Apache-2.0
"""The ranges of sharded containers: read, remembered for those who write, and written to every replica of the root."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

from cumulet.kernel.errors import NotFound
from cumulet.services.object_store.drivers.index_base import IndexDevice
from cumulet.services.object_store.engine.asking import Asker, settled
from cumulet.services.object_store.engine.base import Unavailable
from cumulet.services.object_store.engine.places import Node, Places
from cumulet.services.object_store.engine.sharding.table import Table
from cumulet.services.object_store.types.indexes import LISTED_RANGES, Info, Key, ShardRange
from cumulet.services.object_store.types.merges import merged_range

K = TypeVar("K")
V = TypeVar("V")

SIZE = 1000  # tables
LIFE = 5.0  # seconds


class Shards:
    """Tables of the last `SIZE` containers are remembered."""

    def __init__(self, places: Places, asker: Asker, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._places = places
        self._asker = asker
        self._monotonic = monotonic
        self._read: OrderedDict[tuple[str, Key], tuple[int, Table]] = OrderedDict()
        self._recent: OrderedDict[Key, tuple[float, Table]] = OrderedDict()

    async def of(self, device: IndexDevice, info: Info) -> Table:
        """As the replica of the root on `device` knows it, which has just told `info`, or later."""
        place = device.identity, info.key
        known = self._read.get(place)
        if known is not None and known[0] == info.change:
            return known[1]
        table = Table(await device.ranges(info.key, states=LISTED_RANGES))
        _keep(self._read, place, (info.change, table))
        return table

    async def recent(self, key: Key, *, fresh: bool = False) -> Table:
        """As a replica of the root knew it a moment ago; `fresh`: as it knows it now."""
        known = self._recent.get(key)
        if known is not None and not fresh and known[0] > self._monotonic():
            return known[1]
        table = Table(await self._first(key))
        _keep(self._recent, key, (self._monotonic() + LIFE, table))
        return table

    async def merged(self, key: Key) -> list[ShardRange]:
        """What a majority of the root's replicas knows together, deleted ranges too. Unavailable where few answer."""
        spot = self._places.index(key)

        async def read(node: Node) -> list[ShardRange]:
            return await node.indexes.ranges(key, deleted=True)

        answers = await self._asker.each(spot.primaries, read)
        known: dict[str, ShardRange] = {}
        for answer in answers:
            for each in answer.value or ():
                old = known.get(each.name)
                known[each.name] = each if old is None else merged_range(old, each)
        if sum(not answer.trouble for answer in answers) < spot.quorum:
            raise Unavailable("Too few devices answered.")
        return list(known.values())

    async def save(self, key: Key, ranges: Sequence[ShardRange], *, counts: bool = False) -> None:
        """To every replica of the root at hand. Unavailable where these are too few. `counts`: nothing else is new."""
        spot = self._places.index(key)

        async def merge(node: Node) -> None:
            await node.indexes.merge_ranges(key, ranges)

        try:
            settled(await self._asker.each(spot.primaries, merge), spot.quorum)
        finally:
            if not counts:
                self._recent.pop(key, None)

    async def _first(self, key: Key) -> list[ShardRange]:
        spot = self._places.index(key)
        known = True
        for node in spot.primaries:
            answer = await self._asker.one(node, lambda node: node.indexes.ranges(key, states=LISTED_RANGES))
            if answer.value is not None:
                return answer.value
            known = known and not isinstance(answer.error, NotFound)
        if not known:
            return []
        raise Unavailable("Too few devices answered.")


def _keep(known: OrderedDict[K, V], place: K, value: V) -> None:
    known[place] = value
    known.move_to_end(place)
    if len(known) > SIZE:
        known.popitem(last=False)
