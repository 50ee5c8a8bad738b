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

from probe.store_replicas import examine
from probe.store_workers import COUNT, Workers, running
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
    clients = workers.clients(place)
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
    clients = workers.clients("gone")
    away = workers.state / "away"
    with clients.at_work() as more:
        more(LOAD)
        workers.folder(1).rename(away)
        more(LOAD)
        away.rename(workers.folder(1))
        more(LOAD)
    assert clients.end() == []


def test_a_disk_is_replaced_by_an_empty_one(workers: Workers) -> None:
    clients = workers.clients("empty")
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
    clients = workers.clients(what)
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
    clients = workers.clients("full")
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
    asyncio.run(examine(workers.state, {}, COUNT))


def fill(disk: SmallDisk) -> None:
    """Whoever writes meanwhile may be quicker."""
    for _ in range(50):
        try:
            disk.fill()
        except OSError:
            continue
        return
    raise AssertionError("the disk cannot be filled")
