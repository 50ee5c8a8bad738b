# SPDX-License-Identifier: Apache-2.0
"""What is newest of an object: whatever order replicas hear of writes in, they end alike, and as Swift does."""

from __future__ import annotations

from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from cumulet.services.object_store.types import objects, stamps
from cumulet.services.object_store.types.objects import Kind, Update, Verdict

STAMPS = some.integers(1, 6)
HEADERS = some.dictionaries(some.sampled_from(["x-object-meta-a", "x-object-meta-b"]), some.sampled_from("xy"))
TYPES = some.sampled_from(["text/plain", "text/html"])
PUTS = some.builds(
    objects.put,
    STAMPS,
    some.integers(0, 1),
    some.sampled_from(["aa", "bb"]),
    TYPES,
    metadata=HEADERS,
    system=HEADERS,
    delete_at=some.sampled_from([0, 1 << 40]),
)
WRITES = some.one_of(PUTS, some.builds(objects.tombstone, STAMPS))
POSTS = some.builds(Update, stamp=STAMPS, metadata=HEADERS, content_type=some.none() | TYPES, type_stamp=some.just(0))


@some.composite
def states(draw):
    """What a device may have: any writes, in any order, with POSTs between them."""
    current = draw(WRITES)
    for each in draw(some.lists(some.one_of(WRITES, POSTS), max_size=4)):
        current = objects.posted(current, each)[1] if isinstance(each, Update) else objects.written(current, each)[1]
    return current


@settings(max_examples=400)
@given(states(), states(), states())
def test_merging(one, two, three):
    merge = objects.merge
    assert merge(one, two) == merge(two, one)
    assert merge(merge(one, two), three) == merge(one, merge(two, three))
    assert merge(one, one) == one
    assert merge(merge(one, two), two) == merge(one, two)


@given(some.lists(states(), min_size=1, max_size=5), some.randoms(use_true_random=False))
def test_any_order_ends_alike(versions, luck):
    shuffled = versions[:]
    luck.shuffle(shuffled)
    one, two = reduce(objects.merge, versions), reduce(objects.merge, shuffled)
    assert objects.encode(one) == objects.encode(two)
    assert objects.digest("ab" * 16, one) == objects.digest("ab" * 16, two)


@given(states())
def test_parts_are_never_older_than_the_body(version):
    if version.kind is Kind.DATA:
        assert version.meta_stamp >= version.stamp
        assert version.type_stamp >= version.stamp
    else:
        assert version.meta_stamp == 0 or version.meta_stamp > version.stamp
    assert objects.decode(objects.encode(version)) == version


@given(states(), PUTS)
def test_verdicts_of_puts(current, new):
    verdict, now = objects.stored(current, new)
    if current.stamp < new.stamp:
        assert verdict is Verdict.DONE
        assert objects.same_body(now, new)
    else:
        assert verdict in (Verdict.NEWER, Verdict.SAME, Verdict.DONE)
        assert objects.same_body(now, current)
    assert objects.stored(now, new)[1] == now, "again changes nothing"


@given(states(), STAMPS)
def test_verdicts_of_deletes(current, stamp):
    verdict, now = objects.deleted(current, stamp)
    if current.stamp >= stamp:
        assert now == current
    else:
        assert (now.kind, now.stamp) == (Kind.TOMBSTONE, stamp)
        assert verdict is (Verdict.DONE if current.kind is Kind.DATA else Verdict.MISSING)
    assert objects.deleted(now, stamp)[1] == now


OLD = objects.put(100, 3, "aa", "text/plain", metadata={"a": "1"}, system={"s": "1"}, delete_at=0)


def test_a_put_takes_the_old_metadata_away():
    new = objects.put(200, 4, "bb", "text/html")
    assert objects.stored(OLD, new) == (Verdict.DONE, new)


def test_metadata_newer_than_the_put_stays():
    posted = objects.posted(OLD, Update(stamp=300, metadata={"b": "2"}))[1]
    verdict, now = objects.stored(posted, objects.put(200, 4, "bb", "text/html", metadata={"c": "3"}))
    assert verdict is Verdict.DONE
    assert (now.etag, now.metadata, now.meta_stamp, now.content_type) == ("bb", {"b": "2"}, 300, "text/html")


def test_metadata_waits_for_its_body():
    posted = objects.posted(OLD, Update(stamp=300, metadata={"b": "2"}))[1]
    dead = objects.merge(posted, objects.tombstone(200))
    assert dead.kind is Kind.TOMBSTONE
    assert objects.merge(dead, objects.put(250, 4, "bb", "text/html")).metadata == {"b": "2"}


def test_a_post_keeps_what_belongs_to_the_body():
    verdict, now = objects.posted(OLD, Update(stamp=200, metadata={"b": "2"}, delete_at=7))
    assert verdict is Verdict.DONE
    assert (now.stamp, now.system, now.content_type, now.type_stamp) == (100, {"s": "1"}, "text/plain", 100)
    assert (now.meta_stamp, now.metadata, now.delete_at) == (200, {"b": "2"}, 7)


def test_an_older_post_may_bring_a_newer_type():
    posted = objects.posted(OLD, Update(stamp=300, metadata={"b": "2"}))[1]
    verdict, now = objects.posted(posted, Update(stamp=200, metadata={"c": "3"}, content_type="text/css"))
    assert verdict is Verdict.DONE
    assert (now.metadata, now.content_type, now.type_stamp) == ({"b": "2"}, "text/css", 200)
    assert objects.posted(now, Update(stamp=150, metadata={}, content_type="text/xml")) == (Verdict.NEWER, now)


def test_a_post_twice():
    update = Update(stamp=200, metadata={"b": "2"}, content_type="text/css")
    now = objects.posted(OLD, update)[1]
    assert objects.posted(now, update) == (Verdict.SAME, now)


@pytest.mark.parametrize("current", [None, objects.tombstone(100)], ids=["nothing", "tombstone"])
def test_a_post_needs_an_object(current):
    assert objects.posted(current, Update(stamp=200)) == (Verdict.MISSING, current)


def test_an_expired_object_takes_no_post():
    over = objects.put(stamps.stamp(10), 0, "aa", "x", delete_at=50)
    update = Update(stamp=stamps.stamp(50))
    assert objects.posted(over, update)[0] is Verdict.MISSING
    assert objects.posted(over, update, expired_too=True)[0] is Verdict.DONE
    assert objects.posted(over, Update(stamp=stamps.stamp(49.9)))[0] is Verdict.DONE


def test_of_two_with_one_stamp():
    other = objects.put(100, 3, "bb", "text/html")
    assert objects.stored(OLD, other) == (Verdict.NEWER, OLD), "to a client the first stays"
    assert objects.written(OLD, other) == (Verdict.DONE, other), "between replicas the larger ETag wins"
    assert objects.written(other, OLD) == (Verdict.NEWER, other)
    dead = objects.tombstone(100)
    assert objects.merge(OLD, dead) == dead


@pytest.mark.parametrize(
    ("current", "stamp", "when", "verdict"),
    [
        (None, 200, 5, Verdict.MISSING),
        (OLD, 200, 5, Verdict.MISMATCH),
        (OLD, 200, 0, Verdict.DONE),
        (OLD, 100, 0, Verdict.NEWER),
        (objects.tombstone(100), 200, 5, Verdict.MISMATCH),
        (objects.tombstone(300), 200, 5, Verdict.NEWER),
    ],
    ids=["nothing", "another-time", "that-time", "newer", "tombstone", "newer-tombstone"],
)
def test_deletes_of_the_expirer(current, stamp, when, verdict):
    found, now = objects.deleted(current, stamp, when)
    assert found is verdict
    assert now == (current if verdict is not Verdict.DONE else objects.tombstone(stamp))


def test_fragments_of_one_state_have_one_digest():
    one, two = (objects.put(100, n, str(n), "x", fragment=n) for n in (1, 2))
    assert objects.digest("ab" * 16, one) == objects.digest("ab" * 16, two)
    assert objects.digest("ab" * 16, one) != objects.digest("cd" * 16, one)
