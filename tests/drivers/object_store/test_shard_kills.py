# SPDX-License-Identifier: Apache-2.0
"""A process is killed at each step of sharding: what was acknowledged is listed, at once and when all has been done."""

from __future__ import annotations

import pytest

from cumulet.services.object_store.engine.jobs.upkeep import Pace, Upkeep
from cumulet.services.object_store.types.indexes import Listing, RangeState
from drivers.object_store import shard_worker
from drivers.object_store.cluster_benches import CONTAINER, ClusterBench, story
from drivers.object_store.killed_workers import killed

STEPS = ["found", "created", "cleaved", "moved", "drained", "widened"]


@pytest.mark.parametrize("step", STEPS)
def test_what_a_kill_leaves_is_gone_on_with(tmp_path, step):
    root = tmp_path / "store"
    root.mkdir()
    lines = killed(shard_worker.__file__, str(root), faults=tmp_path / "faults", place=f"object_sharder.{step}")
    check_after_a_kill(root, lines)


@story
async def check_after_a_kill(root, lines):
    rows = {}
    for line in lines:
        for name, stamp, gone in line.get("done", ()):
            rows[name] = stamp, gone
    assert "begun" not in lines[-1], "steps are taken behind an answer"
    wanted = sorted(name for name, (_, gone) in rows.items() if not gone)
    async with ClusterBench(3, 2, root=root, durable=False) as bench:
        cluster = bench.cluster
        assert await bench.listed() == wanted
        upkeep = Upkeep(cluster, Pace(sizes=shard_worker.SIZES))
        for _ in range(6):
            for work in (upkeep.updater, upkeep.sharder, upkeep.index_replicator):
                await work.run()
            assert await bench.listed() == wanted
        live = [each for each in await cluster.indexes.shards.merged(CONTAINER) if not each.deleted]
        live.sort(key=lambda each: each.lower)
        assert {each.state for each in live} == {RangeState.ACTIVE}
        assert [each.lower for each in live] == ["", *(each.upper for each in live[:-1])]
        assert sum(each.objects for each in live) == len(wanted)
        info, page = await cluster.list_objects(CONTAINER, Listing(limit=3, reverse=True))
        assert [row[0] for row in page] == wanted[::-1][:3]
        assert info.total.objects == len(wanted)
