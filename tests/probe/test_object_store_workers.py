# SPDX-License-Identifier: Apache-2.0
"""Processes of the object store and their disks fail under load; four of them, whose clocks are apart.

While one is away clients are told what the store promises; when it is back every object that was acknowledged is
readable, identical and listed once, and none that was deleted is back. KILLS=all has one killed at every place.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cumulet.services.object_store.engine.jobs.upkeep import Upkeep
from cumulet.services.object_store.types.objects import Kind
from cumulet.settings import load
from probe.store_workers import COUNT, Clients, Workers, running
from support.small_disk import SmallDisk

EVERY = [
    *(f"object_device.put:{step}" for step in ("created", "written", "sealed", "row")),
    *("object_device.post:row", "object_device.delete:row", "object_device.committed", "object_device.unlink"),
    *("object_engine.written", "object_engine.listed"),
]
PLACES = EVERY if os.environ.get("KILLS") == "all" else random.Random(4).sample(EVERY, 1)
LOAD = 40  # requests before, while and after something is wrong


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    with running(tmp_path_factory.mktemp("store")) as made:
        yield made


@pytest.mark.parametrize("place", PLACES)
def test_a_process_is_killed_at(workers: Workers, place: str) -> None:
    clients = Clients(workers, place)
    victim = EVERY.index(place) % COUNT
    with clients.at_work() as more:
        more(LOAD)
        workers.wishes(victim).write_text(f"{place}\n")
        workers.ended(victim)
        more(LOAD)
        workers.start(victim)
        more(LOAD)
    assert clients.end() == []


def test_a_folder_is_gone_and_comes_back(workers: Workers) -> None:
    clients = Clients(workers, "gone")
    away = workers.state / "away"
    with clients.at_work() as more:
        more(LOAD)
        workers.folder(1).rename(away)
        more(LOAD)
        away.rename(workers.folder(1))
        more(LOAD)
    assert clients.end() == []


def test_a_disk_is_replaced_by_an_empty_one(workers: Workers) -> None:
    clients = Clients(workers, "empty")
    with clients.at_work() as more:
        more(LOAD)
        workers.kill(2)
        shutil.rmtree(workers.folder(2))
        workers.folder(2).mkdir()
        (workers.state / "objects" / "made" / "d2").unlink()  # as an operator who means it
        more(LOAD)
        workers.start(2)
        more(LOAD)
    assert clients.end() == []


@pytest.mark.parametrize("what", ["bodies", "catalogue"])
def test_bits_of_a_disk_are_turned(workers: Workers, what: str) -> None:
    clients = Clients(workers, what)
    with clients.at_work() as more:
        more(2 * LOAD)
        if what == "bodies":
            for path in (workers.folder(0) / "data").rglob("*-*-*"):
                cut(path)
            more(LOAD)
        else:
            workers.kill(0)
            turn_bits(workers.folder(0) / "catalogue.db")
            workers.start(0)
            more(LOAD)
            workers.kill(0)
            shutil.rmtree(workers.folder(0))
            workers.folder(0).mkdir()
            (workers.state / "objects" / "made" / "d0").unlink()
            workers.start(0)
        more(LOAD)
    assert clients.end() == []


def cut(path: Path) -> None:
    """A body that lost its second half is found by whoever reads it."""
    try:
        os.truncate(path, path.stat().st_size // 2)
    except FileNotFoundError:
        return


def turn_bits(path: Path) -> None:
    """In every page but the first."""
    luck = random.Random(1)
    data = bytearray(path.read_bytes())
    for at in range(4096, len(data), 512):
        data[at + luck.randrange(512)] ^= 1 << luck.randrange(8)
    path.write_bytes(data)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_disk_is_full(workers: Workers) -> None:
    assert workers.small is not None
    clients = Clients(workers, "full")
    with clients.at_work() as more:
        more(LOAD)
        fill(workers.small)
        more(2 * LOAD)
        workers.small.make_room()
        more(LOAD)
    assert clients.end() == []


def test_in_the_end_every_replica_is_alike(workers: Workers) -> None:
    """By the last of the processes, which has all devices then."""
    for number in range(COUNT):
        workers.kill(number)
    asyncio.run(examine(workers))


def fill(disk: SmallDisk) -> None:
    """Whoever writes meanwhile may be quicker."""
    for _ in range(50):
        try:
            disk.fill()
        except OSError:
            continue
        return
    raise AssertionError("the disk cannot be filled")


async def examine(workers: Workers) -> None:
    from cumulet.services.object_store.logic.standing import Standing

    settings = load(environ={}, overrides={"state": str(workers.state), "object_store.workers": "1"})
    standing = await Standing.open(settings.objects_folder, settings.object_store)
    try:
        assert len(standing.engine.places.devices) == COUNT
        upkeep = Upkeep(standing.engine)
        for _ in range(3):
            for job in upkeep.jobs:
                if job.name != "reclaimer":
                    await job.run()
        places, found = standing.engine.places, {}
        for at, node in places.devices.items():
            assert (await node.objects.audit()).damaged == ()
            assert await node.objects.owed() == []
            for policy, part in await node.objects.partitions():
                for entry in await node.objects.entries(policy, part):
                    found.setdefault(entry.address, {})[at] = entry.version
        assert any(version.kind is Kind.DATA for copies in found.values() for version in copies.values())
        for address, copies in found.items():
            spot = places.spot(places.ring(address.policy), address.partition)
            holders = {at for at, node in places.devices.items() if node in spot.primaries}
            assert copies.keys() == holders, address
            assert len(set(map(repr, copies.values()))) == 1, address
    finally:
        await standing.close()
