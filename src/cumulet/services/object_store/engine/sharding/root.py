# SPDX-License-Identifier: Apache-2.0
"""A container that is sharded, as who leads its sharding sees it."""

from __future__ import annotations

from collections.abc import Sequence

from cumulet.services.object_store.engine.sharding import plans as plans
from cumulet.services.object_store.engine.sharding.names import name_of
from cumulet.services.object_store.engine.sharding.shards import Shards
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import (
    DRAINED_RANGES,
    FoundRange,
    Info,
    Key,
    RangeState,
    ShardRange,
)
from cumulet.services.object_store.types.merges import merged_range


class Root:
    """`steps` counts what was written."""

    def __init__(self, shards: Shards, info: Info, ranges: Sequence[ShardRange]) -> None:
        self._shards = shards
        self._known = {each.name: each for each in ranges}
        self.info = info
        self.key = info.key
        self.steps = 0

    @classmethod
    async def read(cls, shards: Shards, info: Info) -> Root:
        """Unavailable where no majority of its replicas tells its ranges."""
        return cls(shards, info, await shards.merged(info.key))

    @property
    def live(self) -> list[ShardRange]:
        """By name bounds."""
        found = [each for each in self._known.values() if not each.deleted]
        return sorted(found, key=lambda each: (each.lower, not each.upper, each.upper, each.name))

    @property
    def draining(self) -> list[ShardRange]:
        return [each for each in self.live if each.state in DRAINED_RANGES]

    def of(self, state: RangeState) -> list[ShardRange]:
        return [each for each in self.live if each.state == state]

    def new_ranges(self, parent: Key, pieces: Sequence[FoundRange | tuple[str, str]]) -> list[ShardRange]:
        """FOUND ranges with these bounds."""
        now = stamps.now()
        bounds = [(each.lower, each.upper) if isinstance(each, FoundRange) else each for each in pieces]
        return [
            ShardRange(name_of(self.key, parent, now, number), now, *each, state_stamp=now)
            for number, each in enumerate(bounds)
        ]

    async def save(self, ranges: Sequence[ShardRange]) -> None:
        """On every replica at hand. Unavailable where these are too few."""
        if not ranges:
            return
        await self._shards.save(self.key, ranges)
        self.steps += 1
        for each in ranges:
            old = self._known.get(each.name)
            self._known[each.name] = each if old is None else merged_range(old, each)

    async def change(self, ranges: Sequence[ShardRange], state: RangeState) -> None:
        now = stamps.now()
        await self.save([plans.in_state(each, state, now) for each in ranges])
