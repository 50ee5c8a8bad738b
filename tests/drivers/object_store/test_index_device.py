# SPDX-License-Identifier: Apache-2.0
"""One suite for every device of indexes."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace

import msgspec
import pytest

from cumulet.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from cumulet.services.object_store.drivers.fake import FakeDevice
from cumulet.services.object_store.drivers.fake_index import FakeIndex
from cumulet.services.object_store.drivers.local.index import LocalIndex
from cumulet.services.object_store.drivers.nodes import Node
from cumulet.services.object_store.types.indexes import (
    SHARDED,
    SHARDING,
    ContainerRow,
    Count,
    FoundRange,
    Key,
    Listing,
    MetadataLimits,
    ObjectRow,
    Peer,
    Placed,
    PolicyChoice,
    RangeState,
    ShardRange,
)
from drivers.object_store.remote_benches import WHERE, Served

ACCOUNT, BOX, OTHER = Key("AUTH_a"), Key("AUTH_a", "box"), Key("AUTH_a", "other")
TYPE, ETAG = "text/plain", "d41d8cd98f00b204e9800998ecf8427e"


@pytest.fixture(params=["fake", "local", "remote", "remote-tls"])
def device(request, tmp_path):
    """The device's verbs as plain functions."""
    device = FakeIndex() if request.param == "fake" else LocalIndex(tmp_path, durable=False)
    with asyncio.Runner() as runner, contextlib.ExitStack() as undo:
        if request.param.startswith("remote"):
            nodes = {WHERE: Node(objects=FakeDevice("d0"), indexes=device)}
            served = runner.run(Served(nodes, tls=request.param == "remote-tls").__aenter__())
            undo.callback(runner.run, device.close())
            undo.callback(runner.run, served.close())
            device = served.node().indexes

        def plain(verb):
            return lambda *values, **words: runner.run(verb(*values, **words))

        verbs = {name: plain(getattr(device, name)) for name in dir(device) if not name.startswith("_")
                 and name != "identity"}  # fmt: skip
        yield SimpleNamespace(device=device, kind=request.param, run=runner.run, **verbs)
        runner.run(device.close())


@pytest.fixture
def box(device):
    device.put(ACCOUNT, 10)
    device.put(BOX, 10)
    return device


def row(name: str, stamp: int = 20, size: int = 5, **words) -> ObjectRow:
    return ObjectRow(name, stamp, size, TYPE, ETAG, **words)


def gone(name: str, stamp: int = 30, **words) -> ObjectRow:
    return ObjectRow(name, stamp, deleted=True, **words)


def names(device, key: Key = BOX, **words) -> list[str]:
    return [each[0] for each in device.list_objects(key, Listing(**words))[1]]


def test_what_was_never_there(device):
    assert device.info(BOX) is None
    for verb, *values in (
        ("delete", 5),
        ("set_metadata", 5, {"a": "b"}),
        ("list_objects", Listing()),
        ("merge_objects", [row("a")]),
        ("object_rows", 0),
        ("sync_points",),
        ("ranges",),
        ("set_sharding", SHARDED),
        ("named_rows",),
        ("remove_rows", [row("a")]),
        ("audit",),
        ("find_ranges", 1),
        ("reclaim", 5),
    ):
        with pytest.raises(NotFound):
            getattr(device, verb)(BOX, *values)
    with pytest.raises(NotFound):
        device.list_containers(ACCOUNT, Listing())
    with pytest.raises(NotFound):
        device.merge_containers(ACCOUNT, [ContainerRow("c")])


def test_a_container_is_made_once_and_made_again(device):
    assert device.put(BOX, 10, default_policy=1) == Placed(True, 1)
    assert device.put(BOX, 11) == Placed(False, 1)
    with pytest.raises(Conflict) as caught:
        device.put(BOX, 12, policy=0)
    assert (caught.value.code, caught.value.fields) == ("OtherPolicy", {"policy": 1})
    assert device.delete(BOX, 20) is True
    info = device.info(BOX)
    assert (info.exists, info.status_changed) == (False, 20)
    assert device.delete(BOX, 21) is False
    with pytest.raises(Conflict, match="deleted later"):
        device.put(BOX, 15)
    with pytest.raises(NotFound):
        device.list_objects(BOX, Listing())
    with pytest.raises(NotFound):
        device.set_metadata(BOX, 22, {})
    assert device.put(BOX, 30, policy=0) == Placed(True, 0)
    info = device.info(BOX)
    assert (info.exists, info.policy, info.status_changed, info.state.put) == (True, 0, 30, 30)


def test_a_container_that_has_something_is_not_deleted(box):
    box.merge_objects(BOX, [row("a", policy=3)])
    with pytest.raises(Conflict, match="not empty"):
        box.delete(BOX, 50)
    box.merge_objects(BOX, [gone("a", policy=3)])
    with pytest.raises(Conflict, match="put later"):
        box.delete(BOX, 9)
    assert box.delete(BOX, 50) is True


def test_a_row_that_comes_late_brings_the_container_back(box):
    box.delete(BOX, 50)
    assert box.merge_objects(BOX, [row("a")]) == 1
    assert box.info(BOX).exists
    assert names(box) == ["a"]


def test_an_account_that_is_deleted_stays_so(device):
    assert device.put(ACCOUNT, 10, metadata={"X-Account-Meta-A": "1"}) == Placed(True, 0)
    assert device.put(ACCOUNT, 11) == Placed(False, 0)
    device.merge_containers(ACCOUNT, [ContainerRow("c", 11)])
    assert device.delete(ACCOUNT, 20) is True
    assert device.info(ACCOUNT).state.metadata == {"X-Account-Meta-A": ("", 20)}
    with pytest.raises(Forbidden, match="Recently deleted"):
        device.put(ACCOUNT, 30)
    assert device.delete(ACCOUNT, 31) is False


def test_the_newest_metadata_stay(box):
    box.set_metadata(BOX, 20, {"X-Container-Meta-Ä": "ü", "X-Container-Read": ".r:*"})
    box.set_metadata(BOX, 15, {"X-Container-Read": "late"})
    box.put(BOX, 25, metadata={"X-Container-Meta-Ä": ""})
    assert box.info(BOX).state.metadata == {"X-Container-Meta-Ä": ("", 25), "X-Container-Read": (".r:*", 20)}
    assert box.info(BOX).state.put == 25


def test_metadata_that_come_after_a_deletion_are_void(box):
    """They are older than it, and of a replica that did not hear of it; what is made anew begins without."""
    state = msgspec.structs.replace(box.info(BOX).state, put=15, metadata={"X-Container-Meta-A": ("1", 15)})
    box.delete(BOX, 20)
    box.put(BOX, 30, metadata={"X-Container-Meta-B": "2"})
    found = {"X-Container-Meta-A": ("", 20), "X-Container-Meta-B": ("2", 30)}
    assert box.merge_state(BOX, state).state.metadata == found
    assert box.info(BOX).state.metadata == found


def test_too_much_metadata(box):
    limits = MetadataLimits(items=2, bytes=12)
    box.set_metadata(
        BOX, 20, {"X-Container-Meta-A": "1", "X-Container-Meta-B": "2", "X-Container-Read": "x" * 99}, limits
    )
    with pytest.raises(Invalid, match="Too many metadata items; max 2"):
        box.set_metadata(BOX, 21, {"X-Container-Meta-C": "3"}, limits)
    with pytest.raises(Invalid, match="Total metadata too large; max 12"):
        box.put(BOX, 21, metadata={"X-Container-Meta-A": "x" * 20}, limits=limits)
    box.set_metadata(BOX, 22, {"X-Container-Meta-A": "", "X-Container-Meta-C": "3"}, limits)
    assert box.info(BOX).state.metadata["X-Container-Meta-A"] == ("", 22)


def test_the_root_of_a_shard_outlives_its_deletion(device):
    device.put(BOX, 10, metadata={"X-Container-Sysmeta-Shard-Root": "a/c", "X-Container-Meta-A": "1"})
    device.delete(BOX, 20)
    words = device.info(BOX).state.metadata
    assert words == {"X-Container-Sysmeta-Shard-Root": ("a/c", 10), "X-Container-Meta-A": ("", 20)}


def test_rows_are_counted_as_they_come(box):
    assert box.merge_objects(BOX, [row("a"), row("b", size=7), row("c", policy=1, size=100), gone("d")]) == 4
    first = box.info(BOX)
    assert (first.counts, first.total) == ({0: Count(0, 2, 12), 1: Count(0, 1, 100)}, Count(0, 2, 12))
    assert box.merge_objects(BOX, [row("a"), gone("b", 5), gone("d")]) == 0
    assert box.info(BOX) == first
    assert box.merge_objects(BOX, [row("a", 21, 6), gone("b"), row("d", 31), row("d", 29)]) == 3
    assert box.info(BOX).counts[0] == Count(0, 2, 11)
    assert names(box) == ["a", "d"]
    assert names(box, policy=1) == ["c"]
    assert names(box, policy=-1) == ["a", "c", "d"]
    assert names(box, gone=True) == ["b"]
    assert box.audit(BOX) == []


def test_what_a_listing_tells_of_an_object(box):
    box.merge_objects(BOX, [row("a", 20, 5, type_stamp=21, meta_stamp=25, shown=5000), row("b/c", 22)])
    info, listed = box.list_objects(BOX, Listing(delimiter="/"))
    assert listed == [("a", 25, 5000, TYPE, ETAG), ("b/", 0, 0, None, "")]
    assert info == box.info(BOX)
    assert info.total.bytes == 10


TREE = ["a", "a/b", "a/b/c", "a/b/d", "a0", "b/", "b/x", "c--d", "c--d--e", "ä/1", "\U0001f600/1"]
# What swift 2.38.3 answered for these names, but for the two that say otherwise.
LISTINGS = {
    "all": ({}, TREE),
    "delimiter": ({"delimiter": "/"}, ["a", "a/", "a0", "b/", "c--d", "c--d--e", "ä/", "\U0001f600/"]),
    "two characters": ({"delimiter": "--"}, [*TREE[:7], "c--", *TREE[9:]]),
    "prefix and delimiter": ({"prefix": "a/", "delimiter": "/"}, ["a/b", "a/b/"]),
    "prefix without its delimiter": ({"prefix": "a", "delimiter": "/"}, ["a", "a/", "a0"]),
    "marker in a subdir": ({"delimiter": "/", "marker": "a/b", "limit": 3}, ["a/", "a0", "b/"]),
    "marker is a subdir": ({"delimiter": "/", "marker": "a/"}, ["a0", "b/", "c--d", "c--d--e", "ä/", "\U0001f600/"]),
    "end in a subdir": ({"delimiter": "/", "end_marker": "a/b/c"}, ["a", "a/"]),
    "reverse": ({"delimiter": "/", "reverse": True, "limit": 3}, ["\U0001f600/", "ä/", "c--d--e"]),
    "reverse from a subdir": ({"delimiter": "/", "reverse": True, "marker": "b/x"}, ["b/", "a0", "a/", "a"]),
    "reverse down to a subdir": ({"delimiter": "/", "reverse": True, "marker": "b", "end_marker": "a/"}, ["a0"]),
    "limit": ({"delimiter": "/", "limit": 2}, ["a", "a/"]),
    "none": ({"limit": 0}, []),
    "marker behind the prefix": ({"prefix": "a/", "marker": "b"}, []),
    "path": ({"path": "a"}, ["a/b"]),
    "path with slashes": ({"path": "a/b//"}, ["a/b/c", "a/b/d"]),
    "path of the top, the name behind a folder too": ({"path": ""}, ["a", "a0", "b/", "c--d", "c--d--e"]),
    "path of the top in reverse, a folder's own object too": (
        {"path": "", "reverse": True}, ["c--d--e", "c--d", "b/", "a0", "a"]),
}  # fmt: skip


@pytest.mark.parametrize("case", LISTINGS)
def test_listings(box, case):
    words, expected = LISTINGS[case]
    box.merge_objects(BOX, [row(name) for name in TREE])
    assert names(box, **words) == expected


def test_names_of_the_store_itself_are_hidden(box):
    box.merge_objects(BOX, [row("\0versions\0a"), row("a\0b"), row("a")])
    assert names(box) == ["a", "a\0b"]
    assert names(box, reserved=True) == ["\0versions\0a", "a", "a\0b"]


@pytest.mark.parametrize(
    "last", ["\ud7ff", "\U0010ffff", "x\U0010ffff"], ids=["before surrogates", "last", "last of x"]
)
def test_prefixes_at_the_end_of_unicode(box, last):
    box.merge_objects(BOX, [row(name) for name in (last, f"{last}a", f"{last}/b", "\ue000", "y", "w")])
    assert names(box, prefix=last) == [last, f"{last}/b", f"{last}a"]
    assert f"{last}/" in names(box, delimiter="/")


def test_containers_of_an_account(box):
    rows = [
        ContainerRow("a", 10, 0, 3, 30, 0, 11),
        ContainerRow("b-1", 12, 0, 1, 5, 1, 11),
        ContainerRow("b-2", 10, 15),
    ]
    assert box.merge_containers(ACCOUNT, rows) == 3
    info, listed = box.list_containers(ACCOUNT, Listing(delimiter="-", path="a"))
    assert listed == [("a", 3, 30, 10, 0), ("b-", 0, 0, 0, -1)]
    assert (info.counts, info.total) == ({0: Count(1, 3, 30), 1: Count(1, 1, 5)}, Count(2, 4, 35))
    news = [ContainerRow("a", 10, 0, 2, 20, 0, 10), ContainerRow("b-1", 12, 13, 0, 0, 0, 14), ContainerRow("b-2", 16)]
    assert box.merge_containers(ACCOUNT, news) == 2
    assert box.info(ACCOUNT).counts == {0: Count(2, 3, 30), 1: Count()}
    assert [each[0] for each in box.list_containers(ACCOUNT, Listing())[1]] == ["a", "b-2"]
    assert box.audit(ACCOUNT) == []
    changes = box.container_rows(ACCOUNT, 0)
    assert [each.name for _, each in changes] == ["a", "b-1", "b-2"]
    assert [each.name for _, each in box.container_rows(ACCOUNT, changes[0][0], 1)] == ["b-1"]


def test_replicas_become_alike(box):
    box.merge_objects(BOX, [row("a"), row("b"), gone("c")])
    box.merge_objects(BOX, [row("a", 40)])
    other = SimpleNamespace(run=box.run, device=FakeIndex())
    info = box.info(BOX)
    box.run(other.device.merge_state(BOX, info.state))
    found = box.object_rows(BOX, 0)
    assert [each.name for _, each in found] == ["b", "c", "a"]
    assert [number for number, _ in found] == sorted(number for number, _ in found)
    assert found[-1][0] == info.change
    peer = Peer(box.device.identity, True)
    box.run(other.device.merge_objects(BOX, [each for _, each in found], source=peer, point=info.change))
    theirs = box.run(other.device.info(BOX))
    assert (theirs.digest, theirs.counts, theirs.state) == (info.digest, info.counts, info.state)
    assert box.run(other.device.sync_points(BOX)) == {peer: info.change}
    assert box.object_rows(BOX, info.change) == []
    assert len(box.object_rows(BOX, 0, 2)) == 2


def test_states_of_replicas(box):
    info = box.info(BOX)
    assert box.merge_state(BOX, info.state) == info
    newer = msgspec.structs.replace(info.state, deleted=30, metadata={"a": ("", 30)})
    assert not box.merge_state(BOX, newer).exists
    choice = PolicyChoice(40, 2, 40)
    made = box.merge_state(BOX, msgspec.structs.replace(newer, put=40, choices=(choice,)))
    assert (made.exists, made.policy, made.state.choices) == (True, 2, (choice,))
    assert box.info(BOX) == made


def test_sync_points_do_not_go_back(box):
    peers = Peer("x", False), Peer("x", True)
    for point in (5, 3):
        box.set_sync_point(BOX, peers[0], point)
    box.set_sync_point(BOX, peers[1], 1)
    assert box.sync_points(BOX) == {peers[0]: 5, peers[1]: 1}
    box.set_sync_point(BOX, peers[0], -1)
    assert box.sync_points(BOX) == {peers[1]: 1}


def test_indexes_by_their_last_change(box):
    before = box.changed(0)
    assert [each.key for each in before] == [ACCOUNT, BOX]
    box.put(OTHER, 10)
    box.merge_objects(BOX, [row("a")])
    after = box.changed(before[-1].change)
    assert [each.key for each in after] == [OTHER, BOX]
    assert after[1].digest == box.info(BOX).digest != bytes(16)
    assert [each.key for each in box.changed(0, 1)] == [ACCOUNT]
    box.put(OTHER, 10)
    box.merge_objects(BOX, [row("a")])
    assert box.changed(after[-1].change) == []


def test_misplaced_rows(box):
    assert box.object_rows(BOX, 0, misplaced=True) == []
    box.merge_objects(BOX, [row("a"), row("a", policy=2), row("b", policy=1)])
    assert [(each.name, each.policy) for _, each in box.object_rows(BOX, 0, misplaced=True)] == [("a", 2), ("b", 1)]


def test_what_the_account_has_to_be_told(box):
    (first, *_), *_ = box.owed()
    assert box.owed() == [(first, BOX, ContainerRow("box", 10))]
    box.reported(BOX, ContainerRow("box", 10, counted=99))
    assert box.owed() == []
    box.merge_objects(BOX, [row("a")])
    box.put(OTHER, 10)
    (number, key, told), other = box.owed()
    assert (key, told, other[1]) == (BOX, ContainerRow("box", 10, 0, 1, 5, 0), OTHER)
    assert box.owed(after=number) == [other]
    assert box.owed(1) == [(number, key, told)]
    box.merge_objects(BOX, [row("b")])
    box.reported(BOX, told)
    assert box.owed()[0][2].objects == 2
    before = box.info(BOX).change
    box.reported(BOX, box.owed()[0][2])
    assert [each[1] for each in box.owed()] == [OTHER]
    assert box.info(BOX).change == before


def test_an_index_that_lies_elsewhere_is_dropped(box):
    box.merge_objects(BOX, [row("a")])
    info = box.info(BOX)
    assert box.drop(BOX, info.change - 1) is False
    assert box.drop(BOX, info.change) is True
    assert box.info(BOX) is None
    assert box.drop(BOX, info.change) is True
    box.put(BOX, 40)
    assert names(box) == []
    assert box.info(BOX).change > info.change


def test_tombstones_are_reclaimed(box):
    box.merge_objects(BOX, [row("a"), gone("b", 30), gone("c", 31, policy=1), gone("d", 40)])
    box.set_metadata(BOX, 30, {"a": "", "b": "1"})
    box.merge_ranges(BOX, [ShardRange("s/1", 5, deleted=True), ShardRange("s/2", 5)])
    assert box.reclaim(BOX, 35, 1) == 1
    assert "a" in box.info(BOX).state.metadata
    assert box.reclaim(BOX, 35) == 1
    assert names(box, gone=True, policy=-1) == ["d"]
    assert box.info(BOX).state.metadata == {"b": ("1", 30)}
    assert [each.name for each in box.ranges(BOX, deleted=True)] == ["s/2"]
    assert box.audit(BOX) == []
    assert box.info(BOX).counts[0] == Count(0, 1, 5)


def test_a_deleted_index_is_reclaimed(box):
    box.merge_objects(BOX, [gone("a", 30)])
    box.delete(BOX, 40)
    assert box.reclaim(BOX, 41) == 1
    assert box.info(BOX) is not None  # its account is not told yet
    box.reported(BOX, box.owed()[0][2])
    assert box.reclaim(BOX, 40) == 0
    assert box.info(BOX) is not None
    assert box.reclaim(BOX, 41) == 0
    assert box.info(BOX) is None
    box.merge_containers(ACCOUNT, [ContainerRow("box", 10, 40)])
    assert box.reclaim(ACCOUNT, 41) == 1
    assert box.container_rows(ACCOUNT, 0) == []
    assert box.audit(ACCOUNT) == []
    assert box.info(ACCOUNT).exists


def test_where_to_split(box):
    box.merge_objects(BOX, [row(f"{number:02}") for number in range(10)] + [row("05x", policy=1), gone("00x")])
    assert box.find_ranges(BOX, 11) == ([], False)
    pieces = [FoundRange("", "03", 4), FoundRange("03", "06", 4), FoundRange("06", "", 3)]
    assert box.find_ranges(BOX, 4) == (pieces, True)
    assert box.find_ranges(BOX, 4, limit=1) == (pieces[:1], False)
    assert box.find_ranges(BOX, 4, lower="06") == (pieces[2:], True)
    assert box.find_ranges(BOX, 4, minimum=4) == ([pieces[0], FoundRange("03", "", 7)], True)
    assert box.find_ranges(BOX, 4, lower="01", upper="05") == ([FoundRange("01", "05", 4)], True)
    assert box.find_ranges(BOX, 4, lower="05", upper="05") == ([], True)


def test_ranges_are_found_by_names(box):
    ranges = [
        ShardRange("s/1", 5, "", "g", state=RangeState.ACTIVE),
        ShardRange("s/2", 5, "g", "p", state=RangeState.CREATED),
        ShardRange("s/3", 5, "p", "", state=RangeState.FOUND),
        ShardRange("s/4", 5, "a", "c", deleted=True),
        ShardRange("AUTH_a/box", 5),
    ]
    box.merge_ranges(BOX, ranges)

    def found(**words):
        return [each.name for each in box.ranges(BOX, **words)]

    assert box.ranges(BOX) == ranges[:3]
    assert found(own=True) == ["s/1", "s/2", "AUTH_a/box", "s/3"]
    assert found(deleted=True) == ["s/4", "s/1", "s/2", "s/3"]
    assert found(marker="g", end_marker="p") == ["s/2"]
    assert found(marker="b", end_marker="h") == ["s/1", "s/2"]
    assert (found(includes="g"), found(includes="g0"), found(includes="zz")) == (["s/1"], ["s/2"], ["s/3"])
    assert found(states=[RangeState.ACTIVE, RangeState.FOUND]) == ["s/1", "s/3"]
    change = box.info(BOX).change
    box.merge_ranges(BOX, ranges)
    assert box.info(BOX).change == change


def test_a_container_is_split(box):
    box.merge_objects(BOX, [row("a"), row("b"), row("c"), gone("b0"), row("b1", policy=1)])
    box.put(OTHER, 10, metadata={"X-Container-Sysmeta-Shard-Root": "AUTH_a/box"})
    change = box.info(BOX).change
    box.set_sharding(BOX, SHARDING)
    assert box.info(BOX).change > change, "replicas have to be told"
    info, rows = box.named_rows(BOX, "b", "b1\0", 2)
    assert (info.sharding, [(each.name, each.deleted) for each in rows]) == (SHARDING, [("b", False), ("b0", True)])
    rows = box.named_rows(BOX, "b", "b1\0")[1]
    box.merge_objects(OTHER, rows)
    box.merge_objects(BOX, [row("b", 40)])
    assert box.remove_rows(BOX, rows) == 2, "what was written since stays"
    assert box.remove_rows(BOX, rows) == 0
    assert (names(box), names(box, OTHER, policy=-1), names(box, OTHER, gone=True)) == (
        ["a", "b", "c"],
        ["b", "b1"],
        ["b0"],
    )
    assert box.audit(BOX) == box.audit(OTHER) == []
    assert box.remove_rows(BOX, box.named_rows(BOX)[1]) == 3
    assert box.info(BOX).bare
    assert not box.info(OTHER).bare
    shard = ShardRange("AUTH_a/other", 5, "a", "b1", 1, 5, 50, state=RangeState.CREATED)
    box.merge_ranges(BOX, [shard, ShardRange("AUTH_a/more", 5, "b1", "", 7, 5, 50)])
    assert box.info(BOX).total == Count(0, 1, 5)
    box.set_sharding(BOX, SHARDED)
    box.merge_objects(BOX, [row("misplaced")])
    assert box.info(BOX).total == Count(0, 2, 10)
    assert [told.objects for _, key, told in box.owed() if key == BOX] == [2]
    box.remove_rows(BOX, box.named_rows(BOX)[1])
    with pytest.raises(Conflict, match="not empty"):
        box.delete(BOX, 90)


def test_a_shard_is_fenced(box):
    box.put(OTHER, 10, metadata={"X-Container-Sysmeta-Shard-Quoted-Root": "AUTH_a/box"})
    box.merge_objects(OTHER, [row("a")])
    box.set_sharding(OTHER, SHARDING)
    with pytest.raises(Conflict) as caught:
        box.merge_objects(OTHER, [row("b")])
    assert caught.value.code == "Moved"
    assert names(box, OTHER) == ["a"]
    assert box.info(OTHER).fenced
    assert box.remove_rows(OTHER, box.named_rows(OTHER)[1]) == 1
    assert box.delete(OTHER, 90)


def test_rows_by_name(box):
    rows = [row("b"), row("b", policy=1), gone("a"), row("c"), gone("\0hidden")]
    box.merge_objects(BOX, rows)

    def found(*given, **more):
        return [(each.name, each.policy) for each in box.named_rows(BOX, *given, **more)[1]]

    every = [("\0hidden", 0), ("a", 0), ("b", 0), ("b", 1), ("c", 0)]
    assert found() == every
    assert found("a", "c") == every[1:4]
    assert found("b", "", 1) == every[2:4], "all of a name"
    assert found("", "c", 1, reverse=True) == every[2:4]
    assert found(reverse=True) == [("c", 0), ("b", 0), ("b", 1), ("a", 0), ("\0hidden", 0)]
    with pytest.raises(Invalid):
        box.named_rows(BOX, limit=0)


def test_what_cannot_be_kept_is_refused(box):
    huge = 1 << 63
    for bad in (row(""), row("\ud800"), row("a", size=-1), row("a", size=huge), row("a", huge), row("a", shown=huge)):
        with pytest.raises(Invalid):
            box.merge_objects(BOX, [row("good"), bad])
    assert names(box) == []
    for call in (
        lambda: box.put(Key("", "c"), 5),
        lambda: box.put(Key("a", "\ud800"), 5),
        lambda: box.put(BOX, huge),
        lambda: box.put(BOX, 50, metadata={"a": "\ud800"}),
        lambda: box.delete(BOX, -1),
        lambda: box.list_objects(ACCOUNT, Listing()),
        lambda: box.list_containers(BOX, Listing()),
        lambda: box.list_objects(BOX, Listing(limit=-1)),
        lambda: box.list_objects(BOX, Listing(marker="\ud800")),
        lambda: box.merge_containers(ACCOUNT, [ContainerRow("")]),
        lambda: box.merge_objects(ACCOUNT, []),
        lambda: box.merge_ranges(BOX, [ShardRange("", 1)]),
        lambda: box.set_sharding(BOX, "broken"),
        lambda: box.find_ranges(BOX, 0),
    ):
        with pytest.raises(Invalid):
            call()


def test_many_at_once(box):
    async def all_of_them():
        calls = [box.device.merge_objects(BOX, [row(f"{number % 150:03}", 20 + number)]) for number in range(300)]
        missing = box.device.merge_objects(OTHER, [row("a")])
        return await asyncio.gather(*calls, missing, return_exceptions=True)

    *done, missing = box.run(all_of_them())
    assert done == [1] * 300
    assert isinstance(missing, NotFound)
    assert box.info(BOX).counts == {0: Count(0, 150, 750)}
    assert box.audit(BOX) == []


def test_a_caller_that_went_harms_nobody(box):
    async def leave():
        call = asyncio.create_task(box.device.merge_objects(BOX, [row("a")]))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    box.run(leave())
    assert box.merge_objects(BOX, [row("b")]) == 1
    assert "b" in names(box)
