# SPDX-License-Identifier: Apache-2.0
"""A process of a store that encodes is killed at each place: what was acknowledged is there, each fragment at home."""

from __future__ import annotations

import pytest

from cumulet.services.object_store.engine.base import Name
from cumulet.services.object_store.engine.jobs.upkeep import Upkeep
from cumulet.services.object_store.types.indexes import Listing
from cumulet.services.object_store.types.objects import Kind
from drivers.object_store import cluster_worker, coded_worker
from drivers.object_store.cluster_benches import ACCOUNT, CODE, CONTAINER, ClusterBench, body_of, story
from drivers.object_store.killed_workers import killed
from drivers.object_store.test_cluster_kills import replayed

PLACES = [
    "object_device.pend:row",
    "object_engine.pending",
    "object_device.confirm:row",
    "object_device.committed",
    "object_engine.written",
]


@pytest.mark.parametrize("place", PLACES)
def test_what_a_kill_leaves_is_mended(tmp_path, place):
    root = tmp_path / "store"
    root.mkdir()
    lines = killed(coded_worker.__file__, str(root), faults=tmp_path / "faults", place=place)
    check_after_a_kill(root, lines)


@story
async def check_after_a_kill(root, lines):
    async with ClusterBench(4, root=root, scheme=CODE) as bench:
        names = [f"o{number}" for number in range(cluster_worker.NAMES)]
        before = {name: await bench.cluster.head(Name("a", "c", name)) for name in names}
        upkeep = Upkeep(bench.cluster)
        for _ in range(3):
            for work in (upkeep.completer, upkeep.updater, upkeep.index_replicator, upkeep.replicator):
                await work.run()
        assert await bench.owed() == [[]] * 4
        rows = {}
        for number, name in enumerate(names):
            mine = [line.get("done") or line.get("begun") for line in lines if next(iter(line.values()))[0] == number]
            acknowledged = [line["done"] for line in lines if "done" in line and line["done"][0] == number]
            states = [replayed(acknowledged)]
            if mine and mine[-1] not in acknowledged:
                states.append(replayed([*acknowledged, mine[-1]]))
            assert before[name] in states, "also before anything was mended"
            copies = await bench.copies(name)
            found = next(iter(copies[bench.part(name)[0]].values()), None)
            assert [copies[each] for each in bench.part(name)] == [{place: found} for place in range(4)] or not found
            assert found in states
            if found is not None and found.kind is Kind.DATA:
                assert await bench.get(name) == body_of(found.size)
                rows[name] = name, found.meta_stamp, found.size, found.content_type, found.etag
        for number in bench.container_part():
            assert (await bench.node(number).indexes.list_objects(CONTAINER, Listing()))[1] == list(rows.values())
        [row] = (await bench.cluster.list_containers(ACCOUNT, Listing()))[1]
        assert row[:3] == ("c", len(rows), sum(each[2] for each in rows.values()))
        assert all([(await bench.node(number).objects._it.audit()).damaged == () for number in range(4)])
