# SPDX-License-Identifier: Apache-2.0
"""Hosts with devices in memory, wires between them, and all that can be wrong with these.

A host has an engine over all devices, and the upkeep of its own, as a process of the store has. What is sent over a
wire arrives even if its sender does not wait any more, and takes effect even if the answer is lost: as on a network.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from contextvars import ContextVar
from random import Random

import msgspec

from cumulet.kernel import clock
from cumulet.services.object_store.drivers.base import DeviceFull, DeviceGone
from cumulet.services.object_store.drivers.fake import FakeDevice
from cumulet.services.object_store.drivers.fake_index import FakeIndex
from cumulet.services.object_store.engine.base import Policy
from cumulet.services.object_store.engine.cluster import Cluster
from cumulet.services.object_store.engine.coded.scheme import Scheme
from cumulet.services.object_store.engine.jobs.upkeep import Pace, Upkeep
from cumulet.services.object_store.engine.places import Node, Rings, where
from cumulet.services.object_store.engine.recent import Recent
from support.object_store import ring_of

EPOCH = 1_800_000_000.0
POLICIES = (Policy(number=0, name="Policy-0", default=True),)
PACE = Pace(
    updater=2.0,
    completer=3.0,
    expirer=30.0,
    replicator=12.0,
    auditor=9.0,
    reclaimer=20.0,
    reclaim_age=900.0,
    audit_every=10.0,
)
WRITING = {"begin", "write", "commit", "confirm", "post", "delete", "settle", "put", "set_metadata", "merge_state"}
WRITING |= {"merge_objects", "merge_containers"}
GIVE_UP = 40.0  # seconds, after which who does not hear of the other takes it for gone

_ahead: ContextVar[float] = ContextVar("ahead", default=0.0)


class Disk:
    """A device. `fault`: "" (well), gone, full, late (soon enough), slow (or not), hung (nothing is done), mute (all is
    done, nothing told)."""

    def __init__(self, number: int, luck: Random) -> None:
        self.number = number
        self.luck = luck
        self.fault = ""
        self.verbs: set[str] = set()  # that the fault is of; none: all
        self.lose()

    def lose(self) -> None:
        """An empty one in its place."""
        self.objects, self.indexes = FakeDevice(f"d{self.number}"), FakeIndex()

    async def do(self, verb: str, work):
        """What the disk does, at its own pace."""
        fault = self.fault if not self.verbs or verb in self.verbs else ""
        await asyncio.sleep(self.luck.uniform(0.0001, 0.004))
        if fault == "gone":
            raise DeviceGone("It is gone.", code="DeviceGone")
        if fault == "full" and verb in WRITING:
            raise DeviceFull("It is full.", code="DeviceFull")
        if fault == "late":
            await asyncio.sleep(self.luck.choice([0.3, 1.0, 1.8]) * (1 if verb.startswith("merge") else 4))
        if fault == "slow":
            await asyncio.sleep(self.luck.choice([0.3, 0.8, 3.0, 15.0]))
        if fault == "hung":
            await _nothing()
        answer = await work()
        if fault == "mute":
            await _nothing()
        return answer


class Wire:
    """From a host to a disk. `fault`: "" (well), there (nothing arrives), back (no answer does), refused."""

    def __init__(self, disk: Disk, luck: Random, *, local: bool, sent: dict[asyncio.Task, None]) -> None:
        self.disk = disk
        self.luck = luck
        self.local = local
        self.fault = ""
        self._sent = sent

    async def send(self, verb: str, work):
        """What was sent is done, whether its sender waits or not."""
        if self.fault == "refused":
            raise DeviceGone("There is no way.", code="DeviceGone")
        task = asyncio.ensure_future(self._carry(verb, work, self.fault))
        self._sent[task] = None
        task.add_done_callback(self._arrived)
        return await asyncio.shield(task)

    async def _carry(self, verb, work, fault):
        if not self.local:
            await asyncio.sleep(self.luck.uniform(0.0005, 0.01))
        if fault == "there":
            await _nothing()
        answer = await self.disk.do(verb, work)
        if not self.local:
            await asyncio.sleep(self.luck.uniform(0.0005, 0.01))
        if fault == "back":
            await _nothing()
        return answer

    def _arrived(self, task) -> None:
        del self._sent[task]
        if not task.cancelled():
            task.exception()


class Far:
    """`thing` at the other end of a wire: a device, an upload or a reading."""

    def __init__(self, wire: Wire, thing) -> None:
        self._wire = wire
        self._thing = thing
        self._commits = False

    def _it(self):
        return self._thing

    def __getattr__(self, name):
        if not inspect.iscoroutinefunction(getattr(type(self._it()), name, None)):
            return getattr(self._it(), name)

        async def verb(*given, **more):
            if name == "close" or (name == "abort" and self._commits):
                return None  # what was sent is not called back
            self._commits |= name == "commit"
            answer = await self._wire.send(name, lambda: getattr(self._it(), name)(*given, **more))
            return Far(self._wire, answer) if name in ("begin", "read") and answer is not None else answer

        return verb

    async def chunks(self, *given):
        body = await self._wire.send("chunks", lambda: _all(self._it().chunks(*given)))
        if body:
            yield body

    async def __aenter__(self):
        return self

    async def __aexit__(self, *ended):
        with contextlib.suppress(DeviceGone, DeviceFull):
            await self.abort() if hasattr(self._it(), "abort") else await self.close()


class Whole(Far):
    """A device, which may be another one tomorrow. `kind` is objects or indexes."""

    def __init__(self, wire: Wire, kind: str) -> None:
        super().__init__(wire, None)
        self._kind = kind

    def _it(self):
        return getattr(self._wire.disk, self._kind)


async def _nothing():
    """Comes back."""
    await asyncio.sleep(GIVE_UP)
    raise DeviceGone("It does not answer.", code="DeviceGone")


async def _all(pieces):
    return b"".join([piece async for piece in pieces])


class Host:
    """A process of the store. Its clock is `ahead` by so many seconds."""

    def __init__(self, world: World, number: int, ahead: float) -> None:
        self.world, self.number, self.ahead = world, number, ahead
        self.sent: dict[asyncio.Task, None] = {}  # in order: that of a set is another one each run
        self.wires: list[Wire] = []
        self.up = False

    def mine(self, disk: Disk) -> bool:
        return disk.number % len(self.world.hosts) == self.number

    def start(self) -> None:
        """Anew, knowing nothing but what lies on devices."""
        world = self.world
        self.wires = [Wire(disk, world.luck, local=self.mine(disk), sent=self.sent) for disk in world.disks]
        nodes = {
            where(device): Node(objects=Whole(wire, "objects"), indexes=Whole(wire, "indexes"), local=wire.local)
            for device, wire in zip(world.devices, self.wires, strict=True)
        }
        recent = Recent(monotonic=asyncio.get_running_loop().time)
        with self.time():
            self.cluster = Cluster(world.policies, world.rings, nodes, recent=recent)
            self.upkeep = Upkeep(self.cluster, PACE)
            self.upkeep.start()
        self.up = True

    async def kill(self) -> None:
        """At once: of what was sent some arrives, nothing more is."""
        self.up = False
        for wire in self.wires:
            wire.fault = "refused"
        await self.upkeep.stop()
        for task in list(self.sent):
            if self.world.luck.random() < 0.5:
                task.cancel()
        await self.cluster.asker.close()

    def time(self):
        """Within it `clock` is this host's."""
        return _set(self.ahead)

    async def rest(self) -> None:
        """All upkeep, until there is nothing left to do."""
        with self.time():
            await self.cluster.flush()
            for job in self.upkeep.jobs:
                if job.name != "reclaimer":
                    await job.run()


class World:
    """`hosts` with a clock each, `disks` among them in turn. With a `scheme` objects are fragments, one for each disk
    of `ring`; of indexes there are three replicas, by `index_ring`."""

    def __init__(
        self, luck: Random, *, clocks: list[float], disks: int, replicas: int, scheme: Scheme | None = None
    ) -> None:
        self.luck = luck
        names = [f"d{number}" for number in range(disks)]
        self.ring, self.devices = ring_of(names, replicas)
        self.index_ring = self.ring if scheme is None else ring_of(names, 3)[0]
        self.scheme = scheme
        self.policies = (msgspec.structs.replace(POLICIES[0], scheme=scheme),)
        index = self.index_ring
        self.rings = Rings(account=index, container=index, objects={0: self.ring}, prefix="secret", suffix="end")
        self.disks = [Disk(number, luck) for number in range(disks)]
        self.hosts = [Host(self, number, ahead) for number, ahead in enumerate(clocks)]
        self.troubled: set[int] = set()
        self.forgot = False
        self.cut = False

    @contextlib.asynccontextmanager
    async def running(self):
        loop = asyncio.get_running_loop()
        clock.set_source(lambda: EPOCH + loop.time() + _ahead.get())
        try:
            for host in self.hosts:
                host.start()
            yield self
        finally:
            for host in self.hosts:
                await host.kill() if host.up else None
                for task in list(host.sent):
                    task.cancel()
            clock.set_source()

    def strict(self, verb: str, newest: bool) -> bool:
        """Whether what is told now has to be right, after all that has happened since the last `heal`.

        One disk in trouble is no excuse for a store on one host; on several hosts, or after a restart, it is one for
        whoever does not ask all replicas, and lists are read from one. What is known of containers another host may
        have changed some seconds ago, and a host that nobody hears goes by its own replica.
        """
        if verb == "look" and not newest and len(self.hosts) > 1:
            return False
        if not self.troubled and not self.forgot:
            return True
        if len(self.troubled) > 1:
            return False
        alone = len(self.hosts) == 1 and not self.forgot
        return alone or (newest and (verb == "get" or (verb == "look" and not self.cut)))

    async def heal(self) -> None:
        """All is well, and what was apart has been brought together."""
        for disk in self.disks:
            disk.fault, disk.verbs = "", set()
        for host in self.hosts:
            if not host.up:
                host.start()
            for wire in host.wires:
                wire.fault = ""
        await asyncio.sleep(75.0)  # what still waits for an answer, or rests, does so no more
        for _ in range(3):
            for host in self.hosts:
                await host.rest()
        self.troubled, self.forgot, self.cut = set(), False, False


@contextlib.contextmanager
def _set(ahead: float):
    token = _ahead.set(ahead)
    try:
        yield
    finally:
        _ahead.reset(token)
