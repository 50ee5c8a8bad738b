# SPDX-License-Identifier: Apache-2.0
"""Answers that keep their client waiting, and answers that are closed before they are read."""

from __future__ import annotations

import asyncio

import pytest

from cumulet.services.object_store.api.heartbeats import beating
from cumulet.services.object_store.api.joined import Broken, Joined, Wanted
from cumulet.services.object_store.api.message import Body, Request, Response


def test_blanks_come_until_there_is_something_to_say():
    async def story():
        enough = asyncio.Event()

        async def work():
            await enough.wait()
            return b"done"

        pieces = beating(work, 0.001, separator=b"--")
        assert [await anext(pieces) for _ in range(3)] == [b" "] * 3
        enough.set()
        rest = [piece async for piece in pieces]
        assert rest[-1] == b"--done"
        assert set(rest[:-1]) <= {b" "}

    asyncio.run(story())


@pytest.mark.parametrize(("at_once", "told"), [(True, [b" ", b"--done"]), (False, [b"done"])], ids=["beat", "quiet"])
def test_what_is_quick_is_told_at_once(at_once, told):
    async def story():
        async def work():
            return b"done"

        return [piece async for piece in beating(work, 60, at_once=at_once, separator=b"--")]

    assert asyncio.run(story()) == told


def test_the_work_ends_with_its_client():
    async def story():
        ended = []

        async def work():
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(True)

        pieces = beating(work, 0.001)
        await anext(pieces)
        await anext(pieces)
        await pieces.aclose()
        assert ended == [True]

    asyncio.run(story())


class Store:
    """Answers with the bodies that it has, and counts those answers that are open."""

    def __init__(self, bodies):
        self.bodies, self.open, self.asked = bodies, 0, []

    async def __call__(self, request):
        self.asked.append((request.path, request.headers.get("range")))
        body = self.bodies.get(request.path)
        if body is None:
            return Response(404)
        self.open += 1
        said = request.headers.get("range")
        if said is not None:
            first, _, last = said.removeprefix("bytes=").partition("-")
            body = body[int(first) : int(last) + 1 if last else None]

        async def pieces():
            for at in range(0, len(body), 2):
                yield body[at : at + 2]

        return Response(200, {"etag": '"e"'}, pieces=pieces(), length=len(body), ending=self._end)

    async def _end(self):
        self.open -= 1


def joined(store, *wanted):
    async def plan(first, last):
        for each in wanted:
            yield each

    return Joined(Request("GET", "/v1/a/c/o", {}, Body.of(b"")), store, plan, "TEST")


async def read(found, size):
    await found.begin(0, size)
    return b"".join([piece async for piece in found.pieces(0, size)])


A, B = Wanted("/v1/a/c/a", 0, 4, "e", 4), Wanted("/v1/a/c/b", 1, 3, "e", 4)


def test_segments_are_read_one_after_the_other():
    async def story():
        store = Store({A.path: b"aaaa", B.path: b"bcde"})
        found = joined(store, A, b"--", B)
        assert await read(found, 8) == b"aaaa--cd"
        await found.close()
        assert (store.open, store.asked) == (0, [(A.path, None), (B.path, "bytes=1-2")])

    asyncio.run(story())


@pytest.mark.parametrize("pulled", [0, 1, 3])
def test_what_is_closed_early_leaves_nothing_open(pulled):
    async def story():
        store = Store({A.path: b"aaaa", B.path: b"bcde"})
        found = joined(store, A, B)
        await found.begin(0, 6)
        answer = Response(200, pieces=found.pieces(0, 6), length=6, ending=found.close)
        for _ in range(pulled):
            await anext(answer.pieces)
        await answer.close()
        await answer.close()
        assert store.open == 0

    asyncio.run(story())


@pytest.mark.parametrize(
    ("bodies", "wanted", "size"),
    [
        ({}, A, 4),
        ({A.path: b"aaa"}, A, 4),
        ({A.path: b"aaaa"}, A._replace(etag="f"), 4),
        ({A.path: b"aaaa"}, A._replace(first=1, last=6, size=9), 5),
        ({A.path: b"aaaa"}, A, 5),
        ({A.path: b"aaaa"}, A._replace(last=None, etag=None, size=None), 3),
    ],
    ids=["absent", "size", "etag", "part", "too little", "too much"],
)
def test_what_is_not_as_it_was_is_broken(bodies, wanted, size):
    async def story():
        store = Store(bodies)
        found = joined(store, wanted)
        with pytest.raises(Broken):
            await read(found, size)
        await found.close()
        assert store.open == 0

    asyncio.run(story())
