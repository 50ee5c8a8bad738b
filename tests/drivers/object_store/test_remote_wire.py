# SPDX-License-Identifier: Apache-2.0
"""The stream between processes: frames cut anywhere, bytes that are none, hellos of other versions."""

from __future__ import annotations

import asyncio
import itertools
import logging

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from cumulet.kernel.errors import TooLarge
from cumulet.kernel.link import frames, greeting
from cumulet.services.object_store.drivers.base import DeviceGone
from cumulet.services.object_store.drivers.fake import FakeDevice
from cumulet.services.object_store.drivers.fake_index import FakeIndex
from cumulet.services.object_store.drivers.nodes import Node
from cumulet.services.object_store.drivers.remote import connection, framing, server, verbs, wire
from cumulet.services.object_store.drivers.remote.framing import CREDIT, HEADER, MOST, SLICE, Kind, Message
from drivers.object_store.device_benches import address, put
from drivers.object_store.remote_benches import WHERE, Served, come
from drivers.object_store.test_remote_calls import story

O = address()  # noqa: E741


class Pipe(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self):
        super().__init__()
        self.written = b""
        self.ended = False

    def writelines(self, buffers):
        self.written += b"".join(buffers)

    def write(self, data):
        self.written += data

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def get_write_buffer_size(self):
        return 0

    def abort(self):
        self.ended = True

    close = abort


class Heard(wire.Wire):
    """Takes any exchange, and notes what came in it."""

    def __init__(self):
        super().__init__()
        self.pipe = Pipe()
        self.connection_made(self.pipe)

    def is_known(self, id_):
        return True

    def is_awaited(self, id_):
        return True

    def called(self, id_, message):
        if id_ not in self.streams:
            self.open(id_)
        self.streams[id_].came(message)

    def came(self):
        """Of each exchange its messages in order, with all of the body between two of them."""
        found = {}
        for id_, stream in self.streams.items():
            bodies = [b""]
            for item in stream._inbox:
                if isinstance(item, Message):
                    bodies += [item, b""]
                else:
                    bodies[-1] += item
            found[id_] = bodies
        return found


def hello(**words):
    words = {"protocol": framing.PROTOCOL, "frames": 1, "oldest": 1, "silence": 15.0, "credit": CREDIT, **words}
    return frames.encode(frames.Frame(kind="hello", body={key: each for key, each in words.items() if each != ""}))


def frame(kind, id_, payload=b""):
    return HEADER.pack(len(payload), kind, id_) + payload


def message(kind, id_, head=b"", body=b""):
    return frame(kind, id_, len(head).to_bytes(4, "big") + head + body)


spoken = some.sampled_from([Kind.CALL, Kind.MORE, Kind.REPLY])
words = some.one_of(
    some.builds(message, spoken, some.integers(1, 3), some.binary(max_size=9), some.binary(max_size=9)),
    some.builds(frame, some.just(Kind.DATA), some.integers(1, 3), some.binary(max_size=40)),
    some.builds(frame, some.just(Kind.PART), some.integers(1, 3), some.just(b"\0\0\0\2ab")),
    some.builds(frame, some.sampled_from([Kind.PING, Kind.RESET]), some.integers(0, 3)),
    some.builds(frame, some.just(Kind.CREDIT), some.integers(0, 3), some.just(b"\0\0\1\0")),
)
rubbish = some.one_of(
    some.binary(max_size=80),
    some.builds(frame, some.integers(0, 255), some.integers(0, 9), some.binary(max_size=20)),
)


def on_a_loop(test):
    async def run():
        return test()

    return asyncio.run(run())


@settings(deadline=None, max_examples=60)
@given(said=some.lists(words, max_size=8), cuts=some.lists(some.integers(0, 400), max_size=6))
def test_where_frames_are_cut_says_nothing(said, cuts):
    begun = [message(Kind.CALL, id_) for id_ in (1, 2, 3)]
    data = hello() + b"".join([*begun, *said])

    def cut_at(places):
        heard = Heard()
        edges = [0, *sorted(min(each, len(data)) for each in places), len(data)]
        for start, end in itertools.pairwise(edges):
            if start < end:
                heard.data_received(data[start:end])
        assert not heard.trouble
        return heard.came()

    assert on_a_loop(lambda: cut_at(cuts)) == on_a_loop(lambda: cut_at([]))


@settings(deadline=None, max_examples=150)
@given(greeted=some.booleans(), said=some.lists(words, max_size=3).map(b"".join), more=rubbish)
def test_any_bytes_end_the_stream_or_are_taken(greeted, said, more):
    async def feed(end):
        end.connection_made(Pipe())
        end.data_received((hello() if greeted else b"") + said + more)
        for task in list(getattr(end, "tasks", {}).values()):
            await asyncio.wait([task])
        assert bool(end.trouble) == end._transport.ended
        end.fail("the test is over")

    async def both():
        logging.disable(logging.CRITICAL)
        try:
            node = Node(objects=FakeDevice("d0"), indexes=FakeIndex())
            await feed(server.Session(server.DeviceServer({WHERE: node})))
            await feed(connection.Session())
        finally:
            logging.disable(logging.NOTSET)

    asyncio.run(both())


BAD = {
    "too long": HEADER.pack(MOST + 1, Kind.DATA, 1),
    "unknown kind": frame(99, 1),
    "more than granted": message(Kind.CALL, 1, verbs.call(verbs.BEGIN, 1, verbs.Begin(O)))
    + frame(Kind.DATA, 1, bytes(SLICE)) + frame(Kind.DATA, 1, b"x"),
    "a body of nothing": frame(Kind.DATA, 7, b"x"),
    "shorter than it says": frame(Kind.CALL, 1, b"\0\0\0\7abc"),
    "begun twice": 2 * message(Kind.CALL, 1, verbs.call("unknown", 0, None)),
    "an answer": message(Kind.CALL, 1, verbs.call(verbs.BEGIN, 1, verbs.Begin(O))) + message(Kind.REPLY, 1),
    "no number": frame(Kind.CREDIT, 1, b"x"),
    "no call": message(Kind.CALL, 1, b"\xc1"),
    "no words": message(Kind.CALL, 1, verbs.call("object.head", 1, {"address": 5})),
    "a device that was never attached": message(Kind.CALL, 1, verbs.call("object.sweep", 5, {})),
    "another size": message(Kind.CALL, 1, verbs.call(verbs.ATTACH, 0, verbs.Attach(*WHERE)))
    + message(Kind.CALL, 2, verbs.call(verbs.STORE, 1, {"address": O, "version": [0, 1, 5]}), b"x"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
@story
async def test_bad_bytes_end_one_stream_and_nothing_else(bad):
    node = Node(objects=FakeDevice("d0"), indexes=FakeIndex())
    node.objects.slow = 0.01
    async with Served({WHERE: node}) as served:
        device = served.node().objects
        late = asyncio.ensure_future(device.partitions())
        reader, writer = await asyncio.open_unix_connection(served.path)
        writer.write(hello() + BAD[bad])
        await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert await late == []
        assert await device.head(O) is None
        await come(lambda: len(served.server.sessions) == 1)


async def greeted(said):
    """What a server answers to a hello."""
    async with Served() as served:
        reader, writer = await asyncio.open_unix_connection(served.path)
        writer.write(said)
        found = await asyncio.wait_for(frames.read(reader), 5)
        writer.close()
        return found and found.body


@pytest.mark.parametrize(
    ("words", "version"),
    [
        ({}, 1),
        ({"frames": 2, "new": {"a": 1}}, 1),
        ({"frames": 3, "oldest": 2}, None),
        ({"frames": 0, "oldest": 0}, None),
        ({"frames": "1"}, None),
        ({"protocol": ""}, ""),
        ({"credit": 0}, ""),
        ({"silence": "long"}, ""),
    ],
    ids=["same", "newer", "too-new", "too-old", "no-version", "another-protocol", "no-credit", "no-silence"],
)
@story
async def test_versions_are_agreed(words, version):
    answer = await greeted(hello(**words))
    if version == "":
        assert answer is None
    elif version is None:
        assert set(answer) == {"refused"}
    else:
        assert (answer["frames"], answer["oldest"], answer["protocol"]) == (1, 1, "objects")


NO_GOOD = {
    "too-new": hello(frames=3, oldest=2),
    "refused": frames.encode(frames.Frame(kind="hello", body={"refused": "no"})),
    "http": b"HTTP/1.1 400 Bad Request",
}


@pytest.mark.parametrize("said", NO_GOOD)
@story
async def test_a_server_that_is_no_good_is_told_of(tmp_path, said):
    async def answer(reader, writer):
        await reader.read(10)
        writer.write(NO_GOOD[said])

    listener = await asyncio.start_unix_server(answer, tmp_path / "s")
    asked = connection.Connection(connection.Here(tmp_path / "s"))
    asked.start()
    try:
        await come(lambda: "dialled" not in asked.trouble)
        assert any(each in asked.trouble for each in ("frames of version", "refused: no", "too long"))
        with pytest.raises(DeviceGone):
            await asked.call("echo", {}, 5)
    finally:
        await asked.stop()
        listener.close()


@story
async def test_who_says_nothing_is_let_go(monkeypatch):
    monkeypatch.setattr(greeting, "PATIENCE", 0.05)
    async with Served() as served:
        reader, writer = await asyncio.open_unix_connection(served.path)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


@story
async def test_a_side_that_fell_silent_is_given_up():
    node = Node(objects=FakeDevice("d0"), indexes=FakeIndex())
    async with Served({WHERE: node}, silence=0.3) as served:
        device = served.node().objects
        assert await device.head(O) is None
        node.objects.slow = 60
        late = asyncio.ensure_future(device.head(O))
        await come(lambda: len(next(iter(served.server.sessions)).tasks) == 1)
        await asyncio.sleep(0)
        session = served.connection.session
        session._transport.pause_reading()
        with pytest.raises(DeviceGone, match="nothing was heard"):
            await asyncio.wait_for(late, 5)
        node.objects.slow = 0
        assert await served.connection.linked(5)
        assert await device.head(O) is None
        await come(lambda: len(served.server.sessions) == 1)


@story
async def test_long_messages_do_not_keep_others_waiting():
    async def echo(body):
        return body

    async with Served(verbs={"echo": echo}) as served:
        ask = served.connection.call
        long, short = ask("echo", bytes(20 << 20), 20), ask("echo", "short", 20)
        first, _ = await asyncio.wait(
            [asyncio.ensure_future(long), asyncio.ensure_future(short)], return_when=asyncio.FIRST_COMPLETED
        )
        assert [task.result() for task in first] == ["short"]
        with pytest.raises(TooLarge):
            await ask("echo", bytes(framing.MOST_MESSAGE), 20)
        assert await ask("echo", "again", 20) == "again"


@story
async def test_a_call_that_is_taken_back_half_said():
    async def echo(body):
        return body

    async with Served(verbs={"echo": echo}) as served:
        late = asyncio.ensure_future(served.connection.call("echo", bytes(30 << 20), 20))
        await asyncio.sleep(0)
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
        assert await served.connection.call("echo", "next", 5) == "next"
        (session,) = served.server.sessions
        assert session._parts == {}
        assert session._parts_size == 0
        assert served.connection.session.streams == {}


def test_what_a_later_release_adds_is_skipped():
    fields = msgspec.msgpack.decode(verbs.packed(verbs.OBJECTS["head"].words(address=O)))
    fields["later"] = {"x": 1}
    fields["address"]["later"] = 1
    assert verbs.OBJECTS["head"].read_words(verbs.packed(fields)).address == O


@story
async def test_nothing_is_left_of_what_has_ended():
    node = Node(objects=FakeDevice("d0"), indexes=FakeIndex())
    async with Served({WHERE: node}) as served:
        device = served.node().objects
        body = bytes(300_000)
        for number in range(20):
            await put(device, address(f"o{number}"), body[: number * 15_000], 100)
            async with await device.read(address(f"o{number}")) as reading:
                async for _ in reading.chunks(5):
                    break
        (session,) = served.server.sessions
        await come(lambda: not session.tasks)
        assert (session.streams, session._readings, served.connection.session.streams) == ({}, {}, {})
