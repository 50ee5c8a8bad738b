# SPDX-License-Identifier: Apache-2.0
"""Replicas of an index become alike whatever they are told first, and how often."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cumulet.services.object_store.types.indexes import (
    ContainerRow,
    IndexState,
    ObjectRow,
    PolicyChoice,
    RangeState,
    ShardRange,
)
from cumulet.services.object_store.types.merges import (
    merged_container,
    merged_metadata,
    merged_object,
    merged_range,
    merged_state,
    normal_object,
)

stamp = st.integers(1, 4)
small = st.integers(0, 2)
objects = st.builds(
    ObjectRow,
    st.just("name"),
    stamp,
    small,
    st.sampled_from("xy"),
    st.sampled_from("ef"),
    st.booleans(),
    st.just(0),
    st.integers(0, 4),
    st.integers(0, 4),
    st.integers(-1, 1),
).map(normal_object)
containers = st.builds(ContainerRow, st.just("name"), stamp, small, small, small, small, stamp)
metadata = st.dictionaries(st.sampled_from("ab"), st.tuples(st.sampled_from(["", "v", "w"]), stamp))
choices = st.lists(st.builds(PolicyChoice, stamp, small, stamp), max_size=2).map(tuple)
states = st.builds(IndexState, created=stamp, put=stamp, deleted=small, choices=choices, metadata=metadata)
# A state as a device has it: its choices are those that its own deletion leaves.
states = states.map(lambda state: merged_state(state, state))
ranges = st.builds(
    ShardRange,
    st.just("name"),
    stamp,
    st.sampled_from("ab"),
    st.just("z"),
    small,
    small,
    stamp,
    st.booleans(),
    st.sampled_from([RangeState.FOUND, RangeState.ACTIVE]),
    stamp,
    small,
    st.booleans(),
    small,
)
KINDS = {
    "object": (objects, merged_object),
    "container": (containers, merged_container),
    "metadata": (metadata, merged_metadata),
    "state": (states, merged_state),
    "range": (ranges, merged_range),
}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_order_and_repetition_say_nothing(kind, data):
    values, merged = KINDS[kind]
    one, two, three = (data.draw(values) for _ in range(3))
    assert merged(one, two) == merged(two, one)
    assert merged(merged(one, two), three) == merged(one, merged(two, three))
    assert merged(one, one) == one
    assert merged(merged(one, two), two) == merged(one, two)


def test_data_type_and_metadata_are_each_the_newest():
    put = normal_object(ObjectRow("name", 10, 7, "a/a", "e1"))
    post = normal_object(ObjectRow("name", 5, 1, "b/b", "e0", False, 0, 12, 13))
    assert merged_object(put, post) == ObjectRow("name", 10, 7, "b/b", "e1", False, 0, 12, 13)


def test_a_tombstone_wins_over_data_of_its_stamp():
    live, gone = normal_object(ObjectRow("name", 5, 7, "", "e")), normal_object(ObjectRow("name", 5, deleted=True))
    assert merged_object(live, gone).deleted


def policy(*histories: tuple[int, tuple[PolicyChoice, ...]]) -> int:
    whole = None
    for deleted, chosen in histories:
        state = IndexState(created=1, put=max(each.put for each in chosen), deleted=deleted, choices=chosen)
        whole = state if whole is None else merged_state(whole, state)
    return whole.choice.policy


@pytest.mark.parametrize(
    ("one", "other", "winner"),
    [
        ((0, (PolicyChoice(5, 1, 5),)), (0, (PolicyChoice(7, 2, 7),)), 1),
        ((6, (PolicyChoice(8, 1, 8),)), (0, (PolicyChoice(4, 2, 4),)), 1),
        ((6, (PolicyChoice(8, 1, 8),)), (7, (PolicyChoice(9, 2, 9),)), 1),
        ((6, (PolicyChoice(8, 1, 8),)), (9, (PolicyChoice(10, 2, 10),)), 2),
        ((6, (PolicyChoice(5, 1, 5),)), (0, (PolicyChoice(7, 2, 7),)), 2),
        ((0, (PolicyChoice(5, 1, 8),)), (6, (PolicyChoice(9, 2, 9),)), 1),
    ],
    ids=[
        "the older of two that were never deleted",
        "what was made again",
        "the older of two that were made again",
        "what was made after the last deletion",
        "what is not deleted",
        "what a PUT after the deletion has kept",
    ],
)
def test_which_policy_wins(one, other, winner):
    assert policy(one, other) == policy(other, one) == winner


def test_metadata_from_before_the_deletion_are_void():
    """Though the replica that was deleted had not heard of them: those of a shard, that it is one, stay."""
    words = {"a": ("v", 4), "b": ("w", 6), "c": ("v", 5), "X-Container-Sysmeta-Shard-Root": ("a/c", 1)}
    missed = IndexState(created=1, put=4, metadata=words)
    remade = IndexState(created=1, put=7, deleted=5, metadata={"a": ("", 3)})
    found = {**words, "a": ("", 5)}
    assert merged_state(missed, remade).metadata == merged_state(remade, missed).metadata == found


def test_the_container_that_was_counted_last_tells_the_account():
    early, late = ContainerRow("c", 1, 0, 10, 100, 0, 5), ContainerRow("c", 1, 0, 3, 30, 0, 6)
    assert merged_container(early, late) == merged_container(late, early) == late


def test_a_range_of_newer_bounds_brings_its_own_state():
    old = ShardRange("r", 1, "a", "m", 9, 9, 9, False, RangeState.ACTIVE, 9)
    new = ShardRange("r", 2, "a", "z", 0, 0, 2, False, RangeState.FOUND, 2)
    assert merged_range(old, new) == new
