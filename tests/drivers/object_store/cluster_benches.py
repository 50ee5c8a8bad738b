# SPDX-License-Identifier: Apache-2.0
"""Clusters to be tested: devices with faults at chosen verbs, in memory or in folders."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import inspect
import os

from cumulet.services.object_store.drivers.base import DeviceFull, DeviceGone
from cumulet.services.object_store.drivers.fake import FakeDevice
from cumulet.services.object_store.drivers.fake_index import FakeIndex
from cumulet.services.object_store.drivers.local import files
from cumulet.services.object_store.engine.asking import Patience
from cumulet.services.object_store.engine.assembly import opened
from cumulet.services.object_store.engine.base import Name, Policy
from cumulet.services.object_store.engine.cluster import Cluster
from cumulet.services.object_store.engine.coded.scheme import Scheme, whole_of
from cumulet.services.object_store.engine.places import Node, Rings, where
from cumulet.services.object_store.types import objects
from cumulet.services.object_store.types.indexes import Key, Listing
from drivers.object_store.remote_benches import Served
from support.object_store import ring_of

POLICIES = (
    Policy(number=0, name="Policy-0", default=True),
    Policy(number=1, name="silver"),
)
ACCOUNT, CONTAINER = Key("a"), Key("a", "c")
FAR = bool(os.environ.get("CLUSTER_FAR"))
PATIENT = Patience(answer=10.0, stragglers=10.0, listing=10.0)
CODE = Scheme(type="isa_l_rs_vand", data=2, parity=2, segment=100_000)
HASTY = Patience(answer=0.3, stragglers=0.3, listing=0.3)


class Faults:
    """What is wrong with a device: `gone` and `full` as words say, `slow` seconds; by a verb's name `at` has errors and
    `late` seconds.

    `life`: how many verbs are still done, a list of one number that devices may share; None for no end.
    """

    def __init__(self):
        self.gone = False
        self.full = False
        self.slow = 0.0
        self.at = {}
        self.life = None
        self.late = {}
        self.said = []

    async def strike(self, verb, writes):
        self.said.append(verb)
        if delay := self.slow or self.late.get(verb):
            await asyncio.sleep(delay)
        if self.life is not None:
            self.life[0] -= 1
        if self.gone or (self.life is not None and self.life[0] < 0):
            raise DeviceGone("It is gone.", code="DeviceGone")
        if self.full and writes:
            raise DeviceFull("It is full.", code="DeviceFull")
        error = self.at.get(verb)
        if error is not None:
            raise error


WRITING = {"begin", "write", "commit", "confirm", "post", "delete", "put"}
WRITING |= {"set_metadata", "merge_objects", "merge_containers"}


class Struck:
    """`it` with faults; what it opens has them too."""

    def __init__(self, it, faults):
        self._it = it
        self._faults = faults

    def __getattr__(self, name):
        found = getattr(self._it, name)
        if name == "chunks":
            return lambda *given: self._chunks(found(*given))
        if not inspect.iscoroutinefunction(found) or name in ("close", "abort"):
            return found

        async def verb(*given, **more):
            await self._faults.strike(name, name in WRITING)
            answer = await found(*given, **more)
            return Struck(answer, self._faults) if name in ("begin", "read") and answer is not None else answer

        return verb

    async def __aenter__(self):
        return self

    async def __aexit__(self, *ended):
        await self._it.__aexit__(*ended)

    async def _chunks(self, pieces):
        async for piece in pieces:
            await self._faults.strike("chunk", False)
            yield piece


class Far:
    """A device that is asked by its socket, and what tests do to it from outside `near`."""

    def __init__(self, far, near):
        self._far, self._near = far, near

    def __getattr__(self, name):
        return getattr(self._far if hasattr(self._far, name) else self._near, name)


class ClusterBench:
    """`size` devices with `replicas` of all there is; closed at the end of `with`.

    Where they are `far` each is reached by a socket, as all are with CLUSTER_FAR in the environment.
    With a `scheme` objects are fragments on as many devices as it says; of indexes there are three replicas.
    """

    def __init__(self, size=1, replicas=1, *, root=None, durable=True, patience=PATIENT, scheme=None, far=FAR):
        self.names = [f"d{number}" for number in range(size)]
        self.scheme = scheme
        if scheme is not None:
            replicas = scheme.replicas
        self.ring, self.devices = ring_of(self.names, replicas)
        self.index_ring = ring_of(self.names, 3)[0] if scheme is not None else self.ring
        self.policies = POLICIES
        if scheme is not None:
            self.policies = (Policy(number=0, name="Policy-0", default=True, scheme=scheme), POLICIES[1])
        self.rings = Rings(
            account=self.index_ring,
            container=self.index_ring,
            objects={0: self.ring, 1: self.index_ring},
            prefix="secret",
            suffix="end",
        )
        self.root = root
        self.durable = durable
        self.patience = patience
        self.far = far
        self.served = None
        self.faults = [Faults() for _ in self.names]
        self.nodes = {}
        self._stamp = 0

    async def __aenter__(self):
        self._open = contextlib.AsyncExitStack()
        for number in range(len(self.names)):
            await self.lose(number)
        self.cluster = Cluster(self.policies, self.rings, self.nodes, patience=self.patience)
        self._open.push_async_callback(self.cluster.close)
        return self

    async def __aexit__(self, *ended):
        await self._open.aclose()

    async def lose(self, number):
        """An empty device in place of one in memory."""
        device, faults = self.devices[number], self.faults[number]
        plain = await self._node(device.device)
        if self.far:
            self.served = self.served or await self._open.enter_async_context(Served())
            self.served.nodes[where(device)] = near = plain
            far = self.served.node(where(device))
            plain = Node(objects=Far(far.objects, near.objects), indexes=Far(far.indexes, near.indexes))
        self.nodes[where(device)] = Node(objects=Struck(plain.objects, faults), indexes=Struck(plain.indexes, faults))

    async def _node(self, name):
        if self.root is None:
            return Node(objects=FakeDevice(name), indexes=FakeIndex())
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        files.make(folder, name)
        return await self._open.enter_async_context(opened(folder, name, durable=self.durable))

    def stamp(self):
        self._stamp += 1000
        return self._stamp

    async def begin(self):
        """The account and the container that tests use."""
        await self.cluster.put(ACCOUNT, self.stamp())
        await self.cluster.put(CONTAINER, self.stamp())

    def part(self, name="o"):
        """The numbers of the devices that an object's replicas, and its container's, lie on."""
        return [each.id for each in self.ring.find("a", "c", name)[1]]

    def container_part(self):
        return [each.id for each in self.index_ring.find("a", "c")[1]]

    def node(self, number):
        return self.nodes[where(self.devices[number])]

    async def put(self, name="o", body=b"body", stamp=0, size=None, piece=100_000, **more):
        stamp = stamp or self.stamp()
        async with await self.cluster.write(Name("a", "c", name), size) as writing:
            for at in range(0, len(body), piece):
                await writing.write(body[at : at + piece])
            version = objects.put(stamp, writing.size, await writing.etag(), "text/plain", **more)
            return await writing.commit(version)

    async def get(self, name="o", start=0, end=None, **more):
        reading = await self.cluster.read(Name("a", "c", name), **more)
        if reading is None:
            return None
        async with reading:
            return b"".join([piece async for piece in reading.chunks(start, end)])

    async def listed(self, **more):
        return [row[0] for row in (await self.cluster.list_objects(CONTAINER, Listing(), **more))[1]]

    async def copies(self, name="o"):
        """What each device of the bench has of an object, by number; of fragments which, each with its object."""
        address, _ = self.cluster.places.object(Name("a", "c", name))
        if self.scheme is not None:
            return [await self._fragments(number, address) for number in range(len(self.names))]
        return [await self.node(number).objects._it.head(address) for number in range(len(self.names))]

    async def _fragments(self, number, address):
        found = [each.entry for each in await self.node(number).objects._it.fragments(address) if not each.at]
        return {each.address.fragment: whole_of(each.version) for each in found}

    async def waiting(self):
        """How many fragments wait on each device."""
        return [len(await self.node(number).objects._it.pending()) for number in range(len(self.names))]

    async def owed(self):
        return [await self.node(number).objects._it.owed() for number in range(len(self.names))]


def story(test):
    """A test that awaits."""

    def run(*args, **more):
        asyncio.run(test(*args, **more))

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    run.__signature__ = inspect.signature(test)
    if hasattr(test, "pytestmark"):
        run.pytestmark = test.pytestmark
    return run


def body_of(size):
    return (hashlib.sha256(b"%d" % size).digest() * (size // 32 + 1))[:size]
