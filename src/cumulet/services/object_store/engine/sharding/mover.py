# SPDX-License-Identifier: Apache-2.0
"""Brings rows from where they do not belong any more to the shards that take them.

Whoever has a replica of a sharded root, or of a shard that was given up, empties it, whatever others do: a row is taken
away when a majority of its shard has it, and only as it was then.
"""

from __future__ import annotations

from cumulet.kernel import faults
from cumulet.services.object_store.drivers.index_base import IndexDevice
from cumulet.services.object_store.engine.indexes import Indexes
from cumulet.services.object_store.engine.sharding.names import root_of
from cumulet.services.object_store.types.indexes import Info, Key, ObjectRow

PAGE = 1000


class Mover:
    def __init__(self, indexes: Indexes) -> None:
        self._indexes = indexes

    async def move(self, device: IndexDevice, info: Info) -> tuple[int, bool]:
        """How many rows were moved, and whether none is left. The errors of devices are raised, and Unavailable."""
        key = info.key
        root = key if info.root else root_of(info)
        if root is None:
            return 0, True
        table = await self._indexes.shards.recent(root, fresh=True)
        moved, empty, lower = 0, True, ""
        while rows := (await device.named_rows(key, lower, "", PAGE))[1]:
            lower = f"{rows[-1].name}\0"
            by_shard: dict[Key | None, list[ObjectRow]] = {}
            for row in rows:
                by_shard.setdefault(table.at(row.name).target, []).append(row)
            for shard, some in by_shard.items():
                if shard is None or shard == key or not await self._indexes.tell_index(shard, some):
                    empty = False
                    continue
                faults.point("object_sharder.told")
                removed = await device.remove_rows(key, some)
                faults.point("object_sharder.moved")
                moved += removed
                empty = empty and removed == len(some)
        return moved, empty
