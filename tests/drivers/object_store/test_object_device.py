# SPDX-License-Identifier: Apache-2.0
"""What each device of objects promises."""

from __future__ import annotations

import asyncio
import hashlib
import os

import pytest

from cumulet.kernel import clock
from cumulet.kernel.errors import Conflict
from cumulet.services.object_store.drivers.base import INLINE, PIECE, DeviceFull, DeviceGone, Digest
from cumulet.services.object_store.drivers.local import files
from cumulet.services.object_store.types import objects, stamps
from cumulet.services.object_store.types.objects import Entry, Kind, OwedUpdate, Update, Verdict
from drivers.object_store.device_benches import (
    address,
    body_of,
    content,
    on_a_loop,
    put,
    version_of,
)
from drivers.object_store.remote_benches import BENCHES

O = address()  # noqa: E741
SIZES = [0, 1, INLINE, INLINE + 1, 3 * PIECE + 5]


@pytest.fixture(params=list(BENCHES))
def bench(request, tmp_path):
    return BENCHES[request.param](tmp_path)


def owed(stamp, name="o"):
    return OwedUpdate(account="a", container="c", object=name, stamp=stamp, row=b"%d" % stamp)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@on_a_loop
async def test_a_body_comes_back(bench, size, known):
    device, body = await bench.open(), body_of(size)
    outcome = await put(device, O, body, 100, size=size if known else None, metadata={"x-object-meta-a": "ü"})
    assert (outcome.verdict, outcome.before) == (Verdict.DONE, None)
    assert await device.head(O) == outcome.now == version_of(body, 100, metadata={"x-object-meta-a": "ü"})
    assert await content(device, O) == body
    for start, end in ((0, 1), (1, size // 2), (size // 2, None), (size, None), (0, size + 10), (5, 3)):
        assert await content(device, O, start, end) == body[start:end], (start, end)
    async with await device.read(O) as reading:
        assert reading.version == outcome.now
        assert (reading.inline is None) == (size > INLINE)
        assert reading.inline in (None, body)
        where = reading.file()
        if where is not None:
            assert os.pread(where.fd, where.length, where.offset) == body


@on_a_loop
async def test_fewer_bytes_than_announced(bench):
    device, body = await bench.open(), body_of(INLINE + 7)
    assert (await put(device, O, body, 100, size=PIECE)).verdict is Verdict.DONE
    assert await content(device, O) == body
    assert device.id
    assert device.capabilities.durable in (True, False)


@pytest.mark.parametrize("size", SIZES)
@on_a_loop
async def test_a_body_that_the_caller_sums(bench, size):
    device, body = await bench.open(), body_of(size)
    async with await device.begin(O, summed=True) as upload:
        await upload.write(body)
        with pytest.raises(RuntimeError):
            await upload.etag()
        with pytest.raises(ValueError, match="not those"):
            await upload.commit(version_of(body + b"x", 100))
        assert (await upload.commit(version_of(body, 100))).verdict is Verdict.DONE
    assert await content(device, O) == body
    assert (await device.audit()).damaged == ()


@pytest.mark.parametrize("size", [10, INLINE + 1])
@on_a_loop
async def test_without_a_commit_nothing_stays(bench, size):
    device = await bench.open()
    async with await device.begin(O, size) as upload:
        await upload.write(body_of(size))
        assert upload.size == size
        assert await upload.etag() == hashlib.md5(body_of(size)).hexdigest()
        with pytest.raises(RuntimeError):
            await upload.write(b"more")
        with pytest.raises(ValueError, match="not those"):
            await upload.commit(version_of(body_of(size, 1), 100))
    await upload.abort()
    assert await device.head(O) is None
    assert await device.read(O) is None
    assert await device.partitions() == []
    assert await device.sweep() == 0
    with pytest.raises(RuntimeError):
        await upload.commit(version_of(body_of(size), 100))


@on_a_loop
async def test_a_reader_keeps_what_it_opened(bench):
    device, body = await bench.open(), body_of(2 * PIECE)
    await put(device, O, body, 100)
    async with await device.read(O) as before:
        await put(device, O, body_of(2 * PIECE, 1), 200)
        await device.delete(O, 300)
        assert b"".join([piece async for piece in before.chunks()]) == body
    assert await device.read(O) is None
    assert await content(device, O) is None


@pytest.mark.parametrize("size", [10, INLINE + 1])
@on_a_loop
async def test_older_writes_are_refused(bench, size):
    device, old, new = await bench.open(), body_of(size), body_of(size, 1)
    first = (await put(device, O, new, 200)).now
    for stamp in (100, 200):
        outcome = await put(device, O, old, stamp)
        assert (outcome.verdict, outcome.before, outcome.now) == (Verdict.NEWER, first, first)
        assert (await device.delete(O, stamp)).verdict is Verdict.NEWER
        assert (await device.post(O, Update(stamp=stamp))).verdict is Verdict.NEWER
    again = await put(device, O, new, 200, [owed(200)])
    assert (again.verdict, again.now, again.owed) == (Verdict.SAME, first, ())
    assert await content(device, O) == new
    assert await device.sweep() == 0


@pytest.mark.parametrize("size", [10, INLINE + 1])
@on_a_loop
async def test_a_post_keeps_the_body(bench, size):
    device, body = await bench.open(), body_of(size)
    await put(device, O, body, 100, metadata={"a": "1"}, system={"s": "1"})
    outcome = await device.post(O, Update(stamp=200, metadata={"b": "2"}, content_type="text/css"))
    now = await device.head(O)
    assert (outcome.verdict, outcome.now) == (Verdict.DONE, now)
    assert (now.stamp, now.metadata, now.system, now.content_type) == (100, {"b": "2"}, {"s": "1"}, "text/css")
    assert await content(device, O) == body
    late = await put(device, O, body_of(size, 1), 150, metadata={"c": "3"})
    assert (late.verdict, late.now.metadata, late.now.stamp) == (Verdict.DONE, {"b": "2"}, 150)
    assert await content(device, O) == body_of(size, 1)


@on_a_loop
async def test_posts_to_nothing(bench):
    device = await bench.open()
    assert (await device.post(O, Update(stamp=100))).verdict is Verdict.MISSING
    assert await device.head(O) is None
    await put(device, O, b"x", stamps.stamp(100), delete_at=150)
    late = Update(stamp=stamps.stamp(151))
    assert (await device.post(O, late)).verdict is Verdict.MISSING
    assert (await device.post(O, late, expired_too=True)).verdict is Verdict.DONE


@on_a_loop
async def test_deletes(bench):
    device = await bench.open()
    gone = await device.delete(O, 50, [owed(50)])
    assert (gone.verdict, gone.now) == (Verdict.MISSING, objects.tombstone(50)), "of what others may have"
    assert len(gone.owed) == 1
    assert (await put(device, O, b"x", 40)).verdict is Verdict.NEWER
    await put(device, O, body_of(INLINE + 1), 100, delete_at=7)
    assert (await device.delete(O, 200, if_delete_at=8)).verdict is Verdict.MISMATCH
    done = await device.delete(O, 200, if_delete_at=7)
    assert (done.verdict, done.before.size, done.now) == (Verdict.DONE, INLINE + 1, objects.tombstone(200))
    assert (await device.delete(O, 200)).verdict is Verdict.SAME
    assert await device.head(O) == objects.tombstone(200)
    assert await device.read(O) is None


@on_a_loop
async def test_states_of_replicas(bench):
    one, two = await bench.open(), await bench.another()
    state = (await put(one, O, body_of(INLINE + 1), 100)).now
    assert (await two.settle(O, state)).verdict is Verdict.MISSING
    assert await two.head(O) is None
    assert (await put(two, O, body_of(INLINE + 1), 100, replica=True)).verdict is Verdict.DONE
    state = (await one.post(O, Update(stamp=200, metadata={"a": "1"}))).now
    assert (await two.settle(O, state)).verdict is Verdict.DONE
    assert (await two.settle(O, state)).verdict is Verdict.SAME
    assert await two.digests(0, 7) == await one.digests(0, 7)
    assert (await two.settle(O, objects.tombstone(50))).verdict is Verdict.NEWER
    assert (await two.settle(O, objects.tombstone(150))).verdict is Verdict.DONE
    assert await two.read(O) is None
    assert await two.digests(0, 7) != await one.digests(0, 7)


@on_a_loop
async def test_two_bodies_of_one_moment_end_alike(bench):
    one, two = await bench.open(), await bench.another()
    bodies = [body_of(10, seed) for seed in (1, 2)]
    for device, order in ((one, bodies), (two, bodies[::-1])):
        for body in order:
            await put(device, O, body, 100, replica=True, metadata={"m": body.hex()})
    assert await one.head(O) == await two.head(O)
    assert await content(one, O) == await content(two, O)
    assert await one.digests(0, 7) == await two.digests(0, 7)


@on_a_loop
async def test_digests_and_entries(bench):
    device = await bench.open()
    places = [address(f"o{n}", partition=n % 3, policy=n % 2) for n in range(24)]
    for n, where in enumerate(places):
        await put(device, where, b"x", 100 + n)
    assert await device.partitions() == sorted({(where.policy, where.partition) for where in places})
    for policy, partition in await device.partitions():
        here = [where for where in places if (where.policy, where.partition) == (policy, partition)]
        found = await device.entries(policy, partition)
        assert [each.address for each in found] == sorted(here, key=lambda where: (where.suffix, where.hash))
        paged, after = [], ""
        while page := await device.entries(policy, partition, after=after, limit=3):
            paged += page
            after = page[-1].address.hash
        assert paged == found
        sums = {}
        for each in found:
            old = sums.get(each.address.suffix, Digest(0, 0))
            sum_ = objects.digest(each.address.hash, each.version)
            sums[each.address.suffix] = Digest(old.value ^ sum_, old.count + 1)
            assert each in await device.entries(policy, partition, each.address.suffix)
        assert await device.digests(policy, partition) == sums
    for where in places:
        assert await device.remove(Entry(where, await device.head(where)))
    assert await device.partitions() == []
    assert await device.digests(0, 0) == {}


@on_a_loop
async def test_only_what_was_handed_off_is_removed(bench):
    device = await bench.open()
    old = (await put(device, O, body_of(INLINE + 1), 100)).now
    await device.post(O, Update(stamp=200))
    assert not await device.remove(Entry(O, old))
    assert await device.remove(Entry(O, await device.head(O)))
    assert not await device.remove(Entry(O, old))
    assert await device.head(O) is None


@on_a_loop
async def test_updates_that_are_owed(bench):
    device = await bench.open()
    (first,) = (await put(device, O, b"x", 100, [owed(100)])).owed
    (second,) = (await device.post(O, Update(stamp=200), [owed(200)])).owed
    (third,) = (await put(device, O, b"y", 150, [owed(150)])).owed
    told = [(each.id, each.stamp, each.row) for each in await device.owed()]
    assert told == [(first, 100, b"100"), (second, 200, b"200"), (third, 150, b"150")], "none tells what another does"
    await device.paid([first, third])
    assert [each.id for each in await device.owed()] == [second]
    await put(device, address("p"), b"x", 50)
    (other,) = (await device.delete(address("p"), 300, [owed(300, "p")])).owed
    assert [each.id for each in await device.owed(limit=1)] == [second]
    assert [each.id for each in await device.owed(after=second)] == [other]
    await device.paid([second, other, 999])
    assert await device.owed() == []
    assert (await put(device, O, b"y", 100, [owed(100)])).verdict is Verdict.NEWER
    assert await device.owed() == [], "nothing is owed for what was refused"


@on_a_loop
async def test_objects_that_expire(bench):
    device = await bench.open()
    for n in range(6):
        await put(device, address(f"o{n}"), b"x", 100, delete_at=10 * (n // 2))
    await device.delete(address("o5"), 200)
    found = await device.expired(20)
    assert [each.version.delete_at for each in found] == [10, 10, 20]
    assert await device.expired(19) == found[:2]
    first = await device.expired(20, limit=1)
    last = (first[0].version.delete_at, first[0].address.hash)
    assert first + await device.expired(20, last) == found


@on_a_loop
async def test_tombstones_are_forgotten(bench):
    device = await bench.open()
    try:
        clock.set_source(lambda: 50.0)
        await put(device, address("damaged"), b"x", 1)
        await device.quarantine(Entry(address("damaged"), await device.head(address("damaged"))), "a test says so")
    finally:
        clock.set_source()
    for n in (1, 2, 3):
        await device.delete(address(f"o{n}"), stamps.stamp(100 * n))
    await put(device, O, b"x", 1)
    assert await device.reclaim(stamps.stamp(50)) == 0
    assert await device.reclaim(stamps.stamp(300), limit=2) == 2
    assert await device.reclaim(stamps.stamp(300)) == 1
    assert await device.reclaim(stamps.stamp(300)) == 0
    assert [each.address.object for each in await device.entries(0, 7)] in (["o", "o3"], ["o3", "o"])
    assert await device.quarantined() == []
    await device.reclaim(stamps.stamp(301))
    assert len(await device.digests(0, 7)) == 1


@pytest.mark.parametrize("size", [10, INLINE + 1, 2 * PIECE])
@on_a_loop
async def test_rot_is_found(bench, size):
    device = await bench.open()
    for n in range(4):
        await put(device, address(f"o{n}"), body_of(size), 100)
    await device.delete(address("o3"), 200)
    assert (await device.audit()).damaged == ()
    version = await device.head(address("o1"))
    bench.rot(device, address("o1"))
    after, damaged, entries = 0, [], 0
    while True:
        found = await device.audit(after, size=1)
        damaged += found.damaged
        entries += found.entries
        after = found.next
        if not after:
            break
    assert damaged == [address("o1")]
    assert entries == 3
    assert await device.head(address("o1")) is None
    (aside,) = await device.quarantined()
    assert aside.entry == Entry(address("o1"), version)
    assert aside.reason
    assert await device.quarantined(after=aside.id) == []
    assert await device.sweep() == 0, "its bytes are kept"
    assert (await put(device, address("o1"), body_of(size), 100, replica=True)).verdict is Verdict.DONE
    assert (await device.audit()).damaged == ()


@on_a_loop
async def test_quarantine_of_what_has_changed(bench):
    device = await bench.open()
    old = (await put(device, O, b"x", 100)).now
    await put(device, O, b"y", 200)
    assert not await device.quarantine(Entry(O, old), "it is not there any more")
    assert await content(device, O) == b"y"


@on_a_loop
async def test_a_full_device(bench):
    device = await bench.full()
    assert (await device.space()).free == 0
    for size in (None, 10, PIECE):
        with pytest.raises(DeviceFull):
            await device.begin(O, size)
    assert await device.head(O) is None


@on_a_loop
async def test_room(bench):
    device = await bench.open()
    space = await device.space()
    assert 0 < space.free <= space.total
    with pytest.raises(DeviceFull):
        await device.begin(O, space.total + 1)
    assert await device.sweep() == 0


@on_a_loop
async def test_a_device_that_is_taken_away(bench, monkeypatch):
    monkeypatch.setattr(files, "LATELY", -1.0)
    device = await bench.open()
    await put(device, O, b"x", 100)
    upload = await device.begin(address("p"))
    await upload.write(b"y")
    bench.take_away(device)
    with pytest.raises(DeviceGone):
        await upload.commit(version_of(b"y", 100))
    for verb in (
        lambda: device.begin(O),
        lambda: device.post(O, Update(stamp=200)),
        lambda: device.delete(O, 200),
        lambda: device.settle(O, objects.tombstone(200)),
        lambda: device.head(O),
        lambda: device.read(O),
        lambda: device.partitions(),
        lambda: device.owed(),
        lambda: device.space(),
        lambda: device.audit(),
        lambda: device.sweep(),
    ):
        with pytest.raises(DeviceGone):
            await verb()
    bench.bring_back(device)
    assert await content(device, O) == b"x"
    assert await device.head(address("p")) is None
    await device.close()
    with pytest.raises(DeviceGone):
        await device.head(O)


@on_a_loop
async def test_one_name_for_a_hash(bench):
    device = await bench.open()
    await put(device, O, b"x", 100)
    other = address("o", container="other")
    twin = type(O)(
        **{name: getattr(O, name) for name in ("policy", "partition", "hash", "account", "object")}, container="d"
    )
    assert other.hash != O.hash
    for verb in (
        put(device, twin, body_of(INLINE + 1), 200),
        device.head(twin),
        device.delete(twin, 200),
        device.read(twin),
    ):
        with pytest.raises(Conflict):
            await verb
    assert await content(device, O) == b"x"
    assert await device.sweep() == 0


@on_a_loop
async def test_many_at_once(bench):
    device = await bench.open()
    sizes = (5, INLINE + 5)
    writes = [put(device, O, body_of(sizes[n % 2], n), 100 + n) for n in range(24)]
    writes += [put(device, address(f"other{n}"), body_of(sizes[n % 2], n), 100) for n in range(24)]
    outcomes = await asyncio.gather(*writes)
    assert {each.verdict for each in outcomes[24:]} == {Verdict.DONE}
    assert await content(device, O) == body_of(sizes[1], 23)
    for n in range(24):
        assert await content(device, address(f"other{n}")) == body_of(sizes[n % 2], n)
    assert (await device.audit()).damaged == ()


@on_a_loop
async def test_a_writer_who_gives_up(bench):
    device = await bench.open()
    tasks = [asyncio.create_task(put(device, address(f"o{n}"), body_of(PIECE, n), 100)) for n in range(12)]
    for turn, task in enumerate(tasks):
        for _ in range(turn):
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for n in range(12):
        assert await content(device, address(f"o{n}")) in (None, body_of(PIECE, n))
    kinds = {each.version.kind for each in await device.entries(0, 7)}
    assert kinds <= {Kind.DATA}
    assert (await device.audit()).damaged == ()
