# SPDX-License-Identifier: Apache-2.0
"""What processes ask of each other beside devices, and what a connection says that has nobody at its end."""

from __future__ import annotations

import asyncio
import functools

import msgspec
import pytest

from cumulet.kernel.errors import Conflict, Invalid, NotReady, Unsupported
from cumulet.kernel.link.outcome import CallTimeout
from cumulet.services.object_store.drivers.base import INLINE, PIECE, DeviceFull, DeviceGone, ObjectDevice
from cumulet.services.object_store.drivers.fake import FakeDevice
from cumulet.services.object_store.drivers.fake_index import FakeIndex
from cumulet.services.object_store.drivers.index_base import IndexDevice
from cumulet.services.object_store.drivers.nodes import Node
from cumulet.services.object_store.drivers.remote import verbs
from cumulet.services.object_store.drivers.remote.connection import Connection, Here
from cumulet.services.object_store.drivers.remote.devices import RemoteDevice, RemoteIndex, node
from cumulet.services.object_store.types.indexes import Key
from drivers.object_store.device_benches import address, body_of, content, put, version_of
from drivers.object_store.remote_benches import WHERE, Served

O = address()  # noqa: E741


def story(test):
    @functools.wraps(test)
    def run(**given):
        asyncio.run(test(**given))

    return run


def a_node():
    return Node(objects=FakeDevice("d0"), indexes=FakeIndex())


@pytest.mark.parametrize(
    ("protocol", "remote"), [(ObjectDevice, RemoteDevice), (IndexDevice, RemoteIndex)], ids=["objects", "indexes"]
)
def test_every_verb_is_asked(protocol, remote):
    missing = {name for name in vars(protocol) if not name.startswith("_")} - set(dir(remote))
    assert missing == set()


@story
async def test_a_process_is_asked():
    async def echo(body):
        return body

    async def refuse(body):
        raise Conflict("It is there.", code="There", number=3)

    async def sleep(body):
        await asyncio.sleep(60)

    async def fail(body):
        raise ZeroDivisionError

    said = {"echo": echo, "refuse": refuse, "sleep": sleep, "fail": fail}
    async with Served(verbs=said) as served:
        ask = served.connection.call
        for body in (None, b"\0" * 300_000, {"name": "object-1", "bytes": b"x", "n": [1, 2.5, True]}):
            assert await ask("echo", body, 10) == body
        with pytest.raises(Conflict) as told:
            await ask("refuse", {}, 10)
        assert (told.value.message, told.value.code, told.value.fields) == ("It is there.", "There", {"number": 3})
        with pytest.raises(CallTimeout):
            await ask("sleep", {}, 0.05)
        with pytest.raises(Unsupported):
            await ask("unknown", {}, 10)
        with pytest.raises(DeviceGone, match="log"):
            await ask("fail", {}, 10)
        with pytest.raises(TypeError):
            await ask("echo", object(), 10)
        with pytest.raises(Invalid):
            await ask("echo", "\ud800", 10)
        late = asyncio.ensure_future(ask("sleep", {}, 60))
        await asyncio.sleep(0)
        await served.server.close()
        with pytest.raises(NotReady):
            await late


@pytest.mark.parametrize(
    "error",
    [
        DeviceFull("It is full.", code="DeviceFull"),
        DeviceGone("It is gone.", code="DeviceGone"),
        Conflict("Another one.", code="HashCollision"),
        Conflict("Another one.", code="OtherPolicy", policy=7),
        Invalid("No name."),
        NotReady("Not yet.", code="Later"),
    ],
    ids=lambda error: error.code or "plain",
)
def test_errors_arrive_as_they_are(error):
    came = verbs.error_from_wire(verbs.error_to_wire(error, "verb"))
    assert (type(came), came.message, came.code, came.fields) == (type(error), error.message, error.code, error.fields)


def test_an_error_of_names_that_are_no_text():
    came = verbs.error_from_wire(verbs.error_to_wire(Conflict("A \ud800.", code="There", name="\ud800"), "verb"))
    assert (type(came), came.message, came.code, came.fields) == (Conflict, "A ?.", "There", {})


@pytest.mark.parametrize("error", [msgspec.DecodeError("rot"), OSError(5, "rot"), TimeoutError()], ids=repr)
@story
async def test_a_device_that_fails_is_gone_and_nothing_else(error):
    async def fail(*values):
        raise error

    async with Served({WHERE: a_node()}) as served:
        found, session = served.node(), served.connection.session
        served.nodes[WHERE].objects.head = fail
        with pytest.raises(DeviceGone):
            await found.objects.head(O)
        assert await found.objects.partitions() == []
        assert served.connection.session is session


@story
async def test_an_upload_that_lost_its_stream_at_the_first_piece_has_ended():
    async with Served({WHERE: a_node()}) as served:
        found = served.node().objects
        await put(found, O, b"x", 100)
        upload = await found.begin(address("p"))
        await upload.write(body_of(10))
        await served.connection.stop()
        with pytest.raises(DeviceGone):
            await upload.write(body_of(INLINE))
        with pytest.raises(RuntimeError):
            await upload.commit(version_of(body_of(INLINE), 100))


@story
async def test_nobody_is_there(tmp_path):
    connection = Connection(Here(tmp_path / "nobody"))
    found = node(connection, WHERE)
    assert (found.local, found.objects.id, found.objects.capabilities.durable) == (False, "d0", False)
    for start in (lambda: None, connection.start):
        start()
        for verb in (
            lambda: found.objects.head(O),
            lambda: found.objects.begin(O, 5),
            lambda: found.objects.read(O),
            lambda: found.indexes.info(Key("a")),
            lambda: connection.call("echo", {}, 10),
        ):
            with pytest.raises(DeviceGone):
                await asyncio.wait_for(verb(), 5)
    assert not await connection.linked(0.01)
    assert connection.trouble
    assert found.indexes.identity != node(connection, WHERE).indexes.identity
    await connection.stop()


@story
async def test_devices_come_and_go():
    async with Served() as served:
        found = served.node()
        with pytest.raises(DeviceGone):
            await found.objects.head(O)
        first = served.nodes[WHERE] = a_node()
        assert await found.objects.head(O) is None
        assert found.indexes.identity == first.indexes.identity
        second = served.nodes[WHERE] = a_node()
        with pytest.raises(DeviceGone) as told:
            await found.indexes.info(Key("a"))
        assert told.value.code == "DeviceGone"
        assert await found.indexes.info(Key("a")) is None
        assert found.indexes.identity == second.indexes.identity
        served.nodes[WHERE] = served.node(("127.0.0.1", 6200, "elsewhere"))
        for _ in range(2):
            with pytest.raises(DeviceGone):
                await found.objects.head(O)


@story
async def test_a_device_is_passed_on():
    async with Served() as far, Served() as near:
        passed = msgspec.structs.replace(far.node(), local=True)
        near.nodes[WHERE] = passed
        found = near.node()
        with pytest.raises(DeviceGone):
            await found.objects.head(O)
        first = far.nodes[WHERE] = a_node()
        body = body_of(3 * PIECE + 5)
        for size in (0, 10, len(body)):
            where = address(f"o{size}")
            assert (await put(found.objects, where, body[:size], 100)).now == await first.objects.head(where)
            assert await content(found.objects, where) == body[:size]
        assert found.indexes.identity == first.indexes.identity
        second = far.nodes[WHERE] = a_node()
        for _ in range(2):
            with pytest.raises(DeviceGone):
                await found.indexes.info(Key("a"))
            assert await passed.indexes.info(Key("a")) is None
        assert await found.indexes.info(Key("a")) is None
        assert found.indexes.identity == passed.indexes.identity == second.indexes.identity
