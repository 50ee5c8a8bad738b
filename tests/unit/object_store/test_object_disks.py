# SPDX-License-Identifier: Apache-2.0
"""Devices that fail while they are open: they are let go, and taken in again when they are well."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from cumulet.services.object_store.drivers.local import catalogue
from cumulet.services.object_store.engine.base import Name
from cumulet.services.object_store.logic import disks
from cumulet.services.object_store.logic.standing import Standing
from cumulet.services.object_store.types import objects, stamps
from cumulet.services.object_store.types.indexes import Key, Listing
from cumulet.settings.object_store import ObjectDevice, ObjectStore

PLACES = [("127.0.0.1", 6200, name) for name in ("one", "two")]
KEY = Key("a", "c")


class Bench:
    def __init__(self, folder):
        for name in ("one", "two"):
            (folder / name).mkdir()
        devices = tuple(ObjectDevice(name=name, folder=folder / name) for name in ("one", "two"))
        self.folder = folder
        self.settings = ObjectStore(devices=devices, part_power=3, durable=True, reserve=0)

    async def __aenter__(self):
        self.at_work = await Standing.open(self.folder / "objects", self.settings)
        self.engine, self.nodes = self.at_work.engine, self.at_work.engine.places.devices
        await self.engine.put(Key("a"), stamps.now())
        await self.engine.put(KEY, stamps.now())
        return self

    async def __aexit__(self, *ended):
        await self.at_work.close()

    async def put(self, name, body=b"body"):
        async with await self.engine.write(Name("a", "c", name)) as writing:
            await writing.write(body)
            await writing.commit(objects.put(stamps.now(), writing.size, await writing.etag(), "text/plain"))

    async def until(self, place, there):
        """Look until the device is there, or is not."""
        async with asyncio.timeout(20):
            while (place in self.nodes) is not there:
                await self.at_work.look()
                await asyncio.sleep(0.01)

    async def whole(self, names):
        """Both replicas have all of these, and list them."""
        upkeep = self.at_work.upkeep
        for job in (upkeep.updater, upkeep.index_replicator, upkeep.replicator, upkeep.updater):
            await job.run()
        for node in self.nodes.values():
            for name in names:
                address = self.engine.places.object(Name("a", "c", name))[0]
                assert (await node.objects.head(address)) is not None
            assert [row[0] for row in (await node.indexes.list_objects(KEY, Listing()))[1]] == names


@pytest.fixture
def at_once(monkeypatch):
    """A device that has failed is tried again at once."""
    monkeypatch.setattr(disks, "FIRST", 0.0)


def story(folder, test):
    async def run():
        async with Bench(folder) as bench:
            await test(bench)

    asyncio.run(run())


def failing(name):
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = name
    return error


@pytest.mark.usefixtures("at_once")
def test_a_folder_that_is_away_for_a_while(tmp_path):
    async def test(bench):
        await bench.put("before")
        away = tmp_path / "away"
        (tmp_path / "one").rename(away)
        (tmp_path / "one").mkdir()  # the place where it was mounted
        await bench.until(PLACES[0], False)
        for number in range(2):
            with pytest.raises(disks.CumuletError):
                await bench.put(f"o{number}")  # one of two is no quorum
        await bench.at_work.look()
        assert not (tmp_path / "one" / "catalogue.db").exists()
        (tmp_path / "one").rmdir()
        away.rename(tmp_path / "one")
        await bench.until(PLACES[0], True)
        await bench.put("o2")
        await bench.whole(["before", "o2"])

    story(tmp_path, test)


@pytest.mark.usefixtures("at_once")
def test_a_disk_whose_catalogue_cannot_be_written(tmp_path, monkeypatch, caplog):
    async def test(bench):
        await bench.put("before")
        node, plain = bench.nodes[PLACES[0]], catalogue.put

        def put(say, *given):
            if say is node.objects._ledger._connection:
                raise failing("SQLITE_IOERR_FSYNC")
            return plain(say, *given)

        monkeypatch.setattr(catalogue, "put", put)
        with pytest.raises(disks.CumuletError):
            await bench.put("lost")
        await bench.until(PLACES[0], False)
        assert "device one has failed" in caplog.text
        await bench.until(PLACES[0], True)
        assert bench.nodes[PLACES[0]] is not node
        await bench.put("later", bytes(200_000))
        await bench.whole(["before", "later", "lost"])

    story(tmp_path, test)


@pytest.mark.usefixtures("at_once")
def test_a_disk_whose_indexes_cannot_be_written(tmp_path):
    async def test(bench):
        ledger = bench.nodes[PLACES[1]].indexes._ledger
        ledger._connection = Failing(ledger._connection)
        await bench.put("o")  # its row is owed
        assert ledger.failed == "SQLITE_IOERR_WRITE: disk I/O error"
        await bench.until(PLACES[1], False)
        await bench.until(PLACES[1], True)
        await bench.whole(["o"])

    story(tmp_path, test)


class Failing:
    """A connection whose commits fail."""

    def __init__(self, plain):
        self._plain = plain

    def __getattr__(self, name):
        return getattr(self._plain, name)

    def execute(self, words, *more):
        if words == "COMMIT":
            raise failing("SQLITE_IOERR_WRITE")
        return self._plain.execute(words, *more)


def test_a_device_that_fails_is_not_tried_all_the_time(tmp_path, monkeypatch):
    monkeypatch.setattr(disks, "FIRST", 1000.0)

    async def test(bench):
        bench.nodes[PLACES[0]].objects._broken = "it fails"
        await bench.until(PLACES[0], False)
        for _ in range(5):
            await asyncio.sleep(0.01)
            await bench.at_work.look()
        assert PLACES[0] not in bench.nodes

    story(tmp_path, test)


async def end(writing):
    await writing.write(bytes(1_000_000))
    await writing.commit(objects.put(stamps.now(), writing.size, await writing.etag(), "text/plain"))


def test_what_was_being_read_and_written_when_it_failed(tmp_path, monkeypatch):
    monkeypatch.setattr(disks, "FIRST", 0.0)
    body = bytes(3_000_000)

    async def test(bench):
        await bench.put("large", body)
        reading = await bench.engine.read(Name("a", "c", "large"))
        writing = await bench.engine.write(Name("a", "c", "new"))
        await writing.write(bytes(1_000_000))
        found = []
        async with reading:
            async for piece in reading.chunks():
                found.append(piece)
                if len(found) == 1:
                    for place in PLACES[:1]:
                        bench.nodes[place].objects._broken = "it fails"
                        await bench.until(place, False)
        assert b"".join(found) == body
        async with writing:
            with pytest.raises(disks.CumuletError):
                await end(writing)
        await bench.until(PLACES[0], True)
        await bench.put("new")
        await bench.whole(["large", "new"])

    story(tmp_path, test)
