# SPDX-License-Identifier: Apache-2.0
"""Whatever is written and listed while a container is sharded, and a device comes and goes: as in one plain index."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from cumulet.kernel.errors import Conflict
from cumulet.services.object_store.drivers.fake_index import FakeIndex
from cumulet.services.object_store.engine.base import Unavailable
from cumulet.services.object_store.engine.jobs.upkeep import Pace, Upkeep
from cumulet.services.object_store.engine.sharding.plans import Sizes
from cumulet.services.object_store.types.indexes import Key, Listing, ObjectRow, RangeState
from drivers.object_store.cluster_benches import ACCOUNT, CONTAINER, ClusterBench

EXAMPLES = int(os.environ.get("SHARD_EXAMPLES", "30"))
SHAPE = 4, 3
SIZES = Sizes(threshold=6, rows_per_shard=3, minimum=1, shrink_threshold=1, expansion_limit=4)
VERBS = ["merge_objects", "merge_ranges", "set_sharding", "named_rows", "remove_rows", "list_objects", "info", "ranges"]

text = st.text("ab/\0é", max_size=4)
name = st.one_of(st.text("ab/", min_size=1, max_size=4), st.text("ab/\0é", min_size=1, max_size=3))
device = st.integers(0, SHAPE[0] - 1)
listings = st.builds(
    Listing,
    limit=st.sampled_from([0, 1, 2, 3, 10_000]),
    marker=st.one_of(st.just(""), text),
    end_marker=st.one_of(st.just(""), text),
    prefix=st.one_of(st.just(""), st.text("ab/", max_size=2)),
    delimiter=st.sampled_from(["", "", "/", "a", "//"]),
    path=st.sampled_from([None, None, None, "", "a", "a/", "b"]),
    reverse=st.booleans(),
    reserved=st.booleans(),
)


class Sharded(RuleBasedStateMachine):
    """What was acknowledged is in every listing from then on; `self.plain` has it in one index."""

    folders = False

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp()) if self.folders else None
        self.loop = asyncio.new_event_loop()
        self.bench = ClusterBench(*SHAPE, root=self.root, durable=False)
        self.wait(self.bench.__aenter__())
        self.upkeep = Upkeep(self.bench.cluster, Pace(sizes=SIZES))
        self.plain = FakeIndex()
        self.faulty = None

    def wait(self, work):
        return self.loop.run_until_complete(work)

    @initialize()
    def begin(self):
        self.wait(self.bench.begin())
        self.wait(self.plain.put(CONTAINER, 1))

    @rule(number=device, verb=st.sampled_from(["gone", *VERBS]))
    def fault(self, number, verb):
        """Of one device, until all have been alike again: with the others each write comes to a majority."""
        if self.faulty is None:
            self.faulty = number
        faults = self.bench.faults[self.faulty]
        faults.gone = verb == "gone"
        faults.at = {} if verb == "gone" else {verb: TimeoutError()}

    @rule(names=st.lists(name, min_size=1, max_size=8), deleted=st.booleans(), straight=st.booleans())
    def write(self, names, deleted, straight):
        """`straight`: by somebody who knows of no shards."""
        rows = [
            ObjectRow(each, self.bench.stamp(), 3, "text/plain", f"e{at}", deleted) for at, each in enumerate(names)
        ]
        indexes = self.bench.cluster.indexes
        told = self.wait((indexes.tell_index if straight else indexes.tell_container)(CONTAINER, rows))
        assert told
        self.wait(self.plain.merge_objects(CONTAINER, rows))

    @rule(listing=listings)
    def list(self, listing):
        info, found = self.wait(self.bench.cluster.list_objects(CONTAINER, listing))
        assert info.key == CONTAINER
        assert found == self.wait(self.plain.list_objects(CONTAINER, listing))[1]

    @rule(listing=listings)
    def list_by_pages(self, listing):
        """Page by page, while the container is sharded further: every name once."""
        if not listing.limit or listing.path is not None or listing.delimiter:
            return
        found, marker = [], listing.marker
        while True:
            page = self.wait(
                self.bench.cluster.list_objects(
                    CONTAINER,
                    Listing(limit=listing.limit, marker=marker, prefix=listing.prefix, reverse=listing.reverse),
                )
            )[1]
            if not page:
                break
            found += page
            marker = page[-1][0]
            self.shard()
        every = Listing(marker=listing.marker, prefix=listing.prefix, reverse=listing.reverse)
        assert found == self.wait(self.plain.list_objects(CONTAINER, every))[1]

    @rule()
    def shard(self):
        self.wait(self.upkeep.sharder.run())

    @rule(size=st.integers(1, 3))
    def shard_now(self, size):
        with contextlib.suppress(Conflict, Unavailable):
            self.wait(self.upkeep.sharder.shard(CONTAINER, size))

    @rule()
    def two_lead(self):
        """At once, each with what it saw first."""
        other = Upkeep(self.bench.cluster, Pace(sizes=SIZES)).sharder

        async def both():
            await asyncio.gather(self.upkeep.sharder.run(), other.run())

        self.wait(both())

    @rule()
    def replicate(self):
        self.wait(self.upkeep.updater.run())
        self.wait(self.upkeep.index_replicator.run())

    @rule()
    def all_is_well_again(self):
        for faults in self.bench.faults:
            faults.gone, faults.at = False, {}
        for _ in range(12):
            self.wait(self.bench.cluster.flush())
            for work in (
                self.upkeep.updater,
                self.upkeep.index_replicator,
                self.upkeep.replicator,
                self.upkeep.sharder,
            ):
                self.wait(work.run())
        self.faulty = None
        self.wait(self.check())

    async def check(self):
        """The ranges cover all names once, each shard has its own; the account knows how many there are."""
        cluster = self.bench.cluster
        _, rows = await cluster.list_objects(CONTAINER, Listing(reserved=True))
        assert rows == (await self.plain.list_objects(CONTAINER, Listing(reserved=True)))[1]
        live = [each for each in await cluster.indexes.shards.merged(CONTAINER) if not each.deleted]
        if live:
            live.sort(key=lambda each: each.lower)
            assert [each.lower for each in live] == ["", *(each.upper for each in live[:-1])]
            assert live[-1].upper == ""
            assert {each.state for each in live} == {RangeState.ACTIVE}
            assert all(each.objects < SIZES.threshold for each in live)
        for each in live:
            found = await cluster.list_objects(Key(*each.name.split("/", 1)), Listing(reserved=True))
            assert found[1] == [row for row in rows if each.includes(row[0])]
        for number in self.bench.container_part():
            own = await self.bench.node(number).indexes._it.named_rows(CONTAINER)
            assert not live or own[1] == []
            assert own[0].total.objects == len(rows)
        assert (await cluster.info(CONTAINER, newest=True)).total.objects == len(rows)
        [row] = (await cluster.list_containers(ACCOUNT, Listing()))[1]
        assert row[:2] == ("c", len(rows))

    def teardown(self):
        self.wait(self.bench.__aexit__(None, None, None))
        self.loop.close()
        if self.root is not None:
            shutil.rmtree(self.root)


class ShardedFolders(Sharded):
    folders = True


Sharded.TestCase.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)
TestSharded = Sharded.TestCase
ShardedFolders.TestCase.settings = settings(max_examples=EXAMPLES // 15, stateful_step_count=15, deadline=None)
TestShardedFolders = ShardedFolders.TestCase
