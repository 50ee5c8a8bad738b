# SPDX-License-Identifier: Apache-2.0
"""What is promised, but hardly ever comes up in stories (`tests/histories`), at the moment at which it matters."""

from __future__ import annotations

import pytest

from cumulet.services.object_store.drivers.base import DeviceGone
from cumulet.services.object_store.engine.base import Name, Unavailable
from cumulet.services.object_store.engine.cluster import Cluster
from cumulet.services.object_store.engine.jobs.upkeep import Upkeep
from cumulet.services.object_store.types.indexes import ObjectRow
from cumulet.services.object_store.types.objects import Update
from drivers.object_store.cluster_benches import CONTAINER, ClusterBench, story

O = Name("a", "c", "o")  # noqa: E741
GONE = DeviceGone("It is gone.", code="DeviceGone")


@pytest.mark.parametrize("place", [0, 1, 2])
@story
async def test_the_newest_is_told_by_who_does_not_know_which_replica_missed_it(place):
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        await bench.put("o", b"old")
        missed = bench.faults[bench.part()[place]]
        missed.gone = True
        newest = (await bench.put("o", b"new")).now
        missed.gone = False
        other = Cluster(bench.policies, bench.rings, bench.nodes)
        assert await other.head(O, newest=True) == newest
        async with await other.read(O, newest=True) as reading:
            assert (reading.version, b"".join([piece async for piece in reading.chunks()])) == (newest, b"new")
        await other.close()


@story
async def test_each_row_reaches_the_other_replica_though_one_follows_the_other_at_once():
    async with ClusterBench(2, 2) as bench:
        await bench.begin()
        replicator, names = Upkeep(bench.cluster).index_replicator, []
        for number in range(4):
            names.append(f"row{number}")
            row = ObjectRow(names[-1], 10**6 + number, 1, "text/plain", "e")
            await bench.node(0).indexes.merge_objects(CONTAINER, [row])
            await replicator.run()
            assert [row.name for _, row in await bench.node(1).indexes.object_rows(CONTAINER, 0)] == names


@story
async def test_metadata_that_one_replica_took_are_not_acknowledged():
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        await bench.put("o", b"body")
        for number in bench.part()[1:]:
            bench.faults[number].at["post"] = GONE
        with pytest.raises(Unavailable):
            await bench.cluster.post(O, Update(stamp=bench.stamp(), metadata={"x-object-meta-a": "1"}))
