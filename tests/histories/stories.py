# SPDX-License-Identifier: Apache-2.0
"""A story: clients at work in a world, of which a seed says what happens to it, and the end that it has to have."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from random import Random
from typing import Any

from cumulet.services.object_store.engine.base import Name
from cumulet.services.object_store.engine.coded.scheme import Scheme, at, whole_of
from cumulet.services.object_store.types.indexes import Listing
from cumulet.services.object_store.types.objects import Kind
from histories import judge
from histories.clients import ACCOUNT, BOXES, CONTAINER, NAMES, WORD, Clients
from histories.judge import Op, Seen
from histories.leaping_loop import LeapingLoop
from histories.worlds import World

ROUNDS = 3
CLIENTS = 5
CODE = Scheme(type="isa_l_rs_vand", data=2, parity=2, segment=10_000)
SHAPES = [
    {"clocks": [0.0], "disks": 4, "replicas": 3},
    {"clocks": [0.0], "disks": 3, "replicas": 3},
    {"clocks": [0.0, 0.0, 0.0], "disks": 3, "replicas": 3},
    {"clocks": [0.0, 1.5, -1.5, 0.3], "disks": 4, "replicas": 3},
    {"clocks": [0.0, 4.0], "disks": 5, "replicas": 3},
    {"clocks": [0.0, -2.0, 0.01], "disks": 4, "replicas": 2},
]
CODED = [
    {"clocks": [0.0], "disks": 5, "replicas": 4, "scheme": CODE},
    {"clocks": [0.0, 1.5, -1.5], "disks": 6, "replicas": 4, "scheme": CODE},
    {"clocks": [0.0, 0.4], "disks": 4, "replicas": 4, "scheme": CODE},
]
KINDS = ["none", "slow", "one", "one", "many"]  # of rounds: disks of which there is trouble
FAULTS = ["gone", "full", "slow", "slow", "hung", "mute"]
PARTS = [
    set(),
    *({"commit"}, {"merge_objects"}, {"delete", "post"}, {"head", "read"}, {"put", "set_metadata", "merge_containers"}),
    {"commit", "delete", "post", "merge_objects", "put", "set_metadata", "merge_containers"},
]


def play(seed: int, shapes: Sequence[dict[str, Any]] = SHAPES) -> list[str]:
    """What went wrong in the story of `seed`."""
    loop = LeapingLoop()
    errors = _Errors()
    log = logging.getLogger("cumulet")
    log.addHandler(errors)
    try:
        wrong = loop.run_until_complete(_Story(seed, shapes).tell())
        return errors.found + wrong
    finally:
        log.removeHandler(errors)
        loop.close()


class _Errors(logging.Handler):
    """What the store logs as errors: whatever is wrong with devices is none."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.found.append(f"the store logged: {record.getMessage()}: {error!r}")


class _Story:
    def __init__(self, seed: int, shapes: Sequence[dict[str, Any]]) -> None:
        self.luck = Random(seed)
        shape = shapes[seed % len(shapes)]
        self.world = World(Random(self.luck.random()), **shape)
        self.clients = Clients(self.world, Random(self.luck.random()))
        self.wrong: list[str] = []

    async def tell(self) -> list[str]:
        async with self.world.running():
            await self.clients.begin()
            for number in range(ROUNDS):
                trouble = asyncio.ensure_future(self._trouble(self.luck.choice(KINDS)))
                pause = self.luck.choice([0.02, 0.3, 1.5])
                work = [self.clients.some(f"{number}{who}", 25, pause) for who in "abcde"[:CLIENTS]]
                await asyncio.gather(*work)
                trouble.cancel()
                await asyncio.gather(trouble, return_exceptions=True)
                await self.world.heal()
                self.wrong += await self._end()
                if self.wrong or self.clients.failed:
                    break
                await self._misfortune()
        return [*self.clients.failed, *judge.judge(self.clients.history), *self.wrong]

    async def _trouble(self, kind: str) -> None:
        """Again and again, while clients work."""
        world, luck = self.world, self.luck
        disk = luck.choice(world.disks)
        while kind != "none":
            await asyncio.sleep(luck.expovariate(1 / 2.0))
            if kind == "many":
                disk = luck.choice(world.disks)
            what = luck.choice(["disk", "disk", "disk", "well", "well", "wire", "host", "cut"])
            if kind == "slow":
                what = "late"
            if what in ("host", "cut") and len(world.hosts) == 1 and kind == "one":
                what = "disk"
            await getattr(self, f"_{what}")(disk, kind)

    async def _disk(self, disk, kind) -> None:
        self.world.troubled.add(disk.number)
        disk.fault, disk.verbs = self.luck.choice(FAULTS), self.luck.choice(PARTS)

    async def _late(self, disk, kind) -> None:
        """It does all in the end, so that nobody takes it for one that may lack something."""
        self.world.troubled.add(disk.number)
        disk.fault, disk.verbs = "late", PARTS[-1]

    async def _well(self, disk, kind) -> None:
        disk.fault = ""
        for host in self.world.hosts:
            host.wires[disk.number].fault = ""

    async def _wire(self, disk, kind) -> None:
        host = self.luck.choice(self.world.hosts)
        if host.up and not host.mine(disk):
            self.world.troubled.add(disk.number)
            host.wires[disk.number].fault = self.luck.choice(["there", "back", "refused", ""])

    async def _cut(self, disk, kind) -> None:
        """The host of the disk and the others do not hear each other, or one side does not hear the other."""
        alone = next(host for host in self.world.hosts if host.mine(disk))
        mine = [each.number for each in self.world.disks if alone.mine(each)]
        if not alone.up or (kind == "one" and len(mine) > 1):
            return
        self.world.troubled.update(mine)
        self.world.cut = True
        way = self.luck.choice(["both", "in", "out"])
        for host in self.world.hosts:
            for wire in host.wires if host.up else ():
                inward, outward = wire.disk.number in mine and host is not alone, not wire.local and host is alone
                if inward:
                    wire.fault = "back" if way == "out" else "there"
                if outward:
                    wire.fault = "back" if way == "in" else "there"

    async def _host(self, disk, kind) -> None:
        """The process of a host dies, and is started again."""
        host = next(each for each in self.world.hosts if each.mine(disk))
        mine = [each.number for each in self.world.disks if host.mine(each)]
        if not host.up or (kind == "one" and len(mine) > 1):
            return
        self.world.forgot = True
        self.world.troubled.update(mine if len(self.world.hosts) > 1 else [])
        self.clients.hang_up(host)
        await host.kill()
        for each in self.world.hosts:
            for wire in each.wires if each.up else ():
                if wire.disk.number in mine:
                    wire.fault = "refused"
        await asyncio.sleep(self.luck.choice([0.1, 3.0, 20.0]))
        host.start()
        for each in self.world.hosts:
            for wire in each.wires:
                if wire.disk.number in mine:
                    wire.fault = ""

    async def _misfortune(self) -> None:
        """Between two rounds, when all is well: a disk is replaced by an empty one, or bits of it are turned."""
        disk = self.luck.choice(self.world.disks)
        what = self.luck.choice(["nothing", "lost", "rot"])
        if what == "nothing":
            return
        self.world.troubled.add(disk.number)
        self.world.forgot = True
        if what == "lost":
            disk.lose()
        else:
            for entry, body in list(disk.objects._kept.values()):
                if body and self.luck.random() < 0.5:
                    disk.objects.rot(entry.address)
            await asyncio.sleep(40.0)  # the auditor's turn

    async def _end(self) -> list[str]:
        """When all is well: what is read is what may be there, everywhere, and is what is listed."""
        wrong: list[str] = []
        for host in self.world.hosts:
            found: dict[str, Seen] = {}
            for newest in (False, True):
                for name in NAMES:
                    op = await self._ask(host, "get", name, newest)
                    if newest and op.seen != found[name]:
                        wrong.append(f"newest tells another {name} than {found[name]}: {op}")
                    found[name] = op.seen
                listed = await self._ask(host, "list", "", newest)
                wrong += judge.settled(found, listed.seen or [])
                for box in BOXES:
                    await self._ask(host, "look", box, newest)
                await self._ask(host, "containers", "", newest)
        return wrong + await self._replicas()

    async def _ask(self, host, verb, key, newest) -> Op:
        op = await self.clients.one("end", host, verb, key, newest)
        if op.seen is None:
            self.wrong.append(f"in the end nothing was told: {op}")
        return op

    async def _replicas(self) -> list[str]:
        """Every replica of everything is alike, whole, and nowhere else; nothing is owed."""
        world, wrong = self.world, []
        cluster = world.hosts[0].cluster
        for name in NAMES:
            part = [each.id for each in world.ring.find("a", "c", name)[1]]
            address, _ = cluster.places.object(Name("a", "c", name))
            copies = [disk.objects._find(address) for disk in world.disks]
            if world.scheme is not None:
                copies = [_fragment(disk, address, part) for disk in world.disks]
            mine = [copies[number] for number in part]
            if any(each != mine[0] for each in mine):
                wrong.append(f"replicas of {name} differ: {mine}")
            if any(copy is not None for number, copy in enumerate(copies) if number not in part):
                wrong.append(f"{name} lies on a handoff: {copies}")
            for place, number in enumerate(part):
                wrong += _damage(world.disks[number], address if world.scheme is None else at(address, place))
        wrong += [f"disk {disk.number} owes {disk.objects._owed}" for disk in world.disks if disk.objects._owed]
        for key in (ACCOUNT, CONTAINER):
            part = [each.id for each in world.index_ring.find(*(each for each in key if each))[1]]
            infos = [await world.disks[number].indexes.info(key) for number in part]
            if any(info is None or info.digest != infos[0].digest or info.state != infos[0].state for info in infos):
                wrong.append(f"replicas of the index {key} differ: {infos}")
        _, rows = await cluster.list_containers(ACCOUNT, Listing())
        listed, seen = await cluster.list_objects(CONTAINER, Listing())
        sums = [row[1:3] for row in rows if row[0] == "c"]
        if sums != [(len(seen), sum(row[2] for row in seen))]:
            wrong.append(f"the account counts {sums}, the container {listed.total} and {seen}")
        return wrong


def _fragment(disk, address, part) -> object:
    """The object that its one fragment is of, which has to be that of its place."""
    there = {
        entry.address.fragment: whole_of(entry.version)
        for entry, _ in disk.objects._kept.values()
        if entry.address.hash == address.hash
    }
    place = part.index(disk.number) if disk.number in part else -1
    return there.get(place) if set(there) <= {place} else there


def _damage(disk, address) -> list[str]:
    found = disk.objects._find(address)
    if found is None or found.kind is not Kind.DATA:
        return []
    body = disk.objects._kept[address.policy, address.partition, address.suffix, address.hash][1]
    same = hashlib.md5(body).hexdigest() == found.etag
    return [] if same and WORD in found.metadata else [f"{address.object} is damaged on disk {disk.number}"]
