# SPDX-License-Identifier: Apache-2.0
"""What the store does when devices are gone, full, slow or damaged, and how it is mended when they are well again."""

from __future__ import annotations

import asyncio
from array import array

import msgspec
import pytest

from cumulet.kernel import clock
from cumulet.kernel.errors import NotFound
from cumulet.services.object_store.drivers.base import PIECE, DeviceFull, DeviceGone
from cumulet.services.object_store.drivers.fake_index import FakeIndex
from cumulet.services.object_store.engine import writing
from cumulet.services.object_store.engine.asking import Patience
from cumulet.services.object_store.engine.base import Name, Unavailable
from cumulet.services.object_store.engine.jobs.upkeep import Pace, Upkeep
from cumulet.services.object_store.engine.places import Node, where
from cumulet.services.object_store.ring.ring import Ring, RingFile
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import ContainerRow, Key, Listing, ObjectRow
from cumulet.services.object_store.types.objects import Kind, Update, Verdict
from drivers.object_store.cluster_benches import ACCOUNT, CONTAINER, HASTY, ClusterBench, body_of, story

O = Name("a", "c", "o")  # noqa: E741
GONE = DeviceGone("It is gone.", code="DeviceGone")


async def mend(bench, runs=2):
    """All that is done beside requests, until there is nothing left to do."""
    upkeep = Upkeep(bench.cluster)
    for _ in range(runs):
        await upkeep.updater.run()
        await upkeep.index_replicator.run()
        await upkeep.replicator.run()


async def described(bench):
    """Metadata of the object `o` that were acknowledged."""
    update = Update(stamp=bench.stamp(), metadata={"x-object-meta-a": "1"})
    assert (await bench.cluster.post(O, update)).verdict is Verdict.DONE
    return update


async def meta_stamps(bench):
    """Of all copies of the object `o`, each of which has to be there."""
    return {copy.meta_stamp for copy in await bench.copies()}


def spare_of(bench):
    return next(number for number in range(len(bench.names)) if number not in bench.part())


@pytest.mark.parametrize("fault", ["gone", "full", "unmounted", "slow"])
@story
async def test_a_handoff_takes_what_a_primary_cannot(fault):
    async with ClusterBench(4, 3, patience=HASTY if fault == "slow" else ClusterBench(1).patience) as bench:
        await bench.begin()
        lost, spare = bench.part()[0], spare_of(bench)
        node = bench.node(lost)
        if fault == "unmounted":
            del bench.nodes[next(where for where, each in bench.nodes.items() if each is node)]
        elif fault == "slow":
            bench.faults[lost].slow = 5.0
        else:
            setattr(bench.faults[lost], fault, True)
        outcome = await bench.put("o", b"body")
        assert outcome.verdict is Verdict.DONE
        assert await bench.get() == b"body"
        if fault == "unmounted":
            bench.nodes[next(iter(bench.nodes))[0], 0, "back"] = node  # at another place it is no device of the ring
            assert (await node.objects._it.head(bench.cluster.places.object(O)[0])) is None
            return
        assert [copy is not None for copy in await bench.copies()] == [number != lost for number in range(4)]
        bench.faults[lost].gone = bench.faults[lost].full = False
        bench.faults[lost].slow = 0.0
        await mend(bench)
        copies = await bench.copies()
        assert copies[spare] is None
        assert [copies[number] for number in bench.part()] == [outcome.now] * 3
        assert await bench.get() == b"body"


@story
async def test_no_quorum_no_write():
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        await bench.put("o", b"old")
        for number in (0, 1):
            bench.faults[number].gone = True
        with pytest.raises(Unavailable):
            await bench.put("o", b"new")
        with pytest.raises(Unavailable):
            await bench.cluster.remove(O, 10**6)
        with pytest.raises(Unavailable):
            await bench.cluster.post(O, Update(stamp=10**6))
        with pytest.raises(Unavailable):
            await bench.cluster.put(Key("a", "other"), 10**6)
        with pytest.raises(Unavailable):
            await bench.cluster.delete(CONTAINER, 10**6)
        with pytest.raises(Unavailable):
            await bench.get("never")
        with pytest.raises(Unavailable):
            await bench.get("o")  # the one at hand has the tombstone of the deletion that was refused
        bench.faults[2].gone = True
        for verb in (bench.get(), bench.cluster.head(O), bench.cluster.info(CONTAINER, newest=True), bench.listed()):
            with pytest.raises(Unavailable):
                await verb


@story
async def test_a_device_that_fails_on_the_way_is_left_out():
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        body = body_of(3 * PIECE)
        lost = bench.part()[1]
        bench.faults[lost].at["write"] = DeviceFull("It is full.")
        outcome = await bench.put("o", body)
        assert outcome.verdict is Verdict.DONE
        assert (await bench.copies())[lost] is None
        bench.faults[lost].at = {"commit": GONE}
        await bench.put("p", body)
        bench.faults[lost].at["write"] = bench.faults[(lost + 1) % 3].at["write"] = GONE
        with pytest.raises(Unavailable):
            await bench.put("q", body)
        bench.faults[lost].at, bench.faults[(lost + 1) % 3].at = {}, {}
        await mend(bench)
        assert await bench.copies() == [outcome.now] * 3
        assert await bench.listed() == ["o", "p"]


@pytest.mark.parametrize("fault", ["gone", "slow"])
@story
async def test_a_reading_goes_on_at_another_device(fault):
    async with ClusterBench(4, 3, patience=HASTY) as bench:
        await bench.begin()
        body = body_of(4 * PIECE)
        await bench.put("o", body)
        async with await bench.cluster.read(O) as reading:
            pieces = reading.chunks(10)
            got = await anext(pieces)
            if fault == "gone":
                bench.faults[bench.part()[0]].at["chunk"] = GONE
            else:
                bench.faults[bench.part()[0]].slow = 5.0
            got += b"".join([piece async for piece in pieces])
            assert got == body[10:]
        for number in range(4):
            bench.faults[number].at["chunk"] = GONE
        reading = await bench.cluster.read(O)
        with pytest.raises(Unavailable):
            assert [piece async for piece in reading.chunks()]


@story
async def test_another_body_is_not_the_rest_of_one():
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        body = body_of(2 * PIECE)
        await bench.put("o", body)
        reading = await bench.cluster.read(O)
        pieces = reading.chunks()
        await anext(pieces)
        await bench.put("o", body[::-1])
        bench.faults[bench.part()[0]].at["chunk"] = GONE
        with pytest.raises(Unavailable):
            await anext(pieces)


@pytest.mark.parametrize("fault", [GONE, TimeoutError()], ids=["gone", "slow"])
@story
async def test_what_a_container_did_not_learn_is_brought(fault):
    async with ClusterBench(4, 3) as bench:
        await bench.begin()
        lost = bench.container_part()[:2]
        for number in lost:
            bench.faults[number].at["merge_objects"] = fault
        outcome = await bench.put("o", b"body")
        assert outcome.verdict is Verdict.DONE
        await bench.put("gone")
        assert (await bench.cluster.remove(Name("a", "c", "gone"), bench.stamp())).verdict is Verdict.DONE
        await bench.cluster.flush()
        assert sum(map(len, await bench.owed())) == 9
        upkeep = Upkeep(bench.cluster)
        assert await upkeep.updater._rows(bench.node(bench.part()[0]).objects) == (0, 3)
        for number in lost:
            bench.faults[number].at.clear()
        assert await upkeep.updater.run() >= 9
        assert await bench.owed() == [[], [], [], []]
        for number in bench.container_part():
            assert [row[0] for row in (await bench.node(number).indexes.list_objects(CONTAINER, Listing()))[1]] == ["o"]


@story
async def test_a_container_that_did_not_learn_of_a_put_nor_of_later_metadata_learns_of_both():
    """The PUT comes last, and its metadata are those that the POST set before."""
    async with ClusterBench(1, 1) as bench:
        await bench.begin()
        await bench.put("o", b"old")
        bench.faults[0].at["merge_objects"] = GONE
        put, post = bench.stamp(), bench.stamp()
        await bench.cluster.post(O, Update(stamp=post, metadata={"x-object-meta-a": "1"}))
        written = (await bench.put("o", b"new", stamp=put)).now
        assert (written.stamp, written.meta_stamp) == (put, post)
        bench.faults[0].at.clear()
        await Upkeep(bench.cluster).updater.run()
        [row] = (await bench.cluster.list_objects(CONTAINER, Listing()))[1]
        assert row[1:] == (post, 3, "text/plain", written.etag)
        assert await bench.owed() == [[]]


@story
async def test_a_row_for_a_container_that_nobody_knows_is_forgotten_in_the_end():
    async with ClusterBench(1, 1) as bench:
        await bench.put("o", b"body", stamp=stamps.now())
        await Upkeep(bench.cluster).updater.run()
        assert sum(map(len, await bench.owed())) == 1
        await Upkeep(bench.cluster, Pace(reclaim_age=0.0)).updater.run()
        assert await bench.owed() == [[]]


@story
async def test_an_account_learns_of_containers_and_counts():
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        for number in range(3):
            bench.faults[number].at["merge_containers"] = GONE
        await bench.cluster.put(Key("a", "later"), bench.stamp())
        assert [row[0] for row in (await bench.cluster.list_containers(ACCOUNT, Listing()))[1]] == ["c"]
        for number in range(3):
            bench.faults[number].at.clear()
        await bench.put("o", b"body")
        await Upkeep(bench.cluster).updater.run()
        info, rows = await bench.cluster.list_containers(ACCOUNT, Listing())
        assert [row[:3] for row in rows] == [("c", 1, 4), ("later", 0, 0)]
        assert tuple(info.total) == (2, 1, 4)
        assert (await bench.cluster.info(ACCOUNT)).total == info.total
        assert await Upkeep(bench.cluster).updater.run() == 0


@story
async def test_counts_that_one_replica_of_an_account_heard_alone_are_counted_again():
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        upkeep = Upkeep(bench.cluster)
        await upkeep.updater.run()
        await bench.put("o", b"body")
        for number in range(2):
            bench.faults[number].at["merge_containers"] = GONE
        await upkeep.updater.run()
        await bench.cluster.remove(O, bench.stamp())
        for number in range(2):
            bench.faults[number].at.clear()
        await mend(bench)
        assert (await bench.cluster.list_containers(ACCOUNT, Listing()))[1][0][:3] == ("c", 0, 0)


@story
async def test_counts_win_over_those_of_a_clock_that_is_ahead(monkeypatch):
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        updater = Upkeep(bench.cluster).updater
        await updater.run()
        now = clock.now()
        ahead = ContainerRow("c", put=2000, objects=7, bytes=70, counted=stamps.stamp(now + 5))
        assert await bench.cluster.indexes.tell_account("a", ahead)
        await bench.put("o", b"body")
        await updater.run()
        assert (await bench.cluster.list_containers(ACCOUNT, Listing()))[1][0][:3] == ("c", 7, 70)
        monkeypatch.setattr(clock, "now", lambda: now + 6)
        await updater.run()
        assert (await bench.cluster.list_containers(ACCOUNT, Listing()))[1][0][:3] == ("c", 1, 4)
        assert await updater.run() == 0


@story
async def test_an_index_that_goes_home_while_it_reports_keeps_nobody_waiting():
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        await bench.put("o", b"body")
        for number in range(3):
            bench.faults[number].at["reported"] = NotFound("There is no such index.")
        await Upkeep(bench.cluster).updater.run()
        assert [row[:3] for row in (await bench.cluster.list_containers(ACCOUNT, Listing()))[1]] == [("c", 1, 4)]


@story
async def test_a_replica_that_was_away_learns_what_it_missed():
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        await bench.put("old")
        bench.faults[0].gone = True
        await bench.put("o", b"new", metadata={"x-object-meta-a": "1"})
        await bench.cluster.post(O, Update(stamp=bench.stamp(), metadata={"x-object-meta-a": "2"}))
        await bench.cluster.remove(Name("a", "c", "old"), bench.stamp())
        await bench.cluster.put(Key("a", "d"), bench.stamp(), policy=1)
        await bench.cluster.set_metadata(CONTAINER, bench.stamp(), {"x-a": "1"})
        bench.faults[0].gone = False
        await mend(bench)
        for name in ("o", "old"):
            copies = await bench.copies(name)
            assert copies == [copies[1]] * 3
        infos = [await bench.node(number).indexes.info(CONTAINER) for number in range(3)]
        assert infos[0].digest == infos[1].digest == infos[2].digest
        assert infos[0].state == infos[1].state == infos[2].state
        assert (await bench.node(0).indexes.info(Key("a", "d"))).policy == 1
        assert [row[0] for row in (await bench.node(0).indexes.list_containers(ACCOUNT, Listing()))[1]] == ["c", "d"]
        upkeep = Upkeep(bench.cluster)
        assert [await job.run() for job in upkeep.jobs[2:4]] == [0, 0]


@story
async def test_a_handoff_keeps_what_a_primary_has_not_got_yet():
    async with ClusterBench(4, 3) as bench:
        await bench.begin()
        bench.faults[bench.part()[0]].gone = True
        outcome = await bench.put("o", b"body")
        await mend(bench)
        assert (await bench.copies())[spare_of(bench)] == outcome.now
        assert await bench.get() == b"body"


@story
async def test_a_deleted_object_does_not_return():
    async with ClusterBench(4, 3) as bench:
        await bench.begin()
        await bench.put("o", b"body")
        away = bench.part()[0]
        bench.faults[away].gone = True
        assert (await bench.cluster.remove(O, bench.stamp())).verdict is Verdict.DONE
        bench.faults[away].gone = False
        assert await bench.get(newest=True) is None
        assert (await bench.cluster.head(O, newest=True)).kind is Kind.TOMBSTONE
        assert (await bench.cluster.remove(O, bench.stamp())).verdict is Verdict.MISSING
        await mend(bench)
        assert await bench.get() is None
        assert await bench.listed() == []
        assert {copy.kind for copy in await bench.copies() if copy} == {Kind.TOMBSTONE}


@story
async def test_metadata_reach_an_object_that_a_primary_lacks():
    async with ClusterBench(4, 3) as bench:
        await bench.begin()
        away = bench.part()[0]
        bench.faults[away].gone = True
        await bench.put("o", b"body")
        bench.faults[away].gone = False
        outcome = await bench.cluster.post(O, Update(stamp=bench.stamp(), metadata={"x-object-meta-a": "1"}))
        assert outcome.verdict is Verdict.DONE
        await mend(bench)
        assert [(await bench.copies())[number] for number in bench.part()] == [outcome.now] * 3


@story
async def test_metadata_reach_an_object_that_one_primary_has():
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        outcome = await bench.put("o", b"body")
        for number in bench.part()[1:]:
            device = bench.node(number).objects._it
            [entry] = await device.entries(0, bench.cluster.places.object(O)[0].partition)
            await device.remove(entry)
        assert await bench.copies() != [outcome.now] * 3
        update = await described(bench)
        assert await meta_stamps(bench) == {update.stamp}


@story
async def test_a_container_that_a_replica_has_missed_is_described_and_deleted():
    async with ClusterBench(3, 3) as bench:
        await bench.cluster.put(ACCOUNT, bench.stamp())
        missed = bench.container_part()[0]
        for verb in ("made", "made anew"):
            bench.faults[missed].gone = True
            assert (await bench.cluster.put(CONTAINER, bench.stamp())).created, verb
            bench.faults[missed].gone = False
            bench.faults[bench.container_part()[1]].gone = True
            await bench.cluster.set_metadata(CONTAINER, bench.stamp(), {"x-a": verb})
            await bench.put("o", b"body")
            assert await bench.listed() == ["o"]
            await bench.cluster.remove(O, bench.stamp())
            bench.faults[bench.container_part()[1]].gone = False
            await bench.cluster.flush()
            await mend(bench)
            assert (await bench.cluster.info(CONTAINER)).state.metadata["x-a"][0] == verb
            assert await bench.cluster.delete(CONTAINER, bench.stamp()) is True
        assert (await bench.cluster.list_containers(ACCOUNT, Listing()))[1] == []


@pytest.mark.parametrize("verb", ["commit", "delete", "merge_objects", "set_metadata"])
@story
async def test_a_straggler_is_read_last_until_it_has_done_what_others_have(verb):
    async with ClusterBench(3, 3, patience=Patience(answer=10.0, stragglers=0.01)) as bench:
        await bench.begin()
        await bench.put("o", b"old")
        number = bench.part()[0]
        assert number == bench.container_part()[0], "the first for both"
        assert (await bench.cluster.info(CONTAINER)).state.metadata == {}
        bench.faults[number].late[verb] = 0.3
        if verb == "delete":
            await bench.cluster.remove(O, bench.stamp())
            assert await bench.get() is None
            assert await bench.listed() == []
        elif verb == "set_metadata":
            await bench.cluster.set_metadata(CONTAINER, bench.stamp(), {"x-container-read": "nobody"})
            assert (await bench.cluster.info(CONTAINER)).state.metadata["x-container-read"][0] == "nobody"
        else:
            await bench.put("o", b"new")
            await bench.put("p", b"more")
            assert await bench.get() == b"new"
            assert await bench.listed() == ["o", "p"]
        first = bench.node(number)
        assert bench.cluster.places.object(O)[1].primaries[-1] is first
        await until(lambda: bench.cluster.places.object(O)[1].primaries[0] is first)
        assert first not in bench.cluster.asker.behind


@pytest.mark.parametrize("late", [0.0, 0.05])
@story
async def test_a_replica_that_refused_a_deletion_does_not_tell_what_it_took_away(late):
    """A later PUT came to it first."""
    async with ClusterBench(3, 3, patience=Patience(answer=10.0, stragglers=0.01)) as bench:
        await bench.begin()
        cluster, key = bench.cluster, Key("a", "twice")
        await cluster.put(key, 10, metadata={"x-container-meta-word": "old"})
        first = cluster.places.index(key).primaries[0]
        await first.indexes.put(key, 30, default_policy=0)
        number = next(number for number in range(3) if bench.node(number) is first)
        bench.faults[number].late["delete"] = late
        assert await cluster.delete(key, 20)
        if late:
            await until(lambda: first in cluster.asker.behind)
        else:
            assert (await first.indexes.info(key)).state.metadata["x-container-meta-word"] == ("", 20)
        for stamp in (30, 40):
            await cluster.put(key, stamp)
        assert (await cluster.info(key)).state.metadata["x-container-meta-word"] == ("", 20)
        await mend(bench)
        assert first in cluster.places.index(key).primaries[:1]
        assert (await first.indexes.info(key)).state.metadata["x-container-meta-word"] == ("", 20)


@story
async def test_metadata_reach_a_replica_whose_object_was_still_on_its_way():
    async with ClusterBench(3, 3, patience=Patience(answer=10.0, stragglers=0.01)) as bench:
        await bench.begin()
        replicator = Upkeep(bench.cluster).replicator
        await replicator.run()
        late = bench.part()[0]
        bench.faults[late].late["commit"] = 0.2
        await bench.put("o", b"body")
        update = await described(bench)
        while (await bench.copies())[late] is None:
            await asyncio.sleep(0.001)
        assert (await bench.cluster.head(O)).metadata == update.metadata
        await replicator.run()
        assert await meta_stamps(bench) == {update.stamp}


@story
async def test_metadata_reach_a_replica_that_was_asked_while_it_had_the_object_and_took_them_when_it_had_none():
    """It does last what all do: delete one object, put another, and between them describe what is not there."""
    async with ClusterBench(3, 3, patience=Patience(answer=10.0, stragglers=0.01)) as bench:
        await bench.begin()
        await bench.put("o", b"old")
        replicator = Upkeep(bench.cluster).replicator
        await replicator.run()
        late = bench.part()[0]
        bench.faults[late].late = {"delete": 0.1, "post": 0.3, "commit": 0.5}
        await bench.cluster.remove(O, bench.stamp())
        written = (await bench.put("o", b"new")).now
        update = await described(bench)
        while (await bench.copies())[late].stamp != written.stamp:
            await asyncio.sleep(0.001)
        await replicator.run()
        assert await meta_stamps(bench) == {update.stamp}


@story
async def test_metadata_that_overtake_their_object_are_at_every_replica_when_they_are_acknowledged():
    """Another host, which reads from the replica that has the object last, does not know that it should not."""
    async with ClusterBench(3, 3, patience=Patience(answer=10.0, stragglers=1.0)) as bench:
        await bench.begin()
        late = bench.part()[0]
        bench.faults[late].late["commit"] = 0.2
        putting = asyncio.ensure_future(bench.put("o", b"body"))
        await until(lambda: bench.faults[late].said.count("commit"))
        bench.faults[late].late = {}
        while sum(copy is not None for copy in await bench.copies()) < 2:
            await asyncio.sleep(0.001)
        update = await described(bench)
        assert not putting.done()
        assert await meta_stamps(bench) == {update.stamp}
        assert bench.node(late) not in bench.cluster.asker.behind
        await putting
        assert await meta_stamps(bench) == {update.stamp}


@story
async def test_metadata_that_come_too_late_make_nobody_lack_something():
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        await bench.put("o", b"body")
        for number in range(3):
            bench.faults[number].late["post"] = 0.05
        update = Update(stamp=bench.stamp(), metadata={"x-object-meta-a": "1"})
        posting = asyncio.ensure_future(bench.cluster.post(O, update))
        await until(lambda: all("post" in faults.said for faults in bench.faults))
        await bench.cluster.remove(O, bench.stamp())
        with pytest.raises(Unavailable):
            await posting
        assert not [node for node in bench.nodes.values() if node in bench.cluster.asker.behind]


@story
async def test_who_knows_of_a_later_deletion_lacks_no_metadata():
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        await bench.put("o", b"body")
        first = bench.part()[0]
        bench.faults[first].late["post"] = 0.05
        update = Update(stamp=bench.stamp(), metadata={"x-object-meta-a": "1"})
        posting = asyncio.ensure_future(bench.cluster.post(O, update))
        await until(lambda: "post" in bench.faults[first].said)
        await bench.node(first).objects._it.delete(bench.cluster.places.object(O)[0], bench.stamp())
        assert (await posting).verdict is Verdict.DONE
        assert bench.node(first) not in bench.cluster.asker.behind
        assert bench.cluster.asker.troubles == 0
        assert not any("settle" in faults.said for faults in bench.faults), "there is nothing to mend"


@story
async def test_a_device_that_hangs_is_not_blamed_on_those_that_ask_it():
    async with ClusterBench(3, 3, patience=Patience(answer=0.3, stragglers=0.01)) as bench:
        await bench.begin()
        bench.faults[bench.container_part()[0]].slow = 5.0
        with pytest.raises(NotFound):
            await bench.cluster.delete(Key("a", "never"), bench.stamp())
        late = [number for number in range(3) if bench.node(number) in bench.cluster.asker.behind]
        assert late == [bench.container_part()[0]]


@pytest.mark.parametrize("lost", [1, 2])
@story
async def test_who_hangs_while_an_upload_is_given_up_keeps_nobody_waiting(lost, monkeypatch):
    monkeypatch.setattr(writing, "_FORGET", 0.01)
    async with ClusterBench(3, 3, patience=Patience(answer=0.05, commit=0.1, stragglers=0.05)) as bench:
        await bench.begin()
        for number in range(3):
            device = bench.node(number).objects._it
            device.begin = hanging(device.begin, number < lost)
        async with asyncio.timeout(5):
            if lost == 1:
                assert (await bench.put("o", b"body", size=4)).verdict is Verdict.DONE
            else:
                with pytest.raises(Unavailable):
                    await bench.put("o", b"body", size=4)


def hanging(begin, hangs):
    """Uploads that neither commit nor let themselves be forgotten."""

    async def never(*given, **more):
        await asyncio.Event().wait()

    async def verb(*given, **more):
        upload = await begin(*given, **more)
        if hangs:
            upload.commit = upload.abort = never
        return upload

    return verb


@story
async def test_a_device_that_did_not_answer_is_asked_last_for_a_while():
    async with ClusterBench(4, 3, patience=HASTY) as bench:
        await bench.begin()
        await bench.put("o", b"body")
        slow, spare = bench.part()[0], spare_of(bench)
        bench.faults[slow].slow = 5.0
        assert await bench.get() == b"body"
        bench.faults[slow].slow = 0.0
        for number in (slow, spare):
            bench.faults[number].said.clear()
        assert await bench.get() == b"body"
        assert await bench.cluster.head(O) is not None
        await bench.put("o", b"more")
        assert [bench.faults[number].said.count("begin") for number in (slow, spare)] == [0, 1]
        assert "read" not in bench.faults[slow].said
        for number in bench.part()[1:]:
            bench.faults[number].gone = True
        assert await bench.get() == b"body", "there is no other"


@story
async def test_a_device_that_was_passed_over_may_lack_something():
    async with ClusterBench(4, 3, patience=HASTY) as bench:
        await bench.begin()
        await bench.put("o", b"body")
        node, behind = bench.node(bench.part()[0]), bench.cluster.asker.behind
        bench.faults[bench.part()[0]].slow = 5.0
        assert await bench.get() == b"body"
        bench.faults[bench.part()[0]].slow = 0.0
        await mend(bench)
        assert node not in behind
        assert bench.cluster.asker.rests(node)
        assert await bench.get() == b"body"
        assert node not in behind, "it was only read later than others"
        await bench.put("o", b"more")
        assert node in behind


@story
async def test_an_audit_rests_between_two_passes(monkeypatch):
    now = 1_800_000_000.0
    monkeypatch.setattr(clock, "now", lambda: now)
    async with ClusterBench(1, 1) as bench:
        await bench.begin()
        await bench.put("o", b"body")
        upkeep = Upkeep(bench.cluster, Pace(audit_every=100.0))
        assert await upkeep.auditor.run() == 0
        bench.node(0).objects._it.rot(bench.cluster.places.object(O)[0])
        assert await upkeep.auditor.run() == 0
        now += 100
        assert await upkeep.auditor.run() == 1
        assert await bench.get() is None


@pytest.mark.parametrize("comes", ["back", "anew"])
@story
async def test_a_device_that_missed_something_is_read_last_until_it_has_it(comes):
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        await bench.put("o", b"old")
        number = bench.part()[0]
        assert number == bench.container_part()[0], "the first for both"
        bench.faults[number].gone = True
        await bench.put("o", b"new")
        await bench.put("p", b"more")
        await bench.cluster.set_metadata(CONTAINER, bench.stamp(), {"x-container-read": "nobody"})
        bench.faults[number].gone = False
        node = bench.node(number)
        if comes == "anew":
            node = Node(objects=node.objects, indexes=node.indexes)
            bench.nodes[where(bench.devices[number])] = node
        assert await bench.get() == b"new"
        assert await bench.listed() == ["o", "p"]
        assert (await bench.cluster.info(CONTAINER)).state.metadata["x-container-read"][0] == "nobody"
        assert node in bench.cluster.asker.behind
        await mend(bench)
        assert node not in bench.cluster.asker.behind
        assert bench.cluster.places.object(O)[1].primaries[0] is node
        assert await bench.get() == b"new"


@pytest.mark.parametrize("local", [True, False], ids=["here", "elsewhere"])
@story
async def test_an_upload_whose_caller_is_gone_leaves_nothing_open(local):
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        for at, node in list(bench.nodes.items()):
            bench.nodes[at] = Node(objects=node.objects, indexes=node.indexes, local=local)
        uploads = []
        for number in range(3):
            device = bench.node(number).objects._it
            device.begin = kept(device.begin, uploads)
        bench.faults[bench.part()[2]].slow = 0.05
        opening = asyncio.ensure_future(bench.cluster.write(O, 4))
        await until(lambda: len(uploads) == 2)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await bench.cluster.asker.close()
        assert len(uploads) == (2 if local else 3)
        assert all(upload._ended for upload in uploads)


def kept(begin, uploads):
    async def verb(*given, **more):
        uploads.append(await begin(*given, **more))
        return uploads[-1]

    return verb


async def until(true):
    while not true():
        await asyncio.sleep(0.001)


@story
async def test_nothing_is_compared_while_there_is_no_trouble(monkeypatch):
    now = 1_800_000_000.0
    monkeypatch.setattr(clock, "now", lambda: now)
    async with ClusterBench(4, 3) as bench:
        await bench.begin()
        await bench.put("o", b"body")
        replicator = Upkeep(bench.cluster).replicator

        async def compared():
            for faults in bench.faults:
                faults.said.clear()
            await replicator.run()
            return any("digests" in faults.said for faults in bench.faults)

        assert [await compared(), await compared()] == [True, False]
        bench.faults[bench.part()[0]].gone = True
        await bench.put("p", b"body")
        assert [await compared(), await compared()] == [True, True]
        bench.faults[bench.part()[0]].gone = False
        assert [await compared(), await compared(), await compared()] == [True, True, False]
        now += 1801
        assert [await compared(), await compared()] == [True, False]
        bench.faults[bench.part()[0]].at["commit"] = GONE
        await bench.put("q", b"body")
        assert await compared()


@story
async def test_what_is_damaged_comes_back_from_another_replica():
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        outcome = await bench.put("o", b"body")
        address, _ = bench.cluster.places.object(O)
        first = bench.node(bench.part()[0]).objects._it
        first.rot(address)
        assert await Upkeep(bench.cluster).auditor.run() == 1
        assert len(await first.quarantined()) == 1
        assert await bench.copies() == [outcome.now] * 3
        async with await first.read(address) as reading:
            assert reading.inline == b"body"


@story
async def test_a_damaged_body_is_not_spread():
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        lost, bad, good = bench.part()
        bench.faults[lost].gone = True
        outcome = await bench.put("o", b"body")
        bench.faults[lost].gone = False
        address, _ = bench.cluster.places.object(O)
        bench.node(bad).objects._it.rot(address)
        await mend(bench)
        assert await bench.copies() == [outcome.now] * 3
        for number in (lost, bad, good):
            async with await bench.node(number).objects.read(address) as reading:
                assert reading.inline == b"body"


@story
async def test_a_read_repairs_what_it_finds_missing():
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        outcome = await bench.put("o", b"body")
        device = bench.node(bench.part()[0]).objects
        [entry] = await device.entries(0, bench.cluster.places.object(O)[0].partition)
        assert await device.remove(entry)
        assert await bench.get() == b"body"
        await bench.cluster.asker.close()  # it waits for what goes on beside requests
        assert await bench.copies() == [outcome.now] * 3


@story
async def test_what_is_over_is_deleted(monkeypatch):
    now = 1_800_000_000.0
    monkeypatch.setattr(clock, "now", lambda: now)
    async with ClusterBench(4, 3) as bench:
        await bench.cluster.put(ACCOUNT, 1)
        await bench.cluster.put(CONTAINER, 2)
        for name, seconds in (("over", 10), ("later", 1000), ("extended", 10)):
            await bench.put(name, b"body", stamp=stamps.now(), delete_at=int(now) + seconds)
        bench.faults[bench.part("extended")[0]].gone = True
        update = Update(stamp=stamps.now() + 8192, delete_at=int(now) + 500)
        await bench.cluster.post(Name("a", "c", "extended"), update)
        bench.faults[bench.part("extended")[0]].gone = False
        upkeep = Upkeep(bench.cluster)
        assert await upkeep.expirer.run() == 0
        now += 10
        assert await upkeep.expirer.run() == 1
        assert await bench.listed() == ["extended", "later"]
        assert await bench.get("over") is None
        await mend(bench)
        assert (await bench.cluster.head(Name("a", "c", "extended"))).delete_at == update.delete_at
        assert await upkeep.expirer.run() == 0


@story
async def test_objects_of_a_policy_without_a_ring_are_let_be(monkeypatch):
    now = 1_800_000_000.0
    monkeypatch.setattr(clock, "now", lambda: now)
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        await bench.put("o", b"body", stamp=stamps.now(), delete_at=int(now) + 1)
        address, _ = bench.cluster.places.object(O)
        bench.cluster.places.rings = msgspec.structs.replace(bench.rings, objects={1: bench.ring})
        now += 10
        bench.node(0).objects._it.rot(address)
        for job in Upkeep(bench.cluster).jobs:
            await job.run()
        with pytest.raises(Unavailable):
            await bench.get()
        bench.cluster.places.rings = bench.rings
        await mend(bench)
        assert await Upkeep(bench.cluster).expirer.run() == 1


@story
async def test_who_was_given_a_container_by_a_new_ring_is_read_last():
    async with ClusterBench(4, 3) as bench:
        await bench.begin()
        await bench.put("old")
        part, [first, *_] = bench.index_ring.find("a", "c")
        spare = next(number for number in range(4) if number not in bench.container_part())
        rows = [array("H", [(each + replica) % 4 for each in range(16)]) for replica in range(3)]
        rows[0][part] = spare
        ring = Ring(RingFile(part_power=4, devices=list(bench.devices), rows=rows), "secret", "end")
        bench.cluster.places.take(msgspec.structs.replace(bench.rings, container=ring))
        assert bench.cluster.places.index(CONTAINER).primaries[-1] is bench.node(spare)
        await bench.put("new")
        assert (await bench.node(spare).indexes.info(CONTAINER)).total.objects == 1
        assert await bench.listed() == ["new", "old"]
        bench.cluster.indexes.forget(CONTAINER)  # counts are remembered for seconds
        assert (await bench.cluster.info(CONTAINER)).total.objects == 2
        for number in {*bench.container_part()} - {first.id}:
            bench.faults[number].gone = True
        assert await bench.listed() == ["new"], "better than nothing"
        for faults in bench.faults:
            faults.gone = False
        await mend(bench)
        assert (await bench.node(spare).indexes.info(CONTAINER)).total.objects == 2


@story
async def test_tombstones_are_forgotten_when_they_are_old(monkeypatch):
    now = 1_800_000_000.0
    monkeypatch.setattr(clock, "now", lambda: now)
    async with ClusterBench(3, 3) as bench:
        await bench.cluster.put(ACCOUNT, 1)
        await bench.cluster.put(CONTAINER, 2)
        await bench.put("o", b"body", stamp=stamps.now())
        await bench.cluster.remove(O, stamps.now() + 8192)
        await bench.cluster.delete(CONTAINER, stamps.now() + 8192)
        upkeep = Upkeep(bench.cluster, Pace(reclaim_age=100.0))
        await upkeep.updater.run()
        await upkeep.reclaimer.run()
        assert (await bench.cluster.head(O)).kind is Kind.TOMBSTONE
        now += 101
        await upkeep.reclaimer.run()
        assert await bench.cluster.head(O) is None
        assert await bench.cluster.info(CONTAINER, newest=True) is None
        assert (await bench.cluster.info(ACCOUNT, newest=True)).total.containers == 0


@story
async def test_a_store_of_indexes_that_was_lost_is_filled_again():
    async with ClusterBench(3, 3) as bench:
        await bench.begin()
        await bench.put("o", b"body")
        upkeep = Upkeep(bench.cluster)
        await upkeep.index_replicator.run()
        where = next(iter(bench.nodes))
        bench.nodes[where] = Node(objects=bench.nodes[where].objects, indexes=FakeIndex())
        assert await bench.listed() == ["o"]
        await upkeep.index_replicator.run()
        for node in bench.nodes.values():
            assert [row[0] for row in (await node.indexes.list_objects(CONTAINER, Listing()))[1]] == ["o"]


@story
async def test_an_index_on_a_handoff_goes_home():
    async with ClusterBench(4, 3) as bench:
        await bench.cluster.put(ACCOUNT, bench.stamp())
        away = bench.container_part()[0]
        spare = next(number for number in range(4) if number not in bench.container_part())
        bench.faults[away].gone = True
        await bench.cluster.put(CONTAINER, bench.stamp(), policy=1)
        assert await bench.node(spare).indexes.info(CONTAINER) is not None
        await bench.node(spare).indexes.merge_objects(CONTAINER, [ObjectRow("o", 5, policy=1)])
        bench.faults[away].gone = False
        await mend(bench)
        assert await bench.node(spare).indexes.info(CONTAINER) is None
        for number in bench.container_part():
            info, rows = await bench.node(number).indexes.list_objects(CONTAINER, Listing())
            assert (info.policy, [row[0] for row in rows]) == (1, ["o"])


@story
async def test_upkeep_runs_again_and_again_until_it_is_stopped():
    turns = asyncio.Semaphore(0)
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        turns.release()
        await asyncio.sleep(0)

    async with ClusterBench(1, 1, far=False) as bench:
        await bench.begin()
        bench.faults[0].at["expired"] = ValueError("a fault of the program")
        numbers = {"updater": 1, "expirer": 2, "replicator": 3, "auditor": 4, "reclaimer": 5, "reaper": 6}
        pace = Pace(**numbers, reconciler=7, deleter=8, sharder=9)
        upkeep = Upkeep(bench.cluster, pace, sleep)
        upkeep.start()
        for _ in range(30):
            await turns.acquire()
        await upkeep.stop()
        assert set(slept) == set(range(1, 10))
        assert not any(task.get_name() in {job.name for job in upkeep.jobs} for task in asyncio.all_tasks())
