# SPDX-License-Identifier: Apache-2.0
"""As `test_cluster_model`, of an encoded policy: each device has one fragment, and some of a write wait."""

from __future__ import annotations

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from cumulet.services.object_store.engine.base import Name, Unavailable
from cumulet.services.object_store.engine.jobs.upkeep import Pace, Upkeep
from cumulet.services.object_store.types.indexes import Listing
from cumulet.services.object_store.types.objects import Kind
from drivers.object_store.cluster_benches import ACCOUNT, CODE, CONTAINER, ClusterBench
from drivers.object_store.test_cluster_model import EXAMPLES, FAULTS, NAMES, Store
from drivers.object_store.test_cluster_model import name as names

SIZE = 5
CODED_FAULTS = [*FAULTS, "begin", "confirm", "confirm", "fragments", "withdraw"]

device = st.integers(0, SIZE - 1)
place = st.integers(0, CODE.fragments - 1)


class CodedStore(Store):
    """2 fragments of 4 give an object back."""

    def __init__(self):
        super().__init__()
        self.wait(self.bench.__aexit__())
        self.bench = ClusterBench(SIZE, root=self.root, scheme=CODE, far=self.far)
        self.wait(self.bench.__aenter__())
        self.upkeep = Upkeep(self.bench.cluster, Pace(reclaim_age=9e9))

    @rule(numbers=st.sets(device, min_size=1), verb=st.sampled_from(CODED_FAULTS))
    def fault(self, numbers, verb):
        super().fault(numbers, verb)

    @precondition(lambda self: not (self.lost or self.folders))
    @rule(number=device)
    def lose(self, number):
        super().lose(number)

    @rule(name=names, away=st.sets(device, max_size=CODE.parity))
    def get_while_some_are_away(self, name, away):
        """Nothing older than what was acknowledged, where no more than the parity is away."""
        before = [faults.gone for faults in self.bench.faults]
        struck = [number for number, faults in enumerate(self.bench.faults) if faults.gone or faults.at or faults.full]
        if struck or self.lost:
            return
        for number in away:
            self.bench.faults[number].gone = True
        try:
            found = self.wait(self.bench.cluster.head(Name("a", "c", name)))
        except Unavailable:
            found = None
        else:
            assert found in self.states[name]
        finally:
            for faults, gone in zip(self.bench.faults, before, strict=True):
                faults.gone = gone

    @rule(name=names, size=st.sampled_from([5, 250_000]), steps=st.integers(0, 45))
    def put_by_a_process_that_ends(self, name, size, steps):
        """At any step: what is then under way does nothing more."""
        self.until_the_end(steps, lambda: self.put(name, size))

    @rule(name=names, steps=st.integers(0, 10))
    def remove_by_a_process_that_ends(self, name, steps):
        self.until_the_end(steps, lambda: self.remove(name))

    def until_the_end(self, steps, work):
        life = [steps]
        for faults in self.bench.faults:
            faults.life = life
        work()
        for faults in self.bench.faults:
            faults.life = [0]
        self.wait(self.stragglers())
        for faults in self.bench.faults:
            faults.life = None

    async def stragglers(self):
        while late := self.bench.cluster.asker._late:
            await asyncio.wait(set(late))

    @precondition(lambda self: not (self.lost or self.folders))
    @rule(name=names, away=st.sets(place, min_size=1, max_size=2), lost=place)
    def put_to_some_and_lose_one(self, name, away, lost):
        part = self.bench.part(name)
        self.fault(range(SIZE), "well")
        self.fault([part[each] for each in away], "commit")
        self.put(name, 5)
        self.fault(range(SIZE), "well")
        self.lose(part[lost])

    async def run_upkeep(self):
        await self.upkeep.completer.run()
        await super().run_upkeep()

    @rule()
    def all_is_well_again(self):
        self.fault(range(SIZE), "well")
        for _ in range(4):
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
            for index, number in enumerate(bench.part(name)):
                assert copies[number] == ({} if found is None else {index: found})
            assert sum(map(len, copies)) == (0 if found is None else CODE.fragments)
            assert found in self.states[name]
            self.states[name] = [found]
            if found is not None and found.kind is Kind.DATA:
                assert await bench.get(name) == self.said[name, found.stamp]
                live[name] = (name, found.meta_stamp, found.size, found.content_type, found.etag)
            for each in await self.waiting(name):
                assert found is None or each.entry.version.stamp > found.stamp
        for number in bench.container_part():
            _, rows = await bench.node(number).indexes.list_objects(CONTAINER, Listing())
            assert rows == list(live.values())
        info, rows = await bench.cluster.list_containers(ACCOUNT, Listing())
        assert [row[:3] for row in rows] == [("c", len(live), sum(row[2] for row in live.values()))]
        assert info.total.objects == len(live)

    async def waiting(self, name):
        address, _ = self.bench.cluster.places.object(Name("a", "c", name))
        every = [await self.bench.node(number).objects._it.fragments(address) for number in range(SIZE)]
        return [each for found in every for each in found if each.at]


class CodedStoreInFolders(CodedStore):
    folders = True


class FarCodedStore(CodedStore):
    far = True


TestCodedStore = CodedStore.TestCase
TestCodedStore.settings = settings(max_examples=EXAMPLES, stateful_step_count=20, deadline=None)
TestCodedStoreInFolders = CodedStoreInFolders.TestCase
TestCodedStoreInFolders.settings = settings(max_examples=max(2, EXAMPLES // 20), stateful_step_count=12, deadline=None)
TestFarCodedStore = FarCodedStore.TestCase
TestFarCodedStore.settings = settings(max_examples=max(2, EXAMPLES // 4), stateful_step_count=12, deadline=None)
