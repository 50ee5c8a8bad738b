# SPDX-License-Identifier: Apache-2.0
"""What each device promises of fragments: several of an object, and some that wait beside what is there."""

from __future__ import annotations

import asyncio
import sqlite3

import msgspec
import pytest

from cumulet.services.object_store.drivers.base import INLINE
from cumulet.services.object_store.drivers.local import catalogue_reads as reads
from cumulet.services.object_store.drivers.local.device import CATALOGUE
from cumulet.services.object_store.types import objects
from cumulet.services.object_store.types.objects import Entry, OwedUpdate, Update, Verdict
from drivers.object_store.device_benches import LocalBench, address, body_of, content, on_a_loop, put
from drivers.object_store.remote_benches import BENCHES

F = address(policy=1, fragment=2)
SIZES = [0, 10, INLINE + 1]
OWED = OwedUpdate(account="a", container="c", object="o", stamp=200, row=b"row")


@pytest.fixture(params=list(BENCHES))
def bench(request, tmp_path):
    return BENCHES[request.param](tmp_path)


def at(fragment):
    return msgspec.structs.replace(F, fragment=fragment)


async def body_at(device, where, stamp):
    reading = await device.read(where, stamp)
    if reading is None:
        return None
    async with reading:
        assert reading.version.stamp == stamp
        return b"".join([piece async for piece in reading.chunks()])


@on_a_loop
async def test_fragments_lie_beside_each_other(bench):
    device = await bench.open()
    versions = {}
    for fragment in (0, 2, 5):
        body = body_of(INLINE + fragment, fragment)
        versions[fragment] = (await put(device, at(fragment), body, 100, fragment=fragment)).now
    await put(device, address(policy=1), b"whole", 100)
    await put(device, address("other", policy=1, fragment=2), b"x", 100, fragment=2)
    for fragment in (0, 2, 5):
        assert await content(device, at(fragment)) == body_of(INLINE + fragment, fragment)
        assert await device.head(at(fragment)) == versions[fragment]
        assert (await device.entries(1, 7, at(fragment).suffix))[0] == Entry(at(fragment), versions[fragment])
        assert await device.entries(1, 7, at(fragment).suffix, after=F.hash) == []
    assert await device.head(at(1)) is None
    found = await device.fragments(F)
    assert {each.entry.address.fragment: each.entry.version for each in found} == versions
    assert {each.at for each in found} == {0}
    digests = await device.digests(1, 7)
    assert len({digests[at(fragment).suffix] for fragment in (0, 2, 5)}) == 1, "whatever fragment it is"
    assert await device.remove(Entry(at(5), versions[5]))
    assert len(await device.fragments(at(1))) == 2
    assert (await device.delete(at(2), 300)).verdict is Verdict.DONE
    left = {each.entry.address: each.entry.version for each in await device.fragments(F)}
    assert left == {at(0): versions[0], at(2): objects.tombstone(300)}
    assert await content(device, at(0)) is not None
    assert await device.partitions() == [(1, 7)]
    assert [each.address.fragment for each in await device.entries(1, 7)] == [objects.WHOLE]
    assert await device.entries(1, 7, after=F.hash) == []


@pytest.mark.parametrize("size", SIZES)
@on_a_loop
async def test_what_is_pending_waits_beside_what_is_there(bench, size):
    device, old, new = await bench.open(), body_of(size), body_of(size, 1)
    first = (await put(device, F, old, 100, fragment=2)).now
    before = await device.digests(1, 7)
    outcome = await put(device, F, new, 200, [OWED], pending=True, fragment=2)
    assert (outcome.verdict, outcome.before, outcome.now, outcome.owed) == (Verdict.DONE, first, first, ())
    assert await content(device, F) == old
    assert await body_at(device, F, 200) == new
    assert await body_at(device, F, 100) == old
    assert await body_at(device, F, 150) is None
    assert await device.digests(1, 7) == before
    there, waiting = await device.fragments(at(0))
    assert (there.entry.version, there.at) == (first, 0)
    assert (waiting.entry.address, waiting.entry.version.stamp) == (F, 200)
    assert await device.pending() == [waiting]
    assert await device.pending(after=waiting.id) == []
    assert await device.sweep() == 0
    outcome = await device.confirm(F, 200, [OWED])
    assert (outcome.verdict, outcome.before, outcome.now) == (Verdict.DONE, first, waiting.entry.version)
    assert [each.id for each in await device.owed()] == list(outcome.owed)
    assert await content(device, F) == await body_at(device, F, 200) == new
    assert await body_at(device, F, 100) is None
    assert await device.pending() == []
    again = await device.confirm(F, 200, [OWED])
    assert (again.verdict, again.now, again.owed) == (Verdict.SAME, outcome.now, ())
    assert (await device.audit()).damaged == ()
    assert await device.sweep() == 0


@pytest.mark.parametrize("size", [10, INLINE + 1])
@on_a_loop
async def test_several_wait_at_once(bench, size):
    device = await bench.open()
    for stamp in (300, 200, 100):
        assert (await put(device, F, body_of(size, stamp), stamp, pending=True, fragment=2)).verdict is Verdict.DONE
    assert (await put(device, F, body_of(size, 200), 200, pending=True, fragment=2)).verdict is Verdict.SAME
    assert (await put(device, F, body_of(size, 7), 200, pending=True, fragment=2)).verdict is Verdict.NEWER
    assert await device.head(F) is await device.read(F) is None
    assert await body_at(device, F, 100) == body_of(size, 100)
    assert (await device.confirm(F, 200)).verdict is Verdict.DONE
    older = await device.confirm(F, 100)
    assert (older.verdict, older.now.stamp) == (Verdict.NEWER, 200)
    assert await content(device, F) == await body_at(device, F, 200) == body_of(size, 200)
    assert (await device.confirm(F, 250)).verdict is Verdict.MISSING
    assert await device.withdraw(F, 300)
    assert not await device.withdraw(F, 300)
    assert await device.pending() == []
    assert (await put(device, F, body_of(size), 150, pending=True, fragment=2)).verdict is Verdict.NEWER
    assert (await put(device, F, body_of(size, 200), 200, pending=True, fragment=2)).verdict is Verdict.SAME
    assert await device.pending() == []
    assert await device.sweep() == 0


@on_a_loop
async def test_a_deletion_in_between(bench):
    device = await bench.open()
    await put(device, F, b"old", 100, fragment=2)
    await put(device, F, b"new", 200, pending=True, fragment=2)
    assert (await device.delete(F, 300)).verdict is Verdict.DONE
    outcome = await device.confirm(F, 200, [OWED])
    assert (outcome.verdict, outcome.now) == (Verdict.NEWER, objects.tombstone(300))
    assert await device.owed() == []
    assert await device.pending() == []
    await put(device, F, b"later", 400, pending=True, fragment=2)
    assert (await device.confirm(F, 400)).verdict is Verdict.DONE
    assert await content(device, F) == b"later"


@on_a_loop
async def test_metadata_that_came_before_the_confirmation(bench):
    device = await bench.open()
    await put(device, F, b"old", 100, fragment=2)
    await put(device, F, b"new", 200, pending=True, fragment=2, metadata={"a": "1"})
    assert (await device.post(F, Update(stamp=300, metadata={"b": "2"}))).verdict is Verdict.DONE
    assert (await device.confirm(F, 200)).verdict is Verdict.DONE
    version = await device.head(F)
    assert (version.stamp, version.meta_stamp, version.metadata) == (200, 300, {"b": "2"})
    assert await content(device, F) == b"new"


@on_a_loop
async def test_many_wait_and_are_confirmed_at_once(bench):
    device = await bench.open()

    async def one(stamp):
        assert (await put(device, F, body_of(INLINE + 5, stamp), stamp, pending=True, fragment=2)).verdict in (
            Verdict.DONE,
            Verdict.NEWER,
        )
        return await device.confirm(F, stamp)

    await asyncio.gather(*(one(stamp) for stamp in range(100, 124)))
    assert await content(device, F) == body_of(INLINE + 5, 123)
    assert await device.pending() == []
    assert (await device.audit()).damaged == ()


@pytest.fixture
def folder(tmp_path):
    return LocalBench(tmp_path)


def test_what_waits_is_there_after_a_start(folder):
    started_again(folder)


@on_a_loop
async def started_again(bench):
    device = await bench.open()
    await put(device, F, body_of(INLINE + 1), 100, pending=True, fragment=2)
    await put(device, at(0), b"small", 100, pending=True)
    before = await device.pending()
    await device.close()
    device = await bench.open()
    assert await device.sweep() == 0
    assert await device.pending() == before
    assert (await device.confirm(F, 100)).verdict is Verdict.DONE
    assert await content(device, F) == body_of(INLINE + 1)
    await put(device, F, body_of(INLINE + 1, 1), 200, pending=True, fragment=2)
    for file in bench.bodies(F):
        file.unlink()
    assert await device.read(F, 200) is None
    assert [each.entry.address for each in await device.pending()] == [at(0)]
    assert await device.read(F) is None
    await device.close()
    with sqlite3.connect(bench.root / CATALOGUE) as say:
        assert say.execute("SELECT COUNT(*) FROM objects").fetchone() == (0,)
    say.close()


def test_fragments_of_an_object_are_found_by_its_hash(folder):
    found_by_hash(folder)


@on_a_loop
async def found_by_hash(bench):
    """Not by a walk through its partition."""
    device = await bench.open()
    steps = []
    with device._ledger.reading() as say:
        say.set_trace_callback(steps.append)
        reads.fragments(say, F)
        reads.is_named(say, "none", 1, 7, F.hash)
        say.set_trace_callback(None)
        for query in steps:
            plan = [row[3] for row in say.execute(f"EXPLAIN QUERY PLAN {query}")]
            assert all("hash=?" in each or "file=?" in each for each in plan), (query, plan)
    assert len(steps) == 6
