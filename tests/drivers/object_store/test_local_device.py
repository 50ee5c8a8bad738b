# SPDX-License-Identifier: Apache-2.0
"""Devices that are folders: who may open them, what kills leave, and in which order things reach the disk."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from cumulet.kernel.errors import Conflict
from cumulet.services.object_store.drivers.base import INLINE, PIECE, DeviceGone
from cumulet.services.object_store.drivers.fake import FakeDevice
from cumulet.services.object_store.drivers.local import files
from cumulet.services.object_store.drivers.local.device import CATALOGUE, LocalDevice
from cumulet.services.object_store.types import objects
from cumulet.services.object_store.types.objects import Entry, Kind, Update
from drivers.object_store import device_worker
from drivers.object_store.crashes import check_after_a_crash
from drivers.object_store.device_benches import LocalBench, address, body_of, content, on_a_loop, put, version_of
from drivers.object_store.killed_workers import killed

O = address()  # noqa: E741
WORKER = Path(device_worker.__file__)


@pytest.fixture
def bench(tmp_path):
    return LocalBench(tmp_path)


@on_a_loop
async def test_one_process_at_a_time(bench):
    device = await bench.open()
    with pytest.raises(Conflict) as refused:
        await LocalDevice.open(bench.root, bench.name)
    assert refused.value.code == "DeviceInUse"
    await put(device, O, b"x", 100)
    await device.close()
    again = await bench.open()
    assert await content(again, O) == b"x"


@on_a_loop
async def test_another_device_in_its_place(bench):
    with pytest.raises(DeviceGone):
        await LocalDevice.open(bench.root, "another")
    with pytest.raises(DeviceGone):
        files.make(bench.root, "another")
    with pytest.raises(DeviceGone):
        files.make(bench.root / "missing", "new")
    with pytest.raises(DeviceGone):
        await LocalDevice.open(bench.root.parent, bench.name)
    files.make(bench.root, bench.name)
    device = await bench.open()
    bench.take_away(device)
    bench.root.mkdir()
    files.make(bench.root, bench.name)
    with pytest.raises(DeviceGone):
        await put(device, O, b"x", 100)


@pytest.mark.parametrize("durable", [True, False], ids=["durable", "not-durable"])
@on_a_loop
async def test_all_is_there_after_a_start(bench, durable):
    device = await bench.open(durable=durable)
    await put(device, O, body_of(INLINE + 1), 100)
    await put(device, address("small"), b"x", 100)
    await device.delete(address("gone"), 100)
    before = await device.entries(0, 7), await device.digests(0, 7)
    await device.close()
    device = await bench.open(durable=durable)
    assert (await device.entries(0, 7), await device.digests(0, 7)) == before
    assert await content(device, O) == body_of(INLINE + 1)
    assert device.capabilities.durable is durable


@on_a_loop
async def test_files_go_with_their_rows(bench):
    device = await bench.open()
    for stamp in (100, 200, 300):
        await put(device, O, body_of(INLINE + 1, stamp), stamp)
    await put(device, O, body_of(INLINE + 1), 50)
    await put(device, address("aborted"), b"x", 1)
    async with await device.begin(address("aborted"), PIECE) as upload:
        await upload.write(body_of(PIECE))
    await device.sweep()  # behind what is being removed
    assert len(bench.bodies()) == 1
    assert (await device.reclaim(1000)) == 0
    await device.delete(O, 400)
    await device.close()
    assert bench.bodies() == []


@on_a_loop
async def test_a_sweep_lets_uploads_be(bench):
    device = await bench.open()
    stray = bench.root / "data" / "ab" / f"0-7-{'ab' * 16}-{'0' * 16}"
    stray.write_bytes(b"left")
    async with await device.begin(O, 2 * PIECE) as upload:
        await upload.write(body_of(2 * PIECE))
        assert await device.sweep() == 1
        assert not stray.exists()
        await upload.commit(version_of(body_of(2 * PIECE), 100))
    assert await device.sweep() == 0
    assert await content(device, O) == body_of(2 * PIECE)


@pytest.mark.parametrize("fault", ["missing", "shorter"])
@on_a_loop
async def test_a_file_that_is_not_what_it_was(bench, fault):
    device = await bench.open()
    await put(device, O, body_of(INLINE + 1), 100)
    (file,) = bench.bodies(O)
    if fault == "missing":
        file.unlink()
    else:
        os.truncate(file, 10)
    assert await device.read(O) is None
    assert await device.head(O) is None
    assert len(await device.quarantined()) == 1


@on_a_loop
async def test_a_row_that_is_not_what_it_was(bench):
    device = await bench.open()
    version = (await put(device, O, b"x", 100)).now
    forged = objects.put(101, version.size, version.etag, "text/plain")
    with sqlite3.connect(bench.root / CATALOGUE) as say:
        say.execute("UPDATE objects SET version = ?", (objects.encode(forged),))
    say.close()
    assert (await device.audit()).damaged == (O,)


@on_a_loop
async def test_a_catalogue_that_cannot_be_read(bench):
    device = await bench.open()
    await put(device, O, b"x", 100)
    await put(device, address("other"), b"x", 100)
    with sqlite3.connect(bench.root / CATALOGUE) as say:
        say.execute("UPDATE objects SET version = x'c1' WHERE object = 'o'")
    say.close()
    for verb in (lambda: device.head(O), lambda: device.head(address("other")), lambda: put(device, O, b"y", 200)):
        with pytest.raises(DeviceGone):
            await verb()


@on_a_loop
async def test_closed_under_an_upload(bench):
    device = await bench.open()
    await put(device, O, body_of(PIECE), 100)
    reading = await device.read(O)
    async with await device.begin(address("late")) as upload:
        await device.close()
        with pytest.raises(DeviceGone):
            await upload.write(body_of(PIECE))
        with pytest.raises(DeviceGone):
            await anext(reading.chunks())
    await reading.close()
    device = await bench.open()
    await device.sweep()
    assert await device.head(address("late")) is None
    assert len(bench.bodies()) == 1


@on_a_loop
async def test_memory_does_not_grow_with_a_body(bench):
    device, piece, count = await bench.open(), body_of(1 << 18), 128
    async with await device.begin(O) as upload:
        tracemalloc.start()
        try:
            for _ in range(count):
                await upload.write(bytes(bytearray(piece)))
            etag = await upload.etag()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        await upload.commit(objects.put(100, upload.size, etag, "x"))
    assert peak < 5 * PIECE
    read = 0
    async with await device.read(O) as reading:
        async for got in reading.chunks():
            assert len(got) <= PIECE
            read += len(got)
    assert read == count * len(piece)


WRITES = some.tuples(
    some.integers(0, 2),
    some.integers(1, 8),
    some.sampled_from(["put", "replica", "post", "delete", "settle", "remove"]),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.lists(WRITES, max_size=25), some.sampled_from([3, INLINE + 1]))
def test_a_folder_does_as_memory_does(tmp_path, writes, size):
    async def act(device):
        told = []
        for number, stamp, verb in writes:
            where = address(f"o{number}")
            body = body_of(size, stamp % 3)
            if verb in ("put", "replica"):
                told.append(await put(device, where, body, stamp, replica=verb == "replica"))
            elif verb == "post":
                told.append(await device.post(where, Update(stamp=stamp, metadata={"n": str(number)})))
            elif verb == "delete":
                told.append(await device.delete(where, stamp))
            elif verb == "settle":
                told.append(await device.settle(where, objects.tombstone(stamp)))
            else:
                version = await device.head(where)
                told.append(version and await device.remove(Entry(where, version)))
            told.append((await device.digests(0, 7), await content(device, where)))
        return told, await device.entries(0, 7)

    async def run():
        device = await LocalDevice.open(root, "model", durable=False)
        try:
            assert await act(device) == await act(FakeDevice("model"))
            assert (await device.audit()).damaged == ()
        finally:
            await device.close()
        named = sum(each.version.kind is Kind.DATA and size > INLINE for each in (await_entries()))
        assert len(list(root.glob("data/*/*"))) == named

    def await_entries():
        with sqlite3.connect(root / CATALOGUE) as say:
            rows = say.execute("SELECT version FROM objects").fetchall()
        say.close()
        return [Entry(O, objects.decode(version)) for (version,) in rows]

    root = tmp_path / "model"
    root.mkdir()
    files.make(root, "model")
    try:
        asyncio.run(run())
    finally:
        shutil.rmtree(root)


PLACES = [
    "object_device.put:created",
    "object_device.put:written",
    "object_device.put:sealed",
    "object_device.put:row",
    "object_device.post:row",
    "object_device.delete:row",
    "object_device.pend:row",
    "object_device.confirm:row",
    "object_device.committed",
    "object_device.unlink",
]


@pytest.mark.parametrize("place", PLACES)
def test_what_a_kill_leaves(bench, tmp_path, place):
    words = str(WORKER), str(bench.root), bench.name
    lines = killed(*words, faults=tmp_path / "faults", place=place)
    on_a_loop(check_after_a_crash)(bench, lines=lines)


STORY = """
import asyncio, hashlib, os, sys
from pathlib import Path
from cumulet.services.object_store.drivers.local.device import LocalDevice
from drivers.object_store.device_benches import address, put
async def main():
    device = await LocalDevice.open(Path(sys.argv[1]), sys.argv[2])
    for stamp in (1, 2):
        os.write(1, b"BEGUN %d\\n" % stamp)
        await put(device, address(), b"x" * 100_000, stamp)
        os.write(1, b"ACKNOWLEDGED %d\\n" % stamp)
    await put(device, address("small"), b"x", 3)
    os.write(1, b"ACKNOWLEDGED 3\\n")
    await device.close()
asyncio.run(main())
"""


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "uncached"])
@on_a_loop
async def test_pages_go_once_they_are_flushed(bench, monkeypatch, cached):
    seen = []
    for name in ("writev", "fdatasync", "fsync", "posix_fadvise"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda fd, *rest, name=name, call=call: (seen.append(name), call(fd, *rest))[1])
    monkeypatch.setattr(files, "_FLUSH_UNCACHED", 2 * PIECE)
    device, body = await bench.open(), body_of(3 * PIECE)
    seen.clear()
    async with await device.begin(O, len(body), cached=cached) as upload:
        for at in range(0, len(body), PIECE):
            await upload.write(body[at : at + PIECE])
        await upload.commit(version_of(body, 100))
    file, name = ["fsync"], ["fsync"]
    if cached:
        assert seen == ["writev"] * 3 + file + name
    else:
        window, end = ["writev", "writev", "fdatasync", "posix_fadvise"], ["writev", *file, *name, "posix_fadvise"]
        assert seen == window + end
    assert await content(device, O) == body


@on_a_loop
async def test_the_disk_begins_to_write_while_a_body_comes(bench, monkeypatch):
    begun, begin = [], files._begin_to_write
    monkeypatch.setattr(files, "_begin_to_write", lambda *words: (begun.append(words[1:]), begin(*words)))
    monkeypatch.setattr(files, "_BEGIN", 2 * PIECE)
    monkeypatch.setattr(files, "_FLUSH", 5 * PIECE)
    device, body = await bench.open(), body_of(8 * PIECE)
    async with await device.begin(O, len(body)) as upload:
        for at in range(0, len(body), PIECE):
            await upload.write(body[at : at + PIECE])
        await upload.commit(version_of(body, 100))
    assert begun == [(0, 2 * PIECE), (2 * PIECE, 2 * PIECE), (5 * PIECE, 2 * PIECE)]  # what is flushed is written
    assert await content(device, O) == body


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_what_is_acknowledged_is_flushed_before(bench, tmp_path):
    """Before each acknowledgement: the body's file, its name, then the row; the older file goes last."""
    trace = tmp_path / "trace"
    calls = "trace=write,writev,pwrite64,fsync,fdatasync,unlink,unlinkat"
    words = ["strace", "-f", "-y", "-s", "20", "-e", calls, "-o", str(trace)]
    words += [sys.executable, "-c", STORY, str(bench.root), bench.name]
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    subprocess.run(words, check=True, timeout=60, capture_output=True, env={**os.environ, "PYTHONPATH": path})
    seen = []
    for line in trace.read_text().splitlines():
        found = re.search(r"(write|writev|pwrite64|fsync|fdatasync|unlink|unlinkat)\((.*)", line)
        if found is None:
            continue
        call, rest = found.groups()
        if "ACKNOWLEDGED" in rest or "BEGUN" in rest:
            seen.append(rest.split('"')[1].replace("\\n", ""))
        elif CATALOGUE + "-wal>" in rest:
            seen.append("row flushed" if "sync" in call else "row")
        elif "unlink" in call and "0-7-" in rest:
            seen.append("older file removed")
        elif "0-7-" in rest:
            seen.append("file flushed" if "sync" in call else "file")
        elif re.search(r"/data/[0-9a-f]{2}>", rest) and call == "fsync":
            seen.append("name flushed")
    order = ["file", "file flushed", "name flushed", "row", "row flushed"]
    short = [each for at, each in enumerate(seen) if at == 0 or seen[at - 1] != each]
    first = short[short.index("BEGUN 1") + 1 : short.index("ACKNOWLEDGED 1")]
    assert first == order
    second = short[short.index("BEGUN 2") + 1 : short.index("ACKNOWLEDGED 2")]
    assert [each for each in second if each != "older file removed"] == order
    assert short.index("older file removed") > short.index("BEGUN 2") + len(order)
    third = short[short.index("ACKNOWLEDGED 2") + 1 : short.index("ACKNOWLEDGED 3")]
    assert [each for each in third if each != "older file removed"] == ["row", "row flushed"]


def test_a_body_that_nobody_waits_for_any_more_is_closed(tmp_path):
    bench = LocalBench(tmp_path)

    async def story():
        device = await bench.open()
        await put(device, address(), b"x" * 100_000, 1)
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(20):
            reading = asyncio.ensure_future(device.read(address()))
            await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        await bench.close()
        return before

    before = asyncio.run(story())
    assert len(list(Path("/proc/self/fd").iterdir())) < before
