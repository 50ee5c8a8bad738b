# SPDX-License-Identifier: Apache-2.0
"""What is left of what was under way when the other end, or the stream, or the caller is gone; and who keeps whom
waiting."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import tracemalloc
from pathlib import Path

import msgspec
import pytest
import uvloop

from cumulet.kernel.link import certificates
from cumulet.kernel.link.names import BADGE_NAME, door_name
from cumulet.services.object_store.drivers.base import INLINE, PIECE, DeviceFull, DeviceGone
from cumulet.services.object_store.drivers.fake import FakeDevice, FakeReading
from cumulet.services.object_store.drivers.fake_index import FakeIndex
from cumulet.services.object_store.drivers.local.device import LocalDevice
from cumulet.services.object_store.drivers.nodes import Node
from cumulet.services.object_store.drivers.remote import devices
from cumulet.services.object_store.drivers.remote.connection import Beyond, Connection, Here
from cumulet.services.object_store.drivers.remote.devices import node
from cumulet.services.object_store.drivers.remote.framing import CREDIT, SLICE, WINDOW
from cumulet.services.object_store.drivers.remote.wire import Wire
from drivers.object_store import remote_worker
from drivers.object_store.device_benches import LocalBench, address, body_of, content, put, version_of
from drivers.object_store.remote_benches import WHERE, Cloud, Served, come
from drivers.object_store.test_remote_calls import story

O = address()  # noqa: E741
BIG = 3 * PIECE + 5


class Worker:
    """A device of a process of its own."""

    def __init__(self, tmp_path):
        self.bench = LocalBench(tmp_path)
        self.socket = tmp_path / "s"
        self.environment = {**os.environ, "CUMULET_FAULTS": str(tmp_path / "faults")}
        self.environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
        self.faults = tmp_path / "faults"

    async def __aenter__(self):
        words = [sys.executable, remote_worker.__file__, str(self.bench.root), self.bench.name, str(self.socket)]
        self.process = await asyncio.create_subprocess_exec(*words, env=self.environment, stdin=asyncio.subprocess.PIPE)
        self.connection = Connection(Here(self.socket))
        self.connection.start()
        assert await self.connection.linked(60), self.connection.trouble
        self.device = node(self.connection, remote_worker.WHERE).objects
        return self

    async def kill(self):
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def __aexit__(self, *ended):
        await self.connection.stop()
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    async def left(self):
        """What a start finds: the device, and files that nothing names."""
        device = await LocalDevice.open(self.bench.root, self.bench.name)
        swept = await device.sweep()
        return device, swept


async def go_on(upload):
    while True:
        await upload.write(bytes(PIECE))
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("size", "step"),
    [(10, "written"), (10, "acknowledged"), (BIG, "begun"), (BIG, "half"), (BIG, "written"), (BIG, "acknowledged")],
    ids=["small-written", "small-acknowledged", "large-begun", "large-half", "large-written", "large-acknowledged"],
)
@story
async def test_the_other_process_is_killed(tmp_path, step, size):
    body = body_of(size)
    async with Worker(tmp_path) as worker:
        await put(worker.device, address("before"), body, 100)
        upload = await worker.device.begin(O, size)
        if step != "begun":
            await upload.write(body[: size // 2])
        if step in ("written", "acknowledged"):
            await upload.write(body[size // 2 :])
        if step == "acknowledged":
            await upload.commit(version_of(body, 100))
        await worker.kill()
        with pytest.raises(DeviceGone):
            await asyncio.wait_for(worker.device.head(O) if step == "acknowledged" else go_on(upload), 5)
        await upload.abort()
        device, _ = await worker.left()
        try:
            assert await content(device, address("before")) == body
            assert await content(device, O) == (body if step == "acknowledged" else None)
            assert len(worker.bench.bodies()) == (0 if size == 10 else 2 if step == "acknowledged" else 1)
        finally:
            await device.close()


@pytest.mark.parametrize("place", ["object_device.put:row", "object_device.committed"])
@story
async def test_the_other_process_is_killed_while_it_commits(tmp_path, place):
    async with Worker(tmp_path) as worker:
        await put(worker.device, address("before"), b"x", 100)
        worker.faults.write_text(f"{place}\n")
        with pytest.raises(DeviceGone):
            async with asyncio.timeout(30):
                await put(worker.device, O, b"x", 100)
        await worker.process.wait()
        device, _ = await worker.left()
        try:
            assert await content(device, O) == (b"x" if place.endswith("committed") else None)
        finally:
            await device.close()


@story
async def test_a_process_comes_back(tmp_path):
    worker = Worker(tmp_path)
    async with worker:
        await put(worker.device, O, b"x", 100)
        assert worker.device.capabilities.durable
    async with worker:
        assert await content(worker.device, O) == b"x"


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("tls", [False, True], ids=["here", "beyond"])
def test_a_stream_is_lost_at_each_step(tmp_path, runner, tls):
    runner(lose_at_each_step(LocalBench(tmp_path), tls))


async def lose_at_each_step(bench, tls):
    local = await bench.open()
    body = body_of(BIG)
    await put(local, address("there"), body, 100)
    async with Served({WHERE: Node(objects=local, indexes=FakeIndex())}, tls=tls) as served:
        device = served.node().objects

        async def lose():
            assert len(served.server.sessions) == 1
            next(iter(served.server.sessions)).fail("the test cuts it")

        async def again():
            assert await served.connection.linked(10)
            await come(lambda: not any(session.tasks for session in served.server.sessions))

        for written in (0, CREDIT, BIG):
            upload = await device.begin(O, BIG)
            await upload.write(body[:written])
            await lose()
            with pytest.raises(DeviceGone):
                await asyncio.wait_for(upload.commit(version_of(body, 100)) if written == BIG else go_on(upload), 5)
            with pytest.raises(RuntimeError):
                await upload.write(b"x")
            await again()
            assert await device.head(O) is None
        reading = await device.read(address("there"))
        pieces = reading.chunks()
        await anext(pieces)
        await lose()
        with pytest.raises(DeviceGone):
            await asyncio.wait_for(all_of(pieces), 5)
        with pytest.raises(DeviceGone):
            await anext(reading.chunks())
        await reading.close()
        await again()
        assert await content(device, address("there")) == body
        assert len(bench.bodies()) == 1
        assert await local.sweep() == 0
    await bench.close()


async def all_of(pieces):
    return [piece async for piece in pieces]


class Slow(FakeDevice):
    """Whose uploads take no bytes, as long as `stuck`, and whose readings give many."""

    def __init__(self):
        super().__init__("d0")
        self.stuck = asyncio.Event()
        self.given = 0
        self.aborted = 0

    async def begin(self, *values, **words):
        upload = await super().begin(*values, **words)
        write, abort = upload.write, upload.abort

        async def stuck(data):
            await self.stuck.wait()
            await write(data)

        async def ended():
            self.aborted += 1
            await abort()

        upload.write, upload.abort = stuck, ended
        return upload

    async def read(self, *values):
        found = await super().read(*values)
        return Endless(msgspec.structs.replace(found.version, size=400 * PIECE), self)


class Endless(FakeReading):
    def __init__(self, version, device):
        super().__init__(version, b"")
        self.inline = None
        self._device = device

    async def chunks(self, start=0, end=None):
        for _ in range(start, self.version.size, PIECE):
            self._device.given += PIECE
            yield bytes(PIECE)


@pytest.mark.parametrize("tls", [False, True], ids=["here", "beyond"])
@story
async def test_who_does_not_read_keeps_only_himself_waiting(tls):
    slow = Slow()
    slow.stuck.set()
    await put(slow, O, b"x", 100)
    async with Served({WHERE: Node(objects=slow, indexes=FakeIndex())}, tls=tls) as served:
        device = served.node().objects
        tracemalloc.start()
        try:
            readings = [await device.read(O) for _ in range(8)]
            pieces = [reading.chunks() for reading in readings]
            for each in pieces:
                await anext(each)
            for number in range(50):
                assert await device.head(address(f"o{number}")) is None
            assert slow.given <= 8 * (2 * WINDOW + 2 * PIECE)
            assert tracemalloc.get_traced_memory()[1] < 8 * 3 * (WINDOW + PIECE)
        finally:
            tracemalloc.stop()
        assert await anext(pieces[0]) is not None
        for each, reading in zip(pieces, readings, strict=True):
            await each.aclose()
            await reading.close()
        await come(lambda: not any(session.tasks for session in served.server.sessions))


@story
async def test_a_slow_disk_keeps_only_its_uploads_waiting():
    slow, quick = Slow(), FakeDevice("d1")
    other = (*WHERE[:2], "d1")
    nodes = {WHERE: Node(objects=slow, indexes=FakeIndex()), other: Node(objects=quick, indexes=FakeIndex())}
    async with Served(nodes) as served:
        device = served.node().objects
        uploads = [await device.begin(address(f"o{number}"), BIG) for number in range(8)]
        writes = [asyncio.ensure_future(upload.write(body_of(BIG))) for upload in uploads]
        (session,) = served.server.sessions
        await come(lambda: all(not stream._allowed for stream in session.streams.values()))
        body = body_of(BIG)
        assert (await put(served.node(other).objects, O, body, 100)).verdict == "done"
        assert await content(served.node(other).objects, O) == body
        assert not any(write.done() for write in writes)
        assert sum(stream._queued for stream in session.streams.values()) <= 8 * WINDOW
        for write in writes:
            write.cancel()
        await come(lambda: slow.aborted == 8)
        await come(lambda: session.streams == {})


@story
async def test_a_caller_who_goes_ends_the_work_there():
    held = FakeDevice("d0")
    async with Served({WHERE: Node(objects=held, indexes=FakeIndex())}) as served:
        device = served.node().objects
        assert await device.head(O) is None
        (session,) = served.server.sessions
        held.slow = 60
        for verb in (lambda: device.head(O), lambda: device.read(O), lambda: device.begin(O, BIG), device.sweep):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await verb()
            await come(lambda: not session.tasks)
        held.slow = 0
        assert await device.sweep() == 0


@story
async def test_small_bodies_go_with_their_commit(monkeypatch):
    fake = FakeDevice("d0")
    async with Served({WHERE: Node(objects=fake, indexes=FakeIndex())}) as served:
        device = served.node().objects
        await put(device, O, b"x", 100)
        (session,) = served.server.sessions
        called, plain = [], session.called
        monkeypatch.setattr(session, "called", lambda id_, message: (called.append(id_), plain(id_, message)))
        for size in (0, 10, INLINE):
            await put(device, address(f"o{size}"), body_of(size), 100)
            assert await content(device, address(f"o{size}")) == body_of(size)
        assert len(called) == 6
        fake.full = True
        with pytest.raises(DeviceFull):
            await put(device, address("p"), b"x", 100)
        with pytest.raises(DeviceFull):  # trust is over: it is asked before the body is taken
            await device.begin(address("q"), 1)
        fake.full = False
        assert (await put(device, address("q"), b"x", 100)).verdict == "done"
        monkeypatch.setattr(devices, "TRUST", -1.0)
        await put(device, address("r"), b"x", 100)
        fake.gone = True
        with pytest.raises(DeviceGone):
            await device.begin(address("s"), 1)


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("tls", [False, True], ids=["here", "beyond"])
def test_whatever_is_under_way_when_streams_are_cut(tmp_path, runner, tls):
    runner(cut_at_random(LocalBench(tmp_path), tls))


async def cut_at_random(bench, tls, seed=1, rounds=6):
    luck = random.Random(seed)
    local = await bench.open(durable=False)
    known = {}  # of each object the bodies that it may have

    async def write(device, number, stamp):
        body, size = body_of(luck.choice([0, 5, INLINE + 1, BIG]), stamp), luck.random() < 0.5
        states = known.setdefault(number, [None])
        states.append(body)
        await put(device, address(f"o{number}"), body, stamp, size=len(body) if size else None)
        known[number] = [body]

    async def read(device, number):
        before = list(known.get(number, [None]))
        found = await content(device, address(f"o{number}"))
        assert found in before + known.get(number, [None])

    async with Served({WHERE: Node(objects=local, indexes=FakeIndex())}, tls=tls) as served:
        device = served.node().objects
        for turn in range(rounds):
            assert await served.connection.linked(10)
            old = served.connection.session
            work = [asyncio.ensure_future(write(device, number, 100 + turn)) for number in range(8)]
            work += [asyncio.ensure_future(read(device, luck.randrange(8))) for _ in range(4)]
            for _ in range(luck.randrange(1, 150)):
                await asyncio.sleep(0)
            for task in luck.sample(work, 2):
                task.cancel()
            for session in list(served.server.sessions):
                session.fail("the test cuts it")
            for error in await asyncio.gather(*work, return_exceptions=True):
                assert error is None or isinstance(error, DeviceGone | asyncio.CancelledError), error
            await come(lambda: not any(session.tasks for session in served.server.sessions))
            await old.ended
        assert await served.connection.linked(10)
        for number in range(8):
            await read(device, number)
        await come(lambda: not any(session.streams for session in served.server.sessions))
        assert served.connection.session.streams == {}
        assert Wire.under_way == 0
        assert await local.sweep() == 0
        assert len(bench.bodies()) <= 8
    await bench.close()


def contexts(kind):
    """What a caller shows, and whom he takes for a server."""
    cloud, other = Cloud(), Cloud()
    authority = cloud.authority
    if kind == "nothing":
        return cloud, certificates.client_context(authority.certificate), BADGE_NAME
    if kind == "another-cloud":
        _, signed, key = other.badge("host-2")
        return cloud, certificates.client_context(authority.certificate, signed, key), BADGE_NAME
    if kind == "another-server":
        return other, cloud.client(), BADGE_NAME
    if kind == "not-admitted":
        return cloud, cloud.client("host-3"), BADGE_NAME
    if kind == "a-hosts-door":
        key = certificates.new_key()
        signed = authority.sign_door("host-2", certificates.request(key, "host-2"), 3600)
        return cloud, certificates.client_context(authority.certificate, signed, key), BADGE_NAME
    return cloud, cloud.client(), door_name("host-9")


KINDS = ["nothing", "another-cloud", "another-server", "not-admitted", "a-hosts-door", "another-name"]


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("kind", KINDS)
def test_only_members_of_the_cloud_meet(kind, runner):
    runner(be_refused(kind))


async def be_refused(kind):
    cloud, context, name = contexts(kind)
    served = Served()
    async with served:
        port = await served.server.listen_beyond(
            "127.0.0.1", 0, cloud.server(), lambda holder: holder.role == "peer" and holder.name == "host-2"
        )
        asked = Connection(Beyond("127.0.0.1", port, lambda: context, server_name=name))
        asked.start()
        try:
            await come(lambda: "dialled" not in asked.trouble)
            assert not await asked.linked(0.05)
            with pytest.raises(DeviceGone):
                await asked.call("echo", {}, 5)
            assert len(served.server.sessions) <= 1
        finally:
            await asked.stop()


@story
async def test_a_member_that_was_revoked_is_cut_off():
    cloud, members = Cloud(), {"host-2"}
    async with Served(silence=0.3) as served:
        port = await served.server.listen_beyond("127.0.0.1", 0, cloud.server(), lambda holder: holder.name in members)
        way = Beyond("127.0.0.1", port, cloud.client, server_name=BADGE_NAME, admits=lambda h: h.name == "host-1")
        asked = Connection(way)
        asked.start()
        try:
            assert await asked.linked(10), asked.trouble
            members.clear()
            await come(lambda: asked.trouble)
            assert not await asked.linked(0.05)
        finally:
            await asked.stop()


@story
async def test_pieces_of_bodies_go_in_turn():
    fake = FakeDevice("d0")
    await put(fake, O, body_of(64 * SLICE), 100)
    async with Served({WHERE: Node(objects=fake, indexes=FakeIndex())}) as served:
        device = served.node().objects
        got = [0, 0]

        async def get(number):
            async with await device.read(O) as reading:
                async for piece in reading.chunks():
                    got[number] += len(piece)
                    if got[1 - number] < 64 * SLICE:
                        assert abs(got[0] - got[1]) <= 2 * (WINDOW + PIECE)

        await asyncio.gather(get(0), get(1))
        assert got == [64 * SLICE, 64 * SLICE]
