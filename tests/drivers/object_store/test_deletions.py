# SPDX-License-Identifier: Apache-2.0
"""Objects that are deleted behind an answer."""

from __future__ import annotations

import contextlib

import pytest

from cumulet.kernel import clock
from cumulet.services.object_store.drivers.base import DeviceGone
from cumulet.services.object_store.engine.base import Name, Unavailable
from cumulet.services.object_store.engine.jobs.deletions import QUEUE
from cumulet.services.object_store.engine.jobs.upkeep import Upkeep
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import Key, Listing
from drivers.object_store.cluster_benches import HASTY, ClusterBench, story
from drivers.object_store.test_reaper import Killed, killing, mend

NAMES = [f"a/ü-{number}" for number in range(30)]


@pytest.fixture(params=["fake-1", "fake-3of4", "local-2of2"])
def bench(request, tmp_path):
    kind, shape = request.param.split("-")
    replicas, _, size = shape.partition("of")
    return ClusterBench(int(size or 1), int(replicas), root=tmp_path if kind == "local" else None)


async def noted(bench, names=NAMES):
    await bench.begin()
    for name in [*names, "kept"]:
        await bench.put(name)
    await bench.cluster.delete_later([Name("a", "c", name) for name in names], stamps.now())


async def waiting(bench):
    _, queues = await bench.cluster.list_containers(Key(QUEUE), Listing(), newest=True)
    found = []
    for name, *_ in queues:
        _, rows = await bench.cluster.list_objects(Key(QUEUE, name), Listing(), newest=True)
        found += [row[0].split("-", 1)[1] for row in rows]
    return found


@story
async def test_what_is_noted_is_deleted_soon(bench):
    async with bench:
        await noted(bench)
        assert await bench.get(NAMES[0]) == b"body"
        assert sorted(await waiting(bench)) == sorted(f"a/c/{name}" for name in NAMES)
        deleter = Upkeep(bench.cluster).deleter
        assert await deleter.run() == 30
        assert await bench.listed() == ["kept"]
        assert await bench.get(NAMES[0]) is None
        assert await waiting(bench) == []
        assert await deleter.run() == 0
        await bench.cluster.delete_later([Name("a", "c", "kept")], stamps.now())
        assert await deleter.run() == 1
        assert await bench.listed() == []


@story
async def test_what_was_put_later_stays_and_what_is_not_there_is_no_matter():
    async with ClusterBench(2, 2) as bench:
        await noted(bench, ["o", "gone"])
        await bench.put("o", b"again", stamps.now() + (1 << 20))
        await bench.cluster.remove(Name("a", "c", "gone"), stamps.now())
        await bench.cluster.delete_later([Name("a", "nowhere", "o")], stamps.now())
        assert await Upkeep(bench.cluster).deleter.run() == 3
        assert await bench.get("o") == b"again"
        assert await waiting(bench) == []


@story
async def test_nothing_is_promised_that_is_not_noted():
    async with ClusterBench(3, 3, patience=HASTY) as bench:
        await bench.begin()
        for faults in bench.faults[:2]:
            faults.gone = True
        with pytest.raises(Unavailable):
            await bench.cluster.delete_later([Name("a", "c", "o")], stamps.now())
        await bench.cluster.delete_later([], stamps.now())


@story
async def test_what_cannot_be_deleted_now_is_later():
    async with ClusterBench(2, 2, patience=HASTY) as bench:
        await noted(bench, ["o"])
        for faults in bench.faults:
            faults.at["delete"] = DeviceGone("It is gone.", code="DeviceGone")
        deleter = Upkeep(bench.cluster).deleter
        assert await deleter.run() == 0
        assert await waiting(bench) == ["a/c/o"]
        for faults in bench.faults:
            faults.at.clear()
        assert await deleter.run() == 1
        assert await bench.listed() == ["kept"]


@story
async def test_queues_of_days_ago_are_forgotten(monkeypatch):
    async with ClusterBench(2, 2) as bench:
        await noted(bench)
        deleter = Upkeep(bench.cluster).deleter
        for days, left in ((0, 1), (1, 1), (4, 0)):
            now = clock.now() + days * 86_400
            monkeypatch.setattr(clock, "now", lambda now=now: now)
            await deleter.run()
            await deleter.run()
            _, queues = await bench.cluster.list_containers(Key(QUEUE), Listing(), newest=True)
            assert len(queues) == left, days


@story
async def test_a_deleter_that_is_killed_at_any_step_goes_on():
    async with ClusterBench(2, 2, patience=HASTY) as bench:
        shared = killing(bench)
        for number in range(2):
            await bench.lose(number)
        await noted(bench)
        for after in range(0, 200, 5):
            shared["left"] = after
            with contextlib.suppress(Killed):
                await Upkeep(bench.cluster).deleter.run()
            shared["left"] = 1 << 30
        await (await mend(bench)).deleter.run()
        await mend(bench)
        assert await bench.listed(newest=True) == ["kept"]
        assert await waiting(bench) == []
