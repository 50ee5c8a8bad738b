# SPDX-License-Identifier: Apache-2.0
"""The judge of histories, on histories made by hand: what is promised passes, what is not is found."""

from __future__ import annotations

import pytest

from histories.judge import ABSENT, DONE, MAYBE, NONE, Op, Seen, judge, settled


def put(value, begun, ended, fate=DONE, stamp=None, key="o"):
    return write("put", value, f"w{value}", begun, ended, fate, stamp, key)


def post(word, begun, ended, fate=DONE, stamp=None):
    return write("post", None, word, begun, ended, fate, stamp)


def delete(begun, ended, fate=DONE, stamp=None):
    return write("delete", None, None, begun, ended, fate, stamp)


def write(verb, value, word, begun, ended, fate, stamp, key="o"):
    bounds = (begun, ended) if stamp is None else (stamp, stamp)
    return Op("one", verb, key, value, word, begun, ended, fate, bounds)


def get(seen, begun, ended, strict=True):
    seen = Seen(seen) if seen is None or isinstance(seen, str) else Seen(*seen)
    return Op("two", "get", "o", begun=begun, ended=ended, seen=seen, strict=strict)


def listing(names, begun, ended, strict=True, verb="list"):
    rows = [(name, Seen(value)) for name, value in names]
    return Op("two", verb, begun=begun, ended=ended, seen=rows, strict=strict)


def box(verb, begun, ended, fate=DONE, word=None):
    return Op("one", verb, "c", word=word, begun=begun, ended=ended, fate=fate, stamp=(begun, ended))


def look(there, begun, ended, word=None):
    return Op("two", "look", "c", begun=begun, ended=ended, seen=Seen("there" if there else None, word))


LEGAL = {
    "nothing": [],
    "nothing was written": [get(None, 1, 2)],
    "what was acknowledged": [put("a", 1, 2), get("a", 3, 4), listing([("o", "a")], 3, 4)],
    "either side of a write under way": [put("a", 1, 2), put("b", 3, 9), get("b", 4, 5), get("a", 6, 7)],
    "a maybe that was not": [put("a", 1, 2), put("b", 3, 4, MAYBE), get("a", 5, 6)],
    "a maybe that was": [put("a", 1, 2), put("b", 3, 4, MAYBE), get("b", 5, 6)],
    "a maybe that comes later": [put("a", 1, 2), put("b", 3, 4, MAYBE), get("a", 5, 6), get("b", 7, 8)],
    "a deletion that may be": [put("a", 1, 2), delete(3, 4, MAYBE), get(None, 5, 6), get("a", 7, 8)],
    "the larger stamp, though it was written first": [
        put("a", 1, 2, stamp=90),
        put("b", 3, 4, stamp=80),
        get("a", 5, 6),
    ],
    "a slow upload that began before": [put("b", 1, 9, stamp=1), put("a", 2, 3, stamp=2), get("a", 10, 11)],
    "two at once, whose stamps are not known": [put("a", 1, 5), put("b", 2, 4), get("a", 6, 7), get("b", 8, 9)],
    "its own metadata": [put("a", 1, 2), get(("a", "wa"), 3, 4)],
    "metadata of a post": [put("a", 1, 2), post("x", 3, 4), get(("a", "x"), 5, 6)],
    "a post of what is written anew": [put("a", 1, 2), post("x", 3, 9), put("b", 4, 5), get(("b", "x"), 6, 7)],
    "a post that may be": [put("a", 1, 2), post("x", 3, 4, MAYBE), get(("a", "wa"), 5, 6), get(("a", "x"), 7, 8)],
    "old, while replicas are apart": [put("a", 1, 2), put("b", 3, 4), get("a", 5, 6, strict=False)],
    "nothing, while replicas are apart": [put("a", 1, 2), get(None, 5, 6, strict=False)],
    "a deletion": [put("a", 1, 2), delete(3, 4), get(None, 5, 6), listing([], 5, 6)],
    "written after a deletion": [put("a", 1, 2), delete(3, 4), put("b", 5, 6), get("b", 7, 8)],
    "a container": [box("make", 1, 2), look(True, 3, 4), box("drop", 5, 6), look(False, 7, 8)],
    "a container's metadata": [box("make", 1, 2), box("describe", 3, 4, word="x"), look(True, 5, 6, "x")],
    "a list of containers": [box("make", 1, 2), listing([("c", "there")], 3, 4, verb="containers")],
}
ILLEGAL = {
    "lost": ([put("a", 1, 2), get(None, 3, 4)], "nothing was told behind"),
    "stale": ([put("a", 1, 2), put("b", 3, 4), get("a", 5, 6)], "a was told behind"),
    "stale in the end": ([put("b", 1, 9, stamp=1), put("a", 2, 3, stamp=2), get("b", 10, 11)], "b was told behind"),
    "never written": ([put("a", 1, 2), get("z", 3, 4)], "nobody wrote z"),
    "never written, apart": ([put("a", 1, 2), get("z", 3, 4, strict=False)], "nobody wrote z"),
    "from the future": ([get("a", 1, 2), put("a", 3, 4)], "nobody wrote a"),
    "from the future, apart": ([get("a", 1, 2, strict=False), put("a", 3, 4)], "nobody wrote a"),
    "refused": ([put("a", 1, 2, NONE), get("a", 3, 4)], "nobody wrote a"),
    "deleted and back": ([put("a", 1, 2), delete(3, 4), get("a", 5, 6)], "a was told behind"),
    "deleted, and an older one back": (
        [put("a", 1, 2), put("b", 3, 4), delete(5, 6), get("a", 7, 8)],
        "a was told behind",
    ),
    "the smaller stamp": ([put("a", 1, 2, stamp=90), put("b", 3, 4, stamp=80), get("b", 5, 6)], "b was told behind"),
    "old metadata": ([put("a", 1, 2), post("x", 3, 4), get(("a", "wa"), 5, 6)], "words of o: wa was told behind"),
    "metadata of an older body": (
        [put("a", 1, 2), put("b", 3, 4, MAYBE), get(("b", "wa"), 5, 6)],
        "wa is older than the body b",
    ),
    "metadata of nobody": ([put("a", 1, 2), get(("a", "wz"), 3, 4)], "words of o: nobody wrote wz"),
    "not listed": ([put("a", 1, 2), listing([], 3, 4)], "nothing was told behind"),
    "listed twice": ([put("a", 1, 2), listing([("o", "a")] * 2, 3, 4)], "not told once"),
    "listed, and never written": ([listing([("o", "a")], 3, 4)], "nobody wrote a"),
    "listed, and deleted": ([put("a", 1, 2), delete(3, 4), listing([("o", "a")], 5, 6)], "a was told behind"),
    "out of order": (
        [put("a", 1, 2, key="p"), put("b", 1, 2), listing([("p", "a"), ("o", "b")], 3, 4)],
        "not told once",
    ),
    "a container that is gone": ([box("make", 1, 2), look(False, 3, 4)], "nothing was told behind"),
    "a container that is back": ([box("make", 1, 2), box("drop", 3, 4), look(True, 5, 6)], "there was told behind"),
    "a container's old metadata": (
        [box("make", 1, 2), box("describe", 3, 4, word="x"), box("describe", 5, 6, word="y"), look(True, 7, 8, "x")],
        "words of c: x was told behind",
    ),
    "a container's metadata from before it was deleted": (
        [
            box("make", 1, 2),
            box("describe", 3, 4, MAYBE, "x"),
            box("drop", 5, 6),
            box("make", 7, 8),
            look(True, 9, 10, "x"),
        ],
        "words of c: x was told behind",
    ),
    "a container that is not listed": ([box("make", 1, 2), listing([], 3, 4, verb="containers")], "nothing was told"),
}


@pytest.mark.parametrize("history", LEGAL.values(), ids=LEGAL)
def test_what_is_promised_passes(history):
    assert judge(history) == []


@pytest.mark.parametrize(("history", "words"), ILLEGAL.values(), ids=ILLEGAL)
def test_what_is_not_is_found(history, words):
    [text] = judge(history)
    assert words in text


def test_an_end_that_does_not_fit():
    found = {"o": Seen("a", "x"), "p": ABSENT}
    assert settled(found, [("o", Seen("a", "x"))]) == []
    for listed in ([], [("o", Seen("a", "x"))] * 2, [("o", Seen("b", "x"))], [("o", Seen("a", "x")), ("p", ABSENT)]):
        assert settled(found, listed)
