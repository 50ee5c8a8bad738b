# SPDX-License-Identifier: Apache-2.0
"""Whatever is asked of the store while devices come and go: when all are well again, it has what was acknowledged."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from cumulet.kernel.errors import NotFound
from cumulet.services.object_store.engine.base import Name, Unavailable
from cumulet.services.object_store.engine.jobs.upkeep import Upkeep
from cumulet.services.object_store.types import objects
from cumulet.services.object_store.types.indexes import Key, Listing
from cumulet.services.object_store.types.objects import Kind, Update, Verdict
from drivers.object_store.cluster_benches import ACCOUNT, CONTAINER, FAR, ClusterBench

NAMES = ["o1", "o2", "o3"]
EXAMPLES = int(os.environ.get("CLUSTER_EXAMPLES", "40"))
SHAPE = 4, 3
FAULTS = ["well", "gone", "full", "commit", "delete", "post", "merge_objects"]
INDEX_FAULTS = ["well", "gone", "put", "delete", "set_metadata", "merge_containers"]

device = st.integers(0, SHAPE[0] - 1)
name = st.sampled_from(NAMES)


class Store(RuleBasedStateMachine):
    """`self.states`: what an object may be by now; a write that too few devices took may come to be, or not."""

    folders = False
    far = FAR

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp()) if self.folders else None
        self.loop = asyncio.new_event_loop()
        self.bench = ClusterBench(*SHAPE, root=self.root, far=self.far)
        self.wait(self.bench.__aenter__())
        self.upkeep = Upkeep(self.bench.cluster)
        self.states = {name: [None] for name in NAMES}
        self.said = {}
        self.lost = False

    def wait(self, work):
        return self.loop.run_until_complete(work)

    @initialize()
    def begin(self):
        self.wait(self.bench.begin())

    @rule(numbers=st.sets(device, min_size=1), verb=st.sampled_from(FAULTS))
    def fault(self, numbers, verb):
        for number in numbers:
            faults = self.bench.faults[number]
            faults.gone = verb == "gone"
            faults.full = verb == "full"
            faults.at = {} if verb in ("gone", "full", "well") else {verb: TimeoutError()}

    @precondition(lambda self: not (self.lost or self.folders))
    @rule(number=device)
    def lose(self, number):
        """A disk is replaced by an empty one: what a quorum has is still there.

        Not while it is open what became of a write: the row of one that only this disk knows may be listed.
        """
        if any(len(each) > 1 for each in self.states.values()):
            return
        self.lost = True
        self.wait(self.bench.lose(number))

    @rule(name=name, size=st.sampled_from([0, 5, 70_000]))
    def put(self, name, size):
        stamp = self.bench.stamp()
        body = (hashlib.sha256(b"%d" % stamp).digest() * (size // 32 + 1))[:size]
        version = objects.put(stamp, size, hashlib.md5(body).hexdigest(), "text/plain")
        self.said[name, stamp] = body
        self.note(name, self.bench.put(name, body, stamp), lambda known: objects.stored(known, version)[1])

    @rule(name=name)
    def remove(self, name):
        stamp = self.bench.stamp()
        work = self.bench.cluster.remove(Name("a", "c", name), stamp)
        self.note(name, work, lambda known: objects.deleted(known, stamp)[1])

    @rule(name=name, kind=st.sampled_from([None, "image/png"]))
    def post(self, name, kind):
        update = Update(stamp=self.bench.stamp(), metadata={"x-object-meta-a": "1"}, content_type=kind)
        work = self.bench.cluster.post(Name("a", "c", name), update)
        self.note(name, work, lambda known: objects.posted(known, update)[1], posts=True)

    def note(self, name, work, apply, *, posts=False):
        before = self.states[name]
        after = [apply(known) for known in before]
        try:
            outcome = self.wait(work)
        except Unavailable:
            after = before + after
        else:
            assert outcome.verdict in (Verdict.DONE, Verdict.MISSING)
            if posts and outcome.verdict is Verdict.MISSING:
                after = before  # it may be on devices that are not at hand
        self.states[name] = list({objects.encode(each) if each else None: each for each in after}.values())

    @rule(name=name)
    def get(self, name):
        """What is read was written, and is whole."""

        async def read():
            reading = await self.bench.cluster.read(Name("a", "c", name))
            if reading is None:
                return None
            async with reading:
                return reading.version, b"".join([piece async for piece in reading.chunks()])

        try:
            found = self.wait(read())
        except Unavailable:
            return
        if found is not None:
            assert self.said[name, found[0].stamp] == found[1]

    @rule()
    def some_upkeep(self):
        self.wait(self.run_upkeep())

    async def run_upkeep(self):
        await self.bench.cluster.flush()
        for work in (self.upkeep.updater, self.upkeep.index_replicator, self.upkeep.replicator):
            await work.run()

    @rule()
    def all_is_well_again(self):
        self.fault(range(SHAPE[0]), "well")
        for _ in range(3):
            self.wait(self.run_upkeep())
        self.lost = False
        self.wait(self.check())

    async def check(self):
        live = {}
        bench = self.bench
        assert await bench.owed() == [[] for _ in bench.names]
        for name in NAMES:
            copies = await bench.copies(name)
            found = await bench.cluster.head(Name("a", "c", name))
            assert [copies[number] for number in bench.part(name)] == [found] * SHAPE[1]
            assert [copy for number, copy in enumerate(copies) if number not in bench.part(name)] == [None]
            assert found in self.states[name]
            self.states[name] = [found]
            if found is not None and found.kind is Kind.DATA:
                assert await bench.get(name) == self.said[name, found.stamp]
                live[name] = (name, found.meta_stamp, found.size, found.content_type, found.etag)
        for number in range(SHAPE[0]):
            known = await bench.node(number).indexes.info(CONTAINER)
            if number not in bench.container_part():
                assert known is None
                continue
            _, rows = await bench.node(number).indexes.list_objects(CONTAINER, Listing())
            assert rows == list(live.values())
        info, rows = await bench.cluster.list_containers(ACCOUNT, Listing())
        assert [row[:3] for row in rows] == [("c", len(live), sum(row[2] for row in live.values()))]
        assert info.total.objects == len(live)
        assert (await bench.cluster.info(Key("a"), newest=True)).digest == info.digest

    def teardown(self):
        try:
            self.all_is_well_again()
        finally:
            self.wait(self.bench.__aexit__())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            if self.root is not None:
                shutil.rmtree(self.root)


class StoreInFolders(Store):
    folders = True


class StoreFarAway(Store):
    far = True


class Containers(RuleBasedStateMachine):
    """`self.there`: whether a container may be there by now; `self.words`: what its metadata may be if it is."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.bench = ClusterBench(*SHAPE)
        self.wait(self.bench.__aenter__())
        self.upkeep = Upkeep(self.bench.cluster)
        self.there = {name: {False} for name in NAMES}
        self.words = {name: {""} for name in NAMES}
        self.wait(self.bench.cluster.put(ACCOUNT, self.bench.stamp()))

    def wait(self, work):
        return self.loop.run_until_complete(work)

    @rule(numbers=st.sets(device, min_size=1), verb=st.sampled_from(INDEX_FAULTS))
    def fault(self, numbers, verb):
        for number in numbers:
            faults = self.bench.faults[number]
            faults.gone = verb == "gone"
            faults.at = {} if verb in ("gone", "well") else {verb: TimeoutError()}

    @rule(name=name)
    def put(self, name):
        self.do(name, self.bench.cluster.put(Key("a", name), self.bench.stamp()), True, None)

    @rule(name=name)
    def delete(self, name):
        self.do(name, self.bench.cluster.delete(Key("a", name), self.bench.stamp()), False, "")

    @rule(name=name)
    def describe(self, name):
        word, stamp = f"{self.bench._stamp}", self.bench.stamp()
        self.do(name, self.bench.cluster.set_metadata(Key("a", name), stamp, {"x-a": word}), True, word)

    def do(self, name, work, there, word):
        """Too few answers, or a replica that had missed something: it may have come to be, or not."""
        words = self.words[name] if word is None else {word}
        try:
            self.wait(work)
        except (Unavailable, NotFound):
            self.there[name] = self.there[name] | {there}
            self.words[name] = self.words[name] | words
        else:
            self.there[name], self.words[name] = {there}, words

    @rule()
    def all_is_well_again(self):
        self.fault(range(SHAPE[0]), "well")
        for _ in range(3):
            self.wait(self.upkeep.updater.run())
            self.wait(self.upkeep.index_replicator.run())
        self.wait(self.check())

    async def check(self):
        cluster = self.bench.cluster
        found = []
        for name in NAMES:
            key = Key("a", name)
            places = [each.id for each in self.bench.ring.find(*key)[1]]
            infos = [await self.bench.node(number).indexes.info(key) for number in range(SHAPE[0])]
            assert [info for number, info in enumerate(infos) if number not in places] == [None]
            states = [infos[number].state if infos[number] else None for number in places]
            assert states == [states[0]] * SHAPE[1]
            info = await cluster.info(key)
            there = info is not None and info.exists
            assert there in self.there[name]
            self.there[name] = {there}
            if there:
                found.append(name)
                assert info.state.metadata.get("x-a", ("", 0))[0] in self.words[name]
            self.words[name] = {info.state.metadata.get("x-a", ("", 0))[0]} if info else {""}
        for each in self.bench.ring.find("a")[1]:
            known, rows = await self.bench.node(each.id).indexes.list_containers(ACCOUNT, Listing())
            assert [row[0] for row in rows] == found
            assert known.total.containers == len(found)

    def teardown(self):
        try:
            self.all_is_well_again()
        finally:
            self.wait(self.bench.__aexit__())
            self.loop.close()


TestStore = Store.TestCase
TestStore.settings = settings(max_examples=EXAMPLES, stateful_step_count=20, deadline=None)
TestStoreInFolders = StoreInFolders.TestCase
TestStoreInFolders.settings = settings(max_examples=max(2, EXAMPLES // 20), stateful_step_count=12, deadline=None)
TestStoreFarAway = StoreFarAway.TestCase
TestStoreFarAway.settings = settings(max_examples=max(2, EXAMPLES // 5), stateful_step_count=20, deadline=None)
TestContainers = Containers.TestCase
TestContainers.settings = settings(max_examples=EXAMPLES, stateful_step_count=20, deadline=None)
