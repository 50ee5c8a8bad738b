# SPDX-License-Identifier: Apache-2.0
"""A process of the store is killed at each place: what was acknowledged is there on every replica, listed once."""

from __future__ import annotations

import pytest

from cumulet.services.object_store.engine.jobs.upkeep import Upkeep
from cumulet.services.object_store.types import objects
from cumulet.services.object_store.types.indexes import Listing
from cumulet.services.object_store.types.objects import Kind, Update
from drivers.object_store import cluster_worker
from drivers.object_store.cluster_benches import ACCOUNT, CONTAINER, ClusterBench, body_of, story
from drivers.object_store.device_benches import version_of
from drivers.object_store.killed_workers import killed

PLACES = [
    "object_device.put:row",
    "object_device.post:row",
    "object_device.delete:row",
    "object_device.committed",
    "object_engine.written",
    "object_engine.listed",
]


@pytest.mark.parametrize("place", PLACES)
def test_what_a_kill_leaves_is_mended(tmp_path, place):
    root = tmp_path / "store"
    root.mkdir()
    lines = killed(cluster_worker.__file__, str(root), faults=tmp_path / "faults", place=place)
    check_after_a_kill(root, lines)


@story
async def check_after_a_kill(root, lines):
    async with ClusterBench(2, 2, root=root) as bench:
        upkeep = Upkeep(bench.cluster)
        for _ in range(2):
            for work in (upkeep.updater, upkeep.index_replicator, upkeep.replicator):
                await work.run()
        assert await bench.owed() == [[], []]
        rows = {}
        for number in range(cluster_worker.NAMES):
            name = f"o{number}"
            mine = [line.get("done") or line.get("begun") for line in lines if next(iter(line.values()))[0] == number]
            acknowledged = [line["done"] for line in lines if "done" in line and line["done"][0] == number]
            states = [replayed(acknowledged)]
            if mine and mine[-1] not in acknowledged:
                states.append(replayed([*acknowledged, mine[-1]]))
            one, other = await bench.copies(name)
            assert one == other
            assert one in states
            if one is not None and one.kind is Kind.DATA:
                assert await bench.get(name) == body_of(one.size)
                rows[name] = name, one.meta_stamp, one.size, one.content_type, one.etag
        for node in bench.nodes.values():
            assert (await node.indexes.list_objects(CONTAINER, Listing()))[1] == list(rows.values())
        [row] = (await bench.cluster.list_containers(ACCOUNT, Listing()))[1]
        assert row[:3] == ("c", len(rows), sum(each[2] for each in rows.values()))


def replayed(writes):
    """What is there after these."""
    now = None
    for _, verb, stamp, size in writes:
        if verb == "post":
            now = objects.posted(now, Update(stamp=stamp, metadata={"n": str(stamp)}))[1]
        elif verb == "delete":
            now = objects.deleted(now, stamp)[1]
        else:
            now = objects.stored(now, version_of(body_of(size), stamp))[1]
    return now
