# SPDX-License-Identifier: Apache-2.0
"""What is done beside requests goes on where a device hangs, and where rows wait for their shards."""

from __future__ import annotations

import asyncio

import pytest

from cumulet.services.object_store.drivers.base import DeviceGone
from cumulet.services.object_store.engine import deadlines
from cumulet.services.object_store.engine.jobs.upkeep import Pace, Upkeep
from cumulet.services.object_store.types.indexes import SHARDING, Key, ObjectRow
from drivers.object_store.cluster_benches import CODE, CONTAINER, HASTY, ClusterBench, story

GONE = DeviceGone("It is gone.", code="DeviceGone")


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(deadlines, "ANSWER", 0.1)
    monkeypatch.setattr(deadlines, "LONGER", {})


@pytest.mark.parametrize("scheme", [None, CODE], ids=["replicas", "fragments"])
@pytest.mark.parametrize("hung", [0, 1, 2, 3, 4])
@story
async def test_a_device_that_hangs_holds_up_no_other(hasty, hung, scheme):
    async with ClusterBench(5, 3, patience=HASTY, scheme=scheme) as bench:
        await bench.begin()
        lost = next(number for number in bench.part() if number != hung)
        bench.faults[lost].at["commit"] = GONE
        for number in range(5):
            bench.faults[number].at["merge_objects"] = GONE  # so that the row is owed
        await bench.put("o", b"body")
        for each in bench.faults:
            each.at.clear()
        bench.faults[hung].slow = 3600.0
        jobs = Upkeep(bench.cluster, Pace(audit_every=0.0)).jobs
        for _ in range(2):
            for job in jobs:
                async with asyncio.timeout(10.0):
                    await job.run()
        if scheme is None:
            assert (await bench.copies())[lost] is not None
        owed = await bench.owed()
        assert [len(each) for number, each in enumerate(owed) if number != hung] == [0] * 4
        bench.faults[hung].slow = 0.0
        assert await bench.get() == b"body"
        assert await bench.listed() == ["o"]


@story
async def test_a_device_that_did_not_answer_is_not_asked_again_at_once(hasty):
    async with ClusterBench(3, 3, patience=HASTY) as bench:
        await bench.begin()
        timed = bench.cluster.places.timed(bench.node(0))
        assert timed is bench.cluster.places.timed(bench.node(0))
        bench.faults[0].late["info"] = 3600.0
        with pytest.raises(TimeoutError):
            await timed.indexes.info(CONTAINER)
        bench.faults[0].late.clear()
        said = len(bench.faults[0].said)
        with pytest.raises(DeviceGone):
            await timed.objects.partitions()
        assert len(bench.faults[0].said) == said
        assert (await bench.node(0).indexes.info(CONTAINER)).exists


@story
async def test_a_sharded_root_with_rows_holds_up_its_own_replicas_alone():
    async with ClusterBench(4, 3) as bench:
        await bench.begin()
        home, other = bench.container_part()[:2]
        spare = next(number for number in range(4) if number not in bench.container_part())
        row = ObjectRow("row", 10**6, 1, "text/plain", "e")
        for number in bench.container_part():
            await bench.node(number).indexes.set_sharding(CONTAINER, SHARDING)
        await bench.node(home).indexes.merge_objects(CONTAINER, [row])
        for name in "xyz":
            await bench.cluster.put(Key("a", name), bench.stamp())
        behind = bench.cluster.asker.behind
        for number in range(4):
            behind.note(bench.node(number))
        upkeep = Upkeep(bench.cluster)
        for _ in range(3):
            await upkeep.index_replicator.run()
            await upkeep.replicator.run()
        assert bench.node(other) in behind
        assert bench.node(spare) not in behind
        assert bench.node(home) not in behind
        for each in bench.faults:
            each.said.clear()
        await upkeep.index_replicator.run()
        assert sum(each.said.count("info") for each in bench.faults) == 1  # nothing else has changed
        assert await bench.node(home).indexes.remove_rows(CONTAINER, [(await stored(bench, home))]) == 1
        await upkeep.index_replicator.run()
        await upkeep.replicator.run()
        assert bench.node(other) not in behind


async def stored(bench, number):
    return (await bench.node(number).indexes.object_rows(CONTAINER, 0))[0][1]
