# SPDX-License-Identifier: Apache-2.0
"""An encoded policy when devices are gone, full, slow or damaged, and how its fragments come back."""

from __future__ import annotations

import asyncio
import hashlib
import tracemalloc

import msgspec
import pytest

from cumulet.kernel import clock
from cumulet.services.object_store.drivers.base import DeviceFull, DeviceGone
from cumulet.services.object_store.engine.base import Name, Unavailable
from cumulet.services.object_store.engine.cluster import Cluster
from cumulet.services.object_store.engine.coded.scheme import Scheme, at
from cumulet.services.object_store.engine.jobs.upkeep import Pace, Upkeep
from cumulet.services.object_store.types import objects, stamps
from cumulet.services.object_store.types.objects import Kind, Update, Verdict
from drivers.object_store.cluster_benches import CODE, HASTY, ClusterBench, body_of, story

O = Name("a", "c", "o")  # noqa: E741
GONE = DeviceGone("It is gone.", code="DeviceGone")
BODY = body_of(250_001)  # two segments and a half


async def mend(bench, runs=2, **pace):
    upkeep = Upkeep(bench.cluster, Pace(**pace))
    for _ in range(runs):
        await upkeep.completer.run()
        await upkeep.updater.run()
        await upkeep.index_replicator.run()
        await upkeep.replicator.run()
    return upkeep


def coded(size=5, **more):
    return ClusterBench(size, scheme=more.pop("scheme", CODE), **more)


def address_of(bench, name="o"):
    return bench.cluster.places.object(Name("a", "c", name))[0]


async def all_home(bench, whole, name="o"):
    """Each primary has its own fragment of this, and nobody anything else."""
    copies = await bench.copies(name)
    for place, number in enumerate(bench.part(name)):
        assert copies[number] == {place % bench.scheme.fragments: whole}
    assert sum(map(len, copies)) == bench.scheme.replicas
    assert await bench.waiting() == [0] * len(bench.names)


@pytest.mark.parametrize(
    "scheme", [CODE, Scheme(type="liberasurecode_rs_vand", data=3, parity=1, segment=1000)], ids=["2+2", "3+1"]
)
@pytest.mark.parametrize("size", [0, 1, 999, 100_000, 250_001])
@story
async def test_any_fragments_give_the_object_back(scheme, size):
    async with coded(4, scheme=scheme) as bench:
        await bench.begin()
        body = body_of(size)
        await bench.put("o", body)
        part = bench.part()
        for lost in [(a, b) for a in range(4) for b in range(a)] if scheme.parity == 2 else [(a,) for a in range(4)]:
            for number, faults in enumerate(bench.faults):
                faults.gone = number in [part[place] for place in lost]
            assert await bench.get() == body
            if size:
                assert await bench.get("o", size // 2, size // 2 + 1) == body[size // 2 : size // 2 + 1]
                assert await bench.get("o", size - 1, None) == body[-1:]
        for faults in bench.faults:
            faults.gone = True
        with pytest.raises(Unavailable):
            await bench.get()


@story
async def test_each_fragment_on_two_devices():
    scheme = Scheme(type="isa_l_rs_cauchy", data=2, parity=1, segment=1000, copies=2)
    async with coded(7, scheme=scheme) as bench:
        await bench.begin()
        outcome = await bench.put("o", BODY)
        await all_home(bench, outcome.now)
        for number in bench.part()[:2]:
            bench.faults[number].gone = True
        assert await bench.get() == BODY
        bench.faults[bench.part()[0]].gone = bench.faults[bench.part()[1]].gone = False
        await bench.lose(bench.part()[1])
        await mend(bench)
        await all_home(bench, outcome.now)


@pytest.mark.parametrize("fault", ["gone", "full", "slow", "write", "commit"])
@story
async def test_a_handoff_takes_the_fragment_that_a_primary_cannot(fault):
    async with coded(patience=HASTY if fault == "slow" else ClusterBench(1).patience) as bench:
        await bench.begin()
        lost = bench.part()[1]
        if fault == "slow":
            bench.faults[lost].slow = 5.0
        elif fault in ("write", "commit"):
            bench.faults[lost].at[fault] = DeviceFull("It is full.")
        else:
            setattr(bench.faults[lost], fault, True)
        outcome = await bench.put("o", BODY)
        assert outcome.verdict is Verdict.DONE
        assert await bench.get() == BODY
        assert await bench.listed() == ["o"]
        faults = bench.faults[lost]
        faults.gone, faults.full, faults.slow, faults.at = False, False, 0.0, {}
        await mend(bench, 3)
        await all_home(bench, outcome.now)
        assert await bench.get() == BODY


@story
async def test_no_quorum_no_write_and_the_old_stays():
    async with coded(4) as bench:
        await bench.begin()
        await bench.put("o", BODY)
        for number in bench.part()[:2]:
            bench.faults[number].gone = True
        for verb in (bench.put("o", b"new"), bench.cluster.remove(O, 10**6)):
            with pytest.raises(Unavailable):
                await verb
        for number in bench.part()[:2]:
            bench.faults[number].gone = False
        await mend(bench)
        assert (await bench.cluster.head(O)).kind is Kind.TOMBSTONE  # two knew of the deletion that was refused
        await bench.put("o", BODY, stamp=2 * 10**6)
        for number in bench.part()[:2]:
            bench.faults[number].at["commit"] = GONE
        with pytest.raises(Unavailable):
            await bench.put("o", b"new", stamp=3 * 10**6)
        await bench.cluster.asker.close()
        assert await bench.get() == BODY
        assert await bench.waiting() == [0] * 4


@story
async def test_what_was_never_confirmed_is_not_seen_and_goes_when_it_is_old(monkeypatch):
    async with coded() as bench:
        await bench.begin()
        old = await bench.put("o", BODY)
        for faults in bench.faults:
            faults.at["confirm"] = GONE
        with pytest.raises(Unavailable):
            await bench.put("o", body_of(70_000))
        for faults in bench.faults:
            faults.at = {}
        assert sum(await bench.waiting()) == 4
        assert await bench.get() == BODY
        await mend(bench)
        assert sum(await bench.waiting()) == 4
        now = clock.now()
        monkeypatch.setattr(clock, "now", lambda: now + 100)
        await mend(bench, reclaim_age=99.0)
        await all_home(bench, old.now)


@pytest.mark.parametrize("done", [1, 2])
@story
async def test_what_was_confirmed_once_is_confirmed_everywhere(done):
    """The process ended after the first confirmations."""
    async with coded() as bench:
        await bench.begin()
        await bench.put("o", BODY)
        new = body_of(70_000)
        for number in bench.part()[done:]:
            bench.faults[number].at["confirm"] = GONE
        with pytest.raises(Unavailable):
            await bench.put("o", new)
        for faults in bench.faults:
            faults.at = {}
        assert await bench.get() == new, "what waits elsewhere is of use"
        whole = await bench.cluster.head(O)
        await mend(bench, 3)
        await all_home(bench, whole)
        assert await bench.listed() == ["o"]
        assert await bench.owed() == [[]] * 5


@story
async def test_a_confirmed_version_is_read_or_nothing():
    """Never older data behind an acknowledged write, even where too few fragments are at hand."""
    async with coded(4) as bench:
        await bench.begin()
        await bench.put("o", BODY)
        part = bench.part()
        bench.faults[part[3]].gone = True
        new = body_of(70_000)
        await bench.put("o", new)
        bench.faults[part[3]].gone = False
        bench.faults[part[0]].gone = bench.faults[part[1]].gone = True
        with pytest.raises(Unavailable):
            await bench.get()
        bench.faults[part[1]].gone = False
        assert await bench.get() == new


@story
async def test_writes_at_once():
    """Some older one is refused, and the last is there."""
    async with coded(6) as bench:
        await bench.begin()
        bodies = {stamp: body_of(stamp) for stamp in range(90_000, 90_012)}
        done = await asyncio.gather(*(bench.put("o", body, stamp) for stamp, body in bodies.items()))
        assert {each.verdict for each in done} <= {Verdict.DONE, Verdict.NEWER}
        assert await bench.get() == bodies[90_011]
        await mend(bench)
        await all_home(bench, (await bench.cluster.head(O)))
        assert (await bench.cluster.head(O)).stamp == 90_011


@story
async def test_a_deletion_between_both_steps():
    async with coded() as bench:
        await bench.begin()
        await bench.put("o", BODY)
        gate = asyncio.Event()
        devices = [bench.node(number).objects for number in range(5)]
        for device in devices:
            confirm = device._it.confirm

            async def waits(*given, confirm=confirm):
                await gate.wait()
                return await confirm(*given)

            device._it.confirm = waits
        task = asyncio.create_task(bench.put("o", b"new", stamp=50_000))
        while sum(await bench.waiting()) < 4:
            await asyncio.sleep(0)
        assert (await bench.cluster.remove(O, 60_000)).verdict is Verdict.DONE
        gate.set()
        assert (await task).verdict is Verdict.NEWER
        assert await bench.get() is None
        await mend(bench)
        assert await bench.waiting() == [0] * 5
        assert await bench.listed() == []


@story
async def test_several_parts_by_one_reading():
    async with coded() as bench:
        await bench.begin()
        body = body_of(1_000_000)
        await bench.put("o", body)
        async with await bench.cluster.read(O) as reading:
            for start, end in ((5, 10), (150_000, 250_001), (250_001, 260_000), (0, None), (999_999, None), (7, 3)):
                assert b"".join([piece async for piece in reading.chunks(start, end)]) == body[start:end], (start, end)


@pytest.mark.parametrize("fault", ["gone", "slow"])
@story
async def test_a_source_that_fails_on_the_way_is_replaced(fault):
    async with coded(patience=HASTY) as bench:
        await bench.begin()
        body = body_of(1_000_000)
        await bench.put("o", body)
        async with await bench.cluster.read(O) as reading:
            pieces = []
            async for piece in reading.chunks():
                pieces.append(piece)
                if len(pieces) == 2:
                    number = bench.part()[0]
                    if fault == "gone":
                        bench.faults[number].gone = True
                    else:
                        bench.faults[number].slow = 5.0
            assert b"".join(pieces) == body


@story
async def test_more_sources_fail_than_there_are_others():
    async with coded(4) as bench:
        await bench.begin()
        await bench.put("o", body_of(3_000_000))
        async with await bench.cluster.read(O) as reading:
            pieces = reading.chunks()
            await anext(pieces)
            for number in bench.part()[:3]:
                bench.faults[number].at["chunk"] = GONE
            with pytest.raises(Unavailable):
                async for _ in pieces:
                    pass


@pytest.mark.parametrize("lost", [1, 2])
@story
async def test_lost_disks_are_filled_again(lost):
    async with coded() as bench:
        await bench.begin()
        outcomes = {f"o{number}": await bench.put(f"o{number}", body_of(number * 70_000)) for number in range(6)}
        await bench.cluster.remove(Name("a", "c", "o3"), 10**6)
        await bench.cluster.post(Name("a", "c", "o4"), Update(stamp=10**6, metadata={"x-object-meta-a": "1"}))
        for number in range(lost):
            await bench.lose(number)
        await mend(bench)
        for number, (name, outcome) in enumerate(outcomes.items()):
            whole = await bench.cluster.head(Name("a", "c", name))
            await all_home(bench, whole, name)
            if number == 3:
                assert whole == objects.tombstone(10**6)
                continue
            assert whole.stamp == outcome.now.stamp
            assert await bench.get(name) == body_of(number * 70_000)
        assert (await bench.cluster.head(Name("a", "c", "o4"))).metadata == {"x-object-meta-a": "1"}


@story
async def test_rot_is_found_and_made_good():
    async with coded() as bench:
        await bench.begin()
        outcome = await bench.put("o", BODY)
        for place in (0, 2):
            device = bench.node(bench.part()[place]).objects._it
            device.rot(at(address_of(bench), place))
        upkeep = Upkeep(bench.cluster)
        assert await upkeep.auditor.run() in (1, 2), "the second may be found as the first is made again"
        await mend(bench)
        await all_home(bench, outcome.now)
        assert await bench.get() == BODY
        for place in (0, 2):
            assert len(await bench.node(bench.part()[place]).objects._it.quarantined()) == 1


@pytest.mark.parametrize("byte", [0, 90, 70_000])
@story
async def test_rot_that_no_audit_found_is_not_built_upon(byte):
    """Neither of a header nor of what is behind it."""
    async with coded() as bench:
        await bench.begin()
        outcome = await bench.put("o", BODY)
        part = bench.part()
        kept = bench.node(part[0]).objects._it._kept
        for place, (entry, old) in kept.items():
            kept[place] = entry, old[:byte] + bytes([old[byte] ^ 1]) + old[byte + 1 :]
        bench.node(part[1]).objects._it._kept.clear()
        await mend(bench, 4)
        await all_home(bench, outcome.now)
        assert await bench.get() == BODY
        assert len(await bench.node(part[0]).objects._it.quarantined()) == 1


@story
async def test_a_fragment_in_the_place_of_another():
    """Its own header tells, so that the object is read from others."""
    async with coded() as bench:
        await bench.begin()
        await bench.put("o", BODY)
        part, where = bench.part(), address_of(bench)
        wrong = bench.node(part[2]).objects._it._kept
        right = bench.node(part[0]).objects._it._kept
        (there,) = [key for key in right if key[3] == where.hash]
        (other,) = [key for key in wrong if key[3] == where.hash]
        right[there] = right[there][0], wrong[other][1]
        assert await bench.get() == BODY


@story
async def test_metadata_reach_who_missed_them():
    async with coded() as bench:
        await bench.begin()
        await bench.put("o", BODY)
        lost = bench.part()[3]
        bench.faults[lost].gone = True
        update = Update(stamp=10**6, metadata={"x-object-meta-a": "1"}, content_type="image/png")
        assert (await bench.cluster.post(O, update)).verdict is Verdict.DONE
        bench.faults[lost].gone = False
        whole = await bench.cluster.head(O)
        assert (whole.metadata, whole.content_type) == ({"x-object-meta-a": "1"}, "image/png")
        await mend(bench)
        await all_home(bench, whole)


@story
async def test_a_fragment_without_its_others_gives_way_when_it_is_old(monkeypatch):
    """A device comes back with the only confirmed fragment of a write that was given up meanwhile."""
    async with coded(4) as bench:
        await bench.begin()
        old, stamp = await bench.put("o", BODY), stamps.now()
        for number in bench.part()[1:]:
            bench.faults[number].at["confirm"] = GONE
        with pytest.raises(Unavailable):
            await bench.put("o", b"new", stamp)
        for place, number in enumerate(bench.part()):
            bench.faults[number].at = {}
            await bench.node(number).objects._it.withdraw(at(address_of(bench), place), stamp)
        with pytest.raises(Unavailable):
            await bench.get()
        await mend(bench)
        now = clock.now()
        monkeypatch.setattr(clock, "now", lambda: now + 10**6)
        await mend(bench, reclaim_age=10.0)
        assert await bench.get() == BODY
        await mend(bench)
        await all_home(bench, old.now)


@story
async def test_what_expires_is_deleted_once():
    async with coded() as bench:
        await bench.begin()
        await bench.put("o", BODY, delete_at=int(clock.now()) - 10)
        upkeep = Upkeep(bench.cluster)
        assert await upkeep.expirer.run() == 1
        assert await upkeep.expirer.run() == 0
        assert (await bench.cluster.head(O)).kind is Kind.TOMBSTONE
        assert await bench.listed() == []


@pytest.mark.parametrize("change", ["segment", "code"])
@story
async def test_a_policy_that_was_changed(change):
    """Another size of segments is only for what is to come; for all else nothing is touched."""
    async with coded() as bench:
        await bench.begin()
        old = await bench.put("o", BODY)
        if change == "segment":
            scheme = msgspec.structs.replace(CODE, segment=7_000)
        else:
            scheme = msgspec.structs.replace(CODE, type="isa_l_rs_cauchy")
        policies = [msgspec.structs.replace(bench.policies[0], scheme=scheme), bench.policies[1]]
        bench.cluster = Cluster(policies, bench.rings, bench.nodes, patience=bench.patience)
        await bench.lose(bench.part()[0])
        await mend(bench)
        if change == "segment":
            await bench.put("p", BODY)
            assert await bench.get("o") == await bench.get("p") == BODY
            await all_home(bench, old.now)
        else:
            with pytest.raises(Unavailable):
                await bench.get()
            assert sum(map(len, await bench.copies())) == 3
            assert [await bench.node(number).objects._it.quarantined() for number in range(5)] == [[]] * 5
        await bench.cluster.close()


@story
async def test_what_does_not_fit_is_let_be():
    """A ring with too few places, and a fragment that does not tell of its object."""
    async with coded() as bench:
        await bench.begin()
        await bench.put("o", BODY)
        number, where = bench.part()[0], at(address_of(bench), 0)
        device = bench.node(number).objects._it
        entry = (await device.entries(0, where.partition, where.suffix))[0]
        assert await device.remove(entry)
        async with await device.begin(where) as upload:
            await upload.write(b"x")
            odd = objects.put(stamps.now(), 1, hashlib.md5(b"x").hexdigest(), "text/plain", fragment=0)
            await upload.commit(odd)
        with pytest.raises(Unavailable):
            await bench.get()
        await mend(bench)
        assert (await bench.put("o", BODY, stamps.now() + 1)).verdict is Verdict.DONE
        assert await bench.get() == BODY
        bench.cluster.places.rings = msgspec.structs.replace(bench.rings, objects={0: bench.index_ring})
        await mend(bench)
        for work in (bench.get(), bench.put("o", b"x"), bench.cluster.remove(O, 5)):
            with pytest.raises(Unavailable):
                await work


def test_memory_does_not_grow_with_a_body(tmp_path):
    memory(tmp_path)


@story
async def memory(root):
    scheme = msgspec.structs.replace(CODE, segment=1 << 20)
    async with coded(4, root=root, scheme=scheme) as bench:
        await bench.begin()
        sums = hashlib.md5(), hashlib.md5()
        tracemalloc.start()
        try:
            async with await bench.cluster.write(O) as writing:
                for number in range(128):
                    piece = hashlib.sha256(b"%d" % number).digest() * 8192
                    sums[0].update(piece)
                    await writing.write(piece)
                version = objects.put(bench.stamp(), writing.size, await writing.etag(), "text/plain")
                await writing.commit(version)
            writing_peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
            async with await bench.cluster.read(O) as reading:
                async for piece in reading.chunks():
                    sums[1].update(piece)
            reading_peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert version.etag == sums[0].hexdigest() == sums[1].hexdigest()
        assert version.size == 32 << 20
        assert writing_peak < 14 << 20
        assert reading_peak < 12 << 20
