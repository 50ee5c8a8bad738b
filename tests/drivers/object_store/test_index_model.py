# SPDX-License-Identifier: Apache-2.0
"""The local device of indexes does what the one in memory does, whatever is asked of both in whatever order."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cumulet.kernel.errors import CumuletError, NotFound
from cumulet.services.object_store.drivers.fake import FakeDevice
from cumulet.services.object_store.drivers.fake_index import FakeIndex
from cumulet.services.object_store.drivers.local.index import LocalIndex
from cumulet.services.object_store.drivers.nodes import Node
from cumulet.services.object_store.types.indexes import (
    SHARDED,
    SHARDING,
    UNSHARDED,
    ContainerRow,
    Key,
    Listing,
    ObjectRow,
    RangeState,
    ShardRange,
)
from drivers.object_store.remote_benches import WHERE, Served

ACCOUNT = Key("a")
BOXES = [Key("a", "one"), Key("a", "two")]

piece = st.sampled_from(["a", "b", "/", "//", "--", "é", "\x01", "\0", "\ud7ff", "\ue000", "\U0001f600", "\U0010ffff"])
anything = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3)
name = st.one_of(st.lists(piece, min_size=1, max_size=5).map("".join), anything)
text = st.one_of(st.just(""), name)
stamp = st.integers(1, 60)
objects = st.builds(
    ObjectRow,
    name,
    stamp,
    st.integers(0, 9),
    st.sampled_from(["x/x", "y/y"]),
    st.sampled_from("ef"),
    st.booleans(),
    st.sampled_from([0, 0, 1]),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(-1, 2),
)
containers = st.builds(
    ContainerRow, name, stamp, st.integers(0, 60), st.integers(0, 3), st.integers(0, 9), st.integers(0, 1), stamp
)
listings = st.builds(
    Listing,
    limit=st.sampled_from([0, 1, 2, 3, 100]),
    marker=text,
    end_marker=text,
    prefix=text,
    delimiter=st.sampled_from(["", "/", "//", "--", "a", "/a", "é", "\U0010ffff", "\ud7ff"]),
    path=st.one_of(st.none(), text),
    reverse=st.booleans(),
    policy=st.sampled_from([None, 0, 1, -1]),
    gone=st.booleans(),
    reserved=st.booleans(),
)


@pytest.fixture(scope="module")
def runner():
    with asyncio.Runner() as runner:
        yield runner


class Far:
    """`index` behind a socket."""

    def __init__(self, runner, index):
        self._runner, self.index = runner, index
        nodes = {WHERE: Node(objects=FakeDevice("d0"), indexes=index)}
        self._served = runner.run(Served(nodes).__aenter__())
        self.remote = self._served.node().indexes

    def close(self):
        self._runner.run(self._served.close())
        self._runner.run(self.index.close())


@pytest.fixture(scope="module")
def local(runner, tmp_path_factory):
    device = LocalIndex(tmp_path_factory.mktemp("index"), durable=False)
    yield device
    runner.run(device.close())


@pytest.fixture(scope="module")
def remote(runner, tmp_path_factory):
    far = Far(runner, LocalIndex(tmp_path_factory.mktemp("index"), durable=False))
    yield far.remote
    far.close()


NUMBERS = itertools.count()


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(objects, max_size=25),
    boxes=st.lists(containers, max_size=15),
    asked=st.lists(listings, min_size=8, max_size=8),
)
def test_listings_are_those_of_a_simple_scan(runner, local, rows, boxes, asked):
    runner.run(_compare(local, f"account-{next(NUMBERS)}", rows, boxes, asked))


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(objects, max_size=25),
    boxes=st.lists(containers, max_size=15),
    asked=st.lists(listings, min_size=8, max_size=8),
)
def test_listings_that_come_over_a_stream_are_too(runner, remote, rows, boxes, asked):
    runner.run(_compare(remote, f"account-{next(NUMBERS)}", rows, boxes, asked))


async def _compare(local, account, rows, boxes, asked):
    box = Key(account, "box")
    # Markers and prefixes that are names are what clients send.
    taken = [row.name for row in rows[: len(asked)]]
    asked = asked + [Listing(marker=each, delimiter="/") for each in taken]
    asked += [Listing(prefix=each[:1], delimiter="/", marker=each[:2], reverse=True, reserved=True) for each in taken]
    answers = []
    for device in (local, FakeIndex()):
        for key in (Key(account), box):
            await device.put(key, 1)
        await device.merge_objects(box, rows)
        await device.merge_containers(Key(account), boxes)
        lists = [(await device.list_objects(box, listing))[1] for listing in asked]
        lists += [(await device.list_containers(Key(account), listing))[1] for listing in asked]
        answers.append(lists)
        assert await device.audit(box) == await device.audit(Key(account)) == []
    for ours, simple, listing in zip(*answers, asked + asked, strict=True):
        assert ours == simple, listing


class Devices(RuleBasedStateMachine):
    far: Far | None = None
    remote = False

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.open()
        self.simple = FakeIndex()
        self.now = 0

    def open(self):
        self.local = LocalIndex(self.folder, durable=False)
        if self.remote:
            self.far = Far(self.runner, self.local)
            self.local = self.far.remote

    def close(self):
        if self.far is not None:
            self.far.close()
        else:
            self.runner.run(self.local.close())

    def both(self, verb: str, *values, **words):
        answers = []
        for device in (self.local, self.simple):
            try:
                answers.append(self.runner.run(getattr(device, verb)(*values, **words)))
            except CumuletError as error:
                answers.append((type(error), error.code))
        assert answers[0] == answers[1]
        return answers[0]

    @initialize()
    def begin(self):
        for key in (ACCOUNT, *BOXES):
            self.both("put", key, 1)

    @rule(key=st.sampled_from([ACCOUNT, *BOXES]), at=stamp, policy=st.sampled_from([None, 0, 1]))
    def put(self, key, at, policy):
        self.both("put", key, at, policy=policy, metadata={"X": str(at)})

    @rule(key=st.sampled_from(BOXES), at=stamp)
    def delete(self, key, at):
        self.both("delete", key, at)

    @rule(key=st.sampled_from([ACCOUNT, *BOXES]), at=stamp, value=st.sampled_from(["", "v"]))
    def describe(self, key, at, value):
        self.both("set_metadata", key, at, {"X": value})

    @rule(key=st.sampled_from(BOXES), rows=st.lists(objects, max_size=6))
    def merge(self, key, rows):
        self.both("merge_objects", key, rows)

    @rule(rows=st.lists(containers, max_size=4))
    def merge_account(self, rows):
        self.both("merge_containers", ACCOUNT, rows)

    @rule(key=st.sampled_from(BOXES), listing=listings)
    def list_objects(self, key, listing):
        found = self.both("list_objects", key, listing)
        assert found is not None

    @rule(listing=listings)
    def list_containers(self, listing):
        self.both("list_containers", ACCOUNT, listing)

    @rule(key=st.sampled_from([ACCOUNT, *BOXES]), before=stamp)
    def reclaim(self, key, before):
        self.both("reclaim", key, before)

    @rule(lower=text, upper=text, limit=st.integers(1, 4), reverse=st.booleans(), remove=st.booleans())
    def read_by_name(self, lower, upper, limit, reverse, remove):
        answers = []
        for device in (self.local, self.simple):
            try:
                answers.append(self.runner.run(device.named_rows(BOXES[0], lower, upper, limit, reverse=reverse))[1])
            except NotFound:
                answers.append([])
        assert answers[0] == answers[1]
        if remove:
            self.both("remove_rows", BOXES[0], answers[0])

    @rule(size=st.integers(1, 4), lower=text, upper=text)
    def find(self, size, lower, upper):
        self.both("find_ranges", BOXES[0], size, lower=lower, upper=upper)

    @rule(
        number=st.integers(0, 2),
        at=stamp,
        count=st.integers(0, 2),
        state=st.sampled_from([RangeState.CREATED, RangeState.CLEAVED, RangeState.ACTIVE]),
    )
    def merge_range(self, number, at, count, state):
        self.both("merge_ranges", BOXES[0], [ShardRange(f"s/{number}", at, objects=count, state=state)])

    @rule(sharding=st.sampled_from([UNSHARDED, SHARDING, SHARDED]))
    def shard(self, sharding):
        self.both("set_sharding", BOXES[0], sharding)

    @rule()
    def report(self):
        found = self.both("owed", 1)
        for _, key, row in found:
            self.both("reported", key, row)

    @rule(key=st.sampled_from(BOXES))
    def drop(self, key):
        for device in (self.local, self.simple):
            info = self.runner.run(device.info(key))
            assert self.runner.run(device.drop(key, info.change if info else 0))

    @precondition(lambda self: self.now % 7 == 0)
    @rule()
    def open_again(self):
        self.close()
        self.open()

    @invariant()
    def alike(self):
        self.now += 1
        for key in (ACCOUNT, *BOXES):
            one, other = (self.runner.run(device.info(key)) for device in (self.local, self.simple))
            assert (one is None) == (other is None)
            if one is not None:
                assert (one.state, one.counts, one.digest, one.total, one.exists, one.owed) == (
                    other.state,
                    other.counts,
                    other.digest,
                    other.total,
                    other.exists,
                    other.owed,
                )
                assert self.runner.run(self.local.audit(key)) == []
        self.both("owed")

    def teardown(self) -> None:
        self.close()
        self.runner.close()
        shutil.rmtree(self.folder)


Devices.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestDevices = Devices.TestCase


class RemoteDevices(Devices):
    remote = True


RemoteDevices.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
TestRemoteDevices = RemoteDevices.TestCase
