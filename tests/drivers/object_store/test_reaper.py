# SPDX-License-Identifier: Apache-2.0
"""What becomes of an account that was deleted, and of objects in another policy than their container's."""

from __future__ import annotations

import contextlib
import logging

import pytest

from cumulet.kernel import clock
from cumulet.kernel.errors import Forbidden
from cumulet.services.object_store.drivers.base import INLINE, DeviceFull
from cumulet.services.object_store.engine.base import Name
from cumulet.services.object_store.engine.jobs.upkeep import Pace, Upkeep
from cumulet.services.object_store.types import objects, stamps
from cumulet.services.object_store.types.indexes import Key, Listing, ObjectRow
from cumulet.services.object_store.types.objects import Kind, Update
from drivers.object_store.cluster_benches import ACCOUNT, CODE, CONTAINER, HASTY, ClusterBench, Faults, body_of, story

O = Name("a", "c", "o")  # noqa: E741


class Killed(BaseException):
    """The process ended."""


class Killing(Faults):
    """The process ends at the verb behind `left` others of any device that shares `at`."""

    def __init__(self, shared):
        super().__init__()
        self.shared = shared

    async def strike(self, verb, writes):
        self.shared["left"] -= 1
        if self.shared["left"] < 0:
            raise Killed
        await super().strike(verb, writes)


def killing(bench):
    """Faults that end the process when `left` is set."""
    shared = {"left": 1 << 30}
    bench.faults = [Killing(shared) for _ in bench.names]
    return shared


@pytest.fixture(params=["fake-1", "fake-3of4", "local-2of2"])
def bench(request, tmp_path):
    kind, shape = request.param.split("-")
    replicas, _, size = shape.partition("of")
    return ClusterBench(int(size or 1), int(replicas), root=tmp_path if kind == "local" else None)


async def put(bench, name, body=b"body", stamp=0, **more):
    async with await bench.cluster.write(name) as writing:
        await writing.write(body)
        version = objects.put(stamp or bench.stamp(), writing.size, await writing.etag(), "text/plain", **more)
        return await writing.commit(version)


async def deleted(bench):
    """An account with three containers of objects, in two policies, that was deleted."""
    await bench.begin()
    await bench.cluster.put(Key("a", "silver"), bench.stamp(), policy=1)
    await bench.cluster.put(Key("a", "\0own"), bench.stamp())
    for number in range(30):
        await put(bench, Name("a", "c", f"o{number}"))
    await put(bench, Name("a", "silver", "large", 1), body_of(INLINE + 1))
    await put(bench, Name("a", "\0own", "\0o"))
    await put(bench, Name("a", "c", "misplaced", 1))
    assert await bench.cluster.delete(ACCOUNT, stamps.now())


async def left(bench):
    """What devices still have: live objects, and live rows."""
    found = []
    for number in range(len(bench.names)):
        node = bench.node(number)
        for policy, part in await node.objects._it.partitions():
            entries = await node.objects._it.entries(policy, part)
            found += [each.address.object for each in entries if each.version.kind is Kind.DATA]
        for each in await node.indexes._it.changed(0):
            info = await node.indexes._it.info(each.key)
            found += [] if info.empty else [each.key]
    return found


@story
async def test_all_of_a_deleted_account_goes_and_then_it_is_forgotten(bench):
    async with bench:
        await deleted(bench)
        await put(bench, Name("a", "c", "late"))  # by who did not know yet
        upkeep = Upkeep(bench.cluster)
        assert await upkeep.reaper.run() == 34 + 3
        assert await left(bench) == []
        assert await upkeep.reaper.run() == 0
        with pytest.raises(Forbidden):
            await bench.cluster.put(ACCOUNT, stamps.now())
        later = Upkeep(bench.cluster, Pace(reclaim_age=0.0))
        for _ in range(3):
            await later.reclaimer.run()
        await bench.cluster.put(ACCOUNT, stamps.now())
        info, found = await bench.cluster.list_containers(ACCOUNT, Listing(reserved=True), newest=True)
        assert (found, info.total.containers) == ([], 0)


@story
async def test_other_accounts_stay():
    async with ClusterBench(2, 2) as bench:
        await deleted(bench)
        for key in (Key("b"), Key("b", "c")):
            await bench.cluster.put(key, bench.stamp())
        await put(bench, Name("b", "c", "o"))
        await Upkeep(bench.cluster).reaper.run()
        assert await bench.cluster.head(Name("b", "c", "o")) is not None


@story
async def test_reaping_is_delayed_and_told_of_when_it_takes_long(caplog, monkeypatch):
    async with ClusterBench(1) as bench:
        await deleted(bench)
        reaper = Upkeep(bench.cluster, Pace(delay_reaping=100.0, reap_warn_after=1000.0)).reaper
        now = clock.now()
        monkeypatch.setattr(clock, "now", lambda: now + 99)
        assert await reaper.run() == 0
        bench.faults[0].at["delete"] = DeviceFull("It is full.", code="DeviceFull")
        monkeypatch.setattr(clock, "now", lambda: now + 500)
        with contextlib.suppress(Exception):
            await reaper.run()
        assert "has not been reaped" not in caplog.text
        monkeypatch.setattr(clock, "now", lambda: now + 1200)
        with caplog.at_level(logging.WARNING):
            await reaper.run()
        assert "account a has not been reaped since" in caplog.text
        bench.faults[0].at.clear()
        assert await reaper.run() > 30
        assert await left(bench) == []


@story
async def test_one_of_the_replicas_at_hand_reaps():
    async with ClusterBench(3, 3) as bench:
        await deleted(bench)
        first = bench.ring.find("a")[1][0].id
        bench.faults[first].gone = True
        assert await Upkeep(bench.cluster).reaper.run() == 33 + 3


@story
async def test_a_reaper_that_is_killed_at_any_step_goes_on():
    async with ClusterBench(2, 2, patience=HASTY) as bench:
        shared = killing(bench)
        for number in range(2):
            await bench.lose(number)
        await deleted(bench)
        for after in range(0, 400, 7):
            shared["left"] = after
            with contextlib.suppress(Killed):
                await Upkeep(bench.cluster).reaper.run()
            shared["left"] = 1 << 30
        upkeep = await mend(bench)
        await upkeep.reaper.run()
        await mend(bench)
        assert await left(bench) == []


async def mend(bench):
    upkeep = Upkeep(bench.cluster)
    for job in (upkeep.updater, upkeep.index_replicator, upkeep.replicator):
        await job.run()
    return upkeep


async def misplaced(bench, body=b"body", stamp=1 << 40, **more):
    """An object in policy 1 of a container with policy 0."""
    await bench.begin()
    return (await put(bench, O._replace(policy=1), body, stamp, **more)).now


async def reconcile(bench, **more):
    return await Upkeep(bench.cluster, Pace(**more)).reconciler.run()


@pytest.mark.parametrize("size", [0, 4, INLINE + 1])
@story
async def test_an_object_in_another_policy_is_moved(bench, size):
    async with bench:
        version = await misplaced(
            bench,
            body_of(size),
            metadata={"x-object-meta-a": "b"},
            system={"x-object-sysmeta-a": "c"},
            delete_at=1 << 40,
        )
        assert await bench.cluster.head(O) is None
        assert await reconcile(bench) == 1
        moved = await bench.cluster.head(O, newest=True)
        assert (moved.stamp, moved.metadata, moved.system, moved.delete_at, moved.etag) == (
            version.stamp + 3, version.metadata, version.system, version.delete_at, version.etag
        )  # fmt: skip
        assert await bench.get("o") == body_of(size)
        assert (await bench.cluster.head(O._replace(policy=1), newest=True)).kind is Kind.TOMBSTONE
        info, rows = await bench.cluster.list_objects(CONTAINER, Listing(policy=-1), newest=True)
        assert [row[0] for row in rows] == ["o"]
        assert (info.total.objects, info.total.bytes) == (1, size)
        await reconcile(bench)
        assert await reconcile(bench) == 0
        assert (await bench.cluster.head(O)).stamp == moved.stamp


@pytest.mark.parametrize(("policy", "other"), [(0, 1), (1, 0)], ids=["encoded-to-plain", "plain-to-encoded"])
@story
async def test_to_and_from_a_policy_that_encodes(policy, other):
    async with ClusterBench(5, scheme=CODE) as bench:
        await bench.cluster.put(ACCOUNT, bench.stamp())
        await bench.cluster.put(CONTAINER, bench.stamp(), policy=other)
        body = body_of(250_001)
        await put(bench, O._replace(policy=policy), body, 1 << 40)
        assert await reconcile(bench) == 1
        async with await bench.cluster.read(O._replace(policy=other), newest=True) as reading:
            assert b"".join([piece async for piece in reading.chunks()]) == body
        assert (await bench.cluster.head(O._replace(policy=policy), newest=True)).kind is Kind.TOMBSTONE


@pytest.mark.parametrize("there", ["newer", "deleted", "older", "buried"])
@story
async def test_what_is_in_the_right_policy_already(there):
    async with ClusterBench(3, 3) as bench:
        stamp = 1 << 40
        await misplaced(bench, b"misplaced", stamp)
        at = stamp + (1 << 20) if there in ("newer", "deleted") else stamp - (1 << 20)
        if there in ("newer", "older"):
            await put(bench, O, b"right", at)
        else:
            await bench.cluster.remove(O, at)
        for _ in range(2):
            await reconcile(bench)
        kept = {"newer": b"right", "deleted": None, "older": b"misplaced", "buried": b"misplaced"}[there]
        assert await bench.get("o", newest=True) == kept
        assert (await bench.cluster.head(O._replace(policy=1), newest=True)).kind is Kind.TOMBSTONE


@pytest.mark.parametrize("there", ["older", "newer", "nothing"])
@story
async def test_a_deletion_in_another_policy(there):
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        stamp = 1 << 40
        if there != "nothing":
            await put(bench, O, b"right", stamp + (1 if there == "newer" else -1) * (1 << 20))
        await bench.cluster.remove(O._replace(policy=1), stamp)
        await put(bench, Name("a", "c", "other", 1), b"x", stamp)  # so that it is looked at
        await reconcile(bench)
        assert await bench.get("o", newest=True) == (b"right" if there == "newer" else None)
        if there == "nothing":
            assert (await bench.cluster.head(O, newest=True)).stamp == stamp


@story
async def test_metadata_that_came_later_go_along():
    async with ClusterBench(2, 2) as bench:
        version = await misplaced(bench)
        await bench.cluster.post(
            O._replace(policy=1), Update(stamp=version.stamp + 500, metadata={"x-object-meta-a": "b"})
        )
        await reconcile(bench)
        moved = await bench.cluster.head(O, newest=True)
        assert (moved.meta_stamp, moved.metadata) == (version.stamp + 500, {"x-object-meta-a": "b"})


@story
async def test_an_entry_without_an_object_is_given_up_in_time():
    async with ClusterBench(1) as bench:
        await bench.begin()
        row = ObjectRow("ghost", stamps.now(), 1, "a/b", "e", policy=1)
        await bench.cluster.indexes.tell_container(CONTAINER, [row])
        await misplaced_beside(bench)
        assert await reconcile(bench) == 1
        device = bench.node(0).indexes._it
        assert not await device.sync_points(CONTAINER)
        await reconcile(bench, reclaim_age=0.0)
        assert await device.sync_points(CONTAINER)


async def misplaced_beside(bench):
    await put(bench, O._replace(policy=1), b"body", stamps.now())


@story
async def test_a_reconciler_that_is_killed_at_any_step_goes_on():
    async with ClusterBench(2, 2, patience=HASTY) as bench:
        shared = killing(bench)
        for number in range(2):
            await bench.lose(number)
        await bench.begin()
        names = [f"o{number}" for number in range(3)]
        for name in names:
            await put(bench, Name("a", "c", name, 1), body_of(100), 1 << 40)
        for after in range(0, 150, 3):
            shared["left"] = after
            with contextlib.suppress(Killed):
                await reconcile(bench)
            shared["left"] = 1 << 30
        await reconcile(bench)
        await mend(bench)
        assert await bench.listed(newest=True) == names
        for name in names:
            assert await bench.get(name, newest=True) == body_of(100)
            assert (await bench.cluster.head(Name("a", "c", name, 1), newest=True)).kind is Kind.TOMBSTONE
