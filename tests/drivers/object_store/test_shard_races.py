# SPDX-License-Identifier: Apache-2.0
"""Callers write and list at once with all that splits, moves and merges: no listing lacks a name."""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from cumulet.services.object_store.engine.jobs.upkeep import Pace, Upkeep
from cumulet.services.object_store.engine.sharding.plans import Sizes
from cumulet.services.object_store.types.indexes import Listing, ObjectRow
from drivers.object_store.cluster_benches import CONTAINER, ClusterBench, story

SEEDS = range(int(os.environ.get("SHARD_RACES", "3")))
SIZES = Sizes(threshold=40, rows_per_shard=20, minimum=4, shrink_threshold=8, expansion_limit=30)
NAMES = [f"{folder}/{number:02}" for folder in "abcd" for number in range(40)]
WRITERS, TURNS = 4, 120


class Told:
    """By name what was acknowledged last, and whether something is on its way."""

    def __init__(self):
        self.known = {}
        self.open = set()
        self.over = False

    async def write(self, bench, names, luck, turns):
        indexes = bench.cluster.indexes
        for turn in range(turns):
            gone = luck.random() < (0.2 if turn < turns // 2 else 0.8)
            some = luck.sample(names, 4)
            rows = [ObjectRow(each, bench.stamp(), 3, "text/plain", "e", gone) for each in some]
            self.open.update(some)
            assert await luck.choice([indexes.tell_container, indexes.tell_container, indexes.tell_index])(
                CONTAINER, rows
            )
            self.known.update((row.name, row) for row in rows)
            self.open.difference_update(some)

    async def list(self, bench, luck):
        while not self.over:
            sure, unsure, seen = dict(self.known), set(self.open), len(self.known)
            prefix, reverse = luck.choice(["", "b/"]), luck.random() < 0.5
            delimiter = luck.choice(["", "", "/"]) if not prefix else ""
            words = Listing(prefix=prefix, reverse=reverse, delimiter=delimiter)
            _, rows = await bench.cluster.list_objects(CONTAINER, words)
            found = [row[0] for row in rows]
            assert found == sorted(set(found), reverse=reverse)
            changed = unsure | self.open | {name for name, row in self.known.items() if sure.get(name) is not row}
            live = {name for name, row in sure.items() if not row.deleted and name.startswith(prefix)} - changed
            dead = {name for name, row in sure.items() if row.deleted} - changed
            if delimiter:
                assert {f"{name.split('/')[0]}/" for name in live} <= set(found)
            else:
                assert live <= set(found), (live - set(found), seen)
                assert not dead & set(found)


@pytest.mark.parametrize("seed", SEEDS)
@story
async def test_listings_are_complete_while_rows_move(tmp_path, seed):
    async with ClusterBench(4, 3, root=tmp_path, durable=False) as bench:
        await bench.begin()
        luck, told = random.Random(seed), Told()
        keepers = [Upkeep(bench.cluster, Pace(sizes=SIZES)) for _ in range(2)]

        async def keep(upkeep):
            while not told.over:
                for work in (upkeep.updater, upkeep.sharder, upkeep.index_replicator):
                    await work.run()

        async def write():
            parts = [NAMES[number::WRITERS] for number in range(WRITERS)]
            await asyncio.gather(*(told.write(bench, part, luck, TURNS) for part in parts))
            told.over = True

        # The second one keeps the store as another process might that thinks it leads.
        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            for upkeep in keepers[: 1 + seed % 2]:
                group.create_task(keep(upkeep))
            group.create_task(told.list(bench, luck))
        for _ in range(8):
            for work in (keepers[0].updater, keepers[0].sharder, keepers[0].index_replicator):
                await work.run()
        assert await bench.cluster.indexes.shards.merged(CONTAINER), "it was split"
        live = sorted(name for name, row in told.known.items() if not row.deleted)
        assert await bench.listed() == live
        assert (await bench.cluster.info(CONTAINER, newest=True)).total.objects == len(live)
