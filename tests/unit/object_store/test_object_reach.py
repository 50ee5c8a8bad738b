# SPDX-License-Identifier: Apache-2.0
"""Devices of other hosts and workers, as rings name them: they come, they go, and who is cut off has none."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cumulet.kernel.db import Database, migrate
from cumulet.kernel.link.asker import Asker
from cumulet.services.object_store.drivers.base import DeviceGone
from cumulet.services.object_store.drivers.fake import FakeDevice
from cumulet.services.object_store.drivers.fake_index import FakeIndex
from cumulet.services.object_store.drivers.nodes import Node
from cumulet.services.object_store.logic.home import Home, Secret
from cumulet.services.object_store.logic.rates import TAKE, Together, Waiting
from cumulet.services.object_store.logic.reach import Reaching
from cumulet.services.object_store.ring import builders
from cumulet.services.object_store.ring.builder import Builder
from cumulet.services.object_store.ring.devices import Device
from cumulet.services.object_store.ring.ring import Ring
from cumulet.settings.object_store import ObjectDevice, ObjectStore
from support.link import Replica

ONE, TWO = "127.0.0.2", "127.0.0.3"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ONE, 0))
        port: int = probe.getsockname()[1]
    return port


def ring(*places: tuple[str, int, str]) -> Ring:
    builder = Builder(4, 1, 0)
    for number, (ip, port, device) in enumerate(places):
        builder.add(Device(id=number, ip=ip, port=port, device=device, weight=100.0))
    builder.rebalance(0.0, seed=0)
    return Ring(builders.finished(builder))


def home(folder: Path, settings: ObjectStore) -> Home:
    return Home(
        folder=folder, secret=Secret(prefix="", suffix=""), devices=settings.devices, policies=(),
        address=settings.address, port=settings.port,
    )  # fmt: skip


def own(name: str) -> Node:
    return Node(objects=FakeDevice(name), indexes=FakeIndex())


@pytest.fixture
def replica(empty: Database, tmp_path: Path) -> Iterator[Replica]:
    migrate.migrate(empty, {})
    replica = Replica(empty, tmp_path)
    yield replica.start()
    replica.stop()


def test_hosts_reach_each_others_devices_until_one_is_cut_off(replica: Replica, tmp_path: Path) -> None:
    port, members = free_port(), {name: replica.member(tmp_path, name) for name in ("one", "two")}

    async def story() -> None:
        loop = asyncio.get_running_loop()
        askers, reaches = [], {}
        for name, address in (("one", ONE), ("two", TWO)):
            asker = Asker(members[name].ways(10.0), "objects")
            asker.start()
            settings = ObjectStore(address=address, port=port, devices=(ObjectDevice(name=name, folder=tmp_path),))
            made = Reaching(settings, tmp_path / f"{name}-objects", tmp_path, name)
            await made.open(asker.call)
            made.nodes[address, port, name] = own(name)
            askers.append(asker)
            reaches[name] = made
            both = ring((ONE, port, "one"), (TWO, port, "two"))
            made.follow(home(tmp_path, settings), [both])
            known = home(tmp_path, settings)
        one, two = reaches["one"], reaches["two"]
        try:
            near, far = one.nodes[ONE, port, "one"], one.nodes[TWO, port, "two"]
            assert (near.local, near.near, far.local, far.near) == (True, True, False, False)
            for seen in (far, two.nodes[ONE, port, "one"]):
                async with asyncio.timeout(20):
                    while not await _answers(seen):
                        await asyncio.sleep(0.05)
            await loop.run_in_executor(None, replica.admission.revoke, "two")
            async with asyncio.timeout(20):
                while await _answers(far) or await _answers(two.nodes[ONE, port, "one"]):
                    await asyncio.sleep(0.05)
            two.follow(known, [ring((TWO, port, "two"))])
            assert list(two.nodes) == [(TWO, port, "two")]
        finally:
            for each in reaches.values():
                await each.close()
            for asker in askers:
                await asker.stop()

    replica.loop.wait(story())


async def _answers(node: Node) -> bool:
    try:
        return await node.objects.partitions() == []
    except DeviceGone:
        return False


def test_workers_have_devices_in_turn_and_count_together(tmp_path: Path) -> None:
    devices = tuple(ObjectDevice(name=name, folder=tmp_path / name) for name in ("a", "b", "c"))
    settings = ObjectStore(devices=devices, workers=2)
    where = {name: (settings.address, settings.port, name) for name in ("a", "b", "c")}

    async def story() -> None:
        first = Together(None)
        reaches = [Reaching(settings, tmp_path, tmp_path, "h", number, {TAKE: first.answer}) for number in range(2)]
        second = Together(lambda verb, body, timeout: reaches[1].worker(0).call(verb, body, timeout))
        try:
            for number, reach in enumerate(reaches):
                await reach.open(_nobody)
                for name in ("ac", "b")[number]:
                    reach.nodes[where[name]] = own(name)
                reach.follow(home(tmp_path, settings), [ring(*where.values(), (settings.address, settings.port, "z"))])
            assert [name for name in "abc" if reaches[0].nodes[where[name]].local] == ["a", "c"]
            assert [name for name in "abc" if reaches[1].nodes[where[name]].local] == ["b"]
            assert all(node.near for reach in reaches for node in reach.nodes.values())
            assert len(reaches[0].nodes) == 3  # the one that no setting names is not at hand
            async with asyncio.timeout(20):
                while not await _answers(reaches[1].nodes[where["c"]]):
                    await asyncio.sleep(0.02)

            waits = [await each.take(Waiting(60, 0), "key", 0.5) for each in (first, second, first, second)]
            assert [round(wait or 0) for wait in waits] == [0, 2, 4, 6]
            assert await second.take(Waiting(1, 0), "key", 0.1) == 0  # one that waits for less time is another one
            assert await first.take(Waiting(1, 0), "key", 0.1) is None
            assert await second.take(Waiting(1, 0), "key", 0.1) is None
            await reaches[0].close()
            async with asyncio.timeout(20):
                while await second.take(Waiting(60, 0), "key", 0.5) != 0:  # it counts for itself
                    await asyncio.sleep(0.02)
        finally:
            for reach in reaches:
                await reach.close()

    asyncio.run(story())


async def _nobody(verb: str, body: object) -> object:
    raise AssertionError("a machine of its own has no badge to ask for")
