# SPDX-License-Identifier: Apache-2.0
"""A stream between processes as the first release speaks it: each side of it is played against that of today.

`remote_release_1.json` was recorded between its own two ends. Until that release is out it may be written anew, by

    python test_remote_releases.py > remote_release_1.json

and never after. At a release, record one more, and drop the one of two releases ago.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import zlib
from pathlib import Path

import pytest

from cumulet.kernel.errors import Conflict
from cumulet.services.object_store.drivers.base import DeviceGone
from cumulet.services.object_store.drivers.fake import FakeDevice
from cumulet.services.object_store.drivers.fake_index import FakeIndex
from cumulet.services.object_store.drivers.nodes import Node
from cumulet.services.object_store.drivers.remote import connection, devices, server
from cumulet.services.object_store.drivers.remote.devices import node
from cumulet.services.object_store.drivers.remote.framing import HEADER, Kind
from cumulet.services.object_store.types import objects
from cumulet.services.object_store.types.indexes import Key, Listing, ObjectRow
from cumulet.services.object_store.types.objects import Address, OwedUpdate, Update
from drivers.object_store.device_benches import content, version_of

WHERE = ("192.0.2.1", 6200, "sdb1")
O = Address(policy=1, partition=7, hash="0f" * 16, account="AUTH_a", container="c", object="é/o")  # noqa: E741
C = Key("AUTH_a", "c")
BODY = bytes(range(256)) * 600
OWED = OwedUpdate(account="AUTH_a", container="c", object="é/o", stamp=5, row=b"row")
RELEASES = sorted(Path(__file__).parent.glob("remote_release_*.json"))
CALLER, SERVER = "caller", "server"
SILENCE = 1e6  # seconds: nothing is said for want of other words


async def use(found):
    """Something of each kind, and what it was told in plain data."""
    device, index, told = found.objects, found.indexes, []
    for body, stamp in ((b"small", 100), (BODY, 200), (b"", 300)):
        async with await device.begin(O, len(body)) as upload:
            await upload.write(body)
            told.append(await upload.etag())
            outcome = await upload.commit(version_of(body, stamp, metadata={"x-object-meta-a": "ü"}), [OWED])
            told += [outcome.verdict, outcome.now.metadata, len(outcome.owed)]
        told.append(await content(device, O) == body)
    update = Update(stamp=400, metadata={"b": "2"}, content_type="text/css")
    told.append((await device.post(O, update, [OWED], expired_too=True)).verdict)
    told += [(await device.head(O)).content_type, await device.partitions(), len(await device.digests(1, 7))]
    told += [[each.address.object for each in await device.entries(1, 7)], len(await device.owed())]
    told += [(await device.settle(O, objects.tombstone(50))).verdict, (await device.delete(O, 500)).verdict]
    told += [await device.read(O), await index.put(C, 1, policy=1, metadata={"X": "y"})]
    told += [(await index.info(C)).state.metadata, await index.merge_objects(C, [ObjectRow("é", 5, 3, policy=1)])]
    told += [(await index.list_objects(C, Listing(prefix="é")))[1], await index.sync_points(C)]
    with pytest.raises(Conflict) as refused:
        await index.put(C, 2, policy=0)
    told += [refused.value.message, refused.value.code, refused.value.fields]
    return json.loads(json.dumps(told))


async def ask(meet):
    """A caller of today, whose session `meet` is given."""
    asked = connection.Connection(Way(meet), silence=SILENCE)
    asked.start()
    try:
        assert await asked.linked(10), asked.trouble
        found = node(asked, WHERE)
        with pytest.raises(DeviceGone):
            await node(asked, ("192.0.2.1", 6200, "sdc1")).objects.head(O)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(devices, "TRUST", 1e6)  # however long it takes
            return await use(found)
    finally:
        await asked.stop()


class Way:
    name = "recorded"

    def __init__(self, meet):
        self._meet = meet

    async def open(self, make):
        session = make()
        self._meet(session)
        return session


class End(asyncio.Transport):
    """Tells `hear` what is written, but for signs of life, after it was."""

    def __init__(self, hear):
        super().__init__()
        self._hear = hear

    def write(self, data):
        if data != HEADER.pack(0, Kind.PING, 0):
            self._hear(data)

    def writelines(self, buffers):
        self.write(b"".join(buffers))

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def get_write_buffer_size(self):
        return 0

    def abort(self):
        self._hear = lambda data: None

    close = abort


def serving():
    held = Node(objects=FakeDevice("sdb1"), indexes=FakeIndex())
    held.indexes._identity = "a" * 32
    return server.DeviceServer({WHERE: held}, silence=SILENCE)


async def record():
    """What both say to each other in turn, and what the caller is told."""
    said, served = [], serving()

    def meet(session):
        there, loop = server.Session(served), asyncio.get_running_loop()

        def between(who, other):
            def hear(data):
                said.append([who, base64.b64encode(zlib.compress(data)).decode()])
                loop.call_soon(other.data_received, data)

            return End(hear)

        there.connection_made(between(SERVER, session))
        session.connection_made(between(CALLER, there))

    told = await ask(meet)
    await served.close()
    return {"said": said, "told": told}


class Recording:
    def __init__(self, path):
        read = json.loads(path.read_text())
        self.told = read["told"]
        self.said = [(who, zlib.decompress(base64.b64decode(data))) for who, data in read["said"]]

    def words(self, who):
        return [word_of(data) for each, data in self.said if each == who]


def word_of(data):
    """What is said with what is written at once: the kind of the frame and its exchange; of the hello nothing."""
    return () if b"hello" in data[:20] else HEADER.unpack_from(data)[1:]


def test_there_is_a_release():
    assert RELEASES


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.stem)
def test_a_caller_of_a_release_is_served(release):
    """With answers of the same kind; what is in them may have grown."""
    asyncio.run(serve(Recording(release)))


async def serve(recorded):
    served, said = serving(), []
    there = server.Session(served)
    there.connection_made(End(lambda data: said.append(word_of(data))))
    answers = 0
    for who, data in recorded.said:
        if who == CALLER:
            there.data_received(data)
            continue
        answers += 1
        async with asyncio.timeout(10):
            while len(said) < answers:
                assert not there.trouble, there.trouble
                await asyncio.sleep(0)
    assert sorted(said) == sorted(recorded.words(SERVER))
    await served.close()


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.stem)
def test_a_server_of_a_release_is_understood(release):
    recorded = Recording(release)
    assert asyncio.run(asked_of(recorded)) == recorded.told


async def asked_of(recorded):
    """Its answers come when all is said that was said before them."""
    said, due = [], list(recorded.said)

    def meet(session):
        def go_on():
            heard = len(said)
            while due:
                if due[0][0] == SERVER:
                    session.data_received(due.pop(0)[1])
                elif heard > len(recorded.words(CALLER)) - sum(each == CALLER for each, _ in due):
                    due.pop(0)
                else:
                    return

        def hear(data):
            said.append(word_of(data))
            asyncio.get_running_loop().call_soon(go_on)

        session.connection_made(End(hear))

    told = await ask(meet)
    assert sorted(said) == sorted(recorded.words(CALLER))
    return told


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(record()), indent=0) + "\n")
