# SPDX-License-Identifier: Apache-2.0
"""What the store promises, on devices in memory, in folders and behind a socket, with one replica and with three."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cumulet.kernel.errors import Conflict, NotFound
from cumulet.services.object_store.drivers.base import INLINE, PIECE
from cumulet.services.object_store.engine.base import Name
from cumulet.services.object_store.types.indexes import Key, Listing, Placed
from cumulet.services.object_store.types.objects import Kind, Update, Verdict
from drivers.object_store.cluster_benches import ACCOUNT, CODE, CONTAINER, ClusterBench, body_of, story

O = Name("a", "c", "o")  # noqa: E741


SHAPES = ["fake-1", "fake-3of4", "fake-coded", "local-1", "local-2of2", "local-coded", "far-1", "far-3of4", "far-coded"]


@pytest.fixture(params=SHAPES)
def bench(request, tmp_path):
    kind, shape = request.param.split("-")
    words = {"root": tmp_path if kind == "local" else None, "far": kind == "far"}
    if shape == "coded":
        return ClusterBench(5, scheme=CODE, **words)
    replicas, _, size = shape.partition("of")
    return ClusterBench(int(size or 1), int(replicas), **words)


@pytest.mark.parametrize("size", [0, 1, INLINE, INLINE + 1, 2 * PIECE + 5])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@story
async def test_a_body_comes_back_and_is_listed(bench, size, known):
    async with bench:
        await bench.begin()
        body = body_of(size)
        outcome = await bench.put("o", body, size=size if known else None)
        assert (outcome.verdict, outcome.before, outcome.now.size) == (Verdict.DONE, None, size)
        for newest in (False, True):
            assert await bench.cluster.head(O, newest=newest) == outcome.now
            assert await bench.get("o", newest=newest) == body
            info, rows = await bench.cluster.list_objects(CONTAINER, Listing(), newest=newest)
            assert rows == [("o", outcome.now.stamp, size, "text/plain", outcome.now.etag)]
            assert (info.total.objects, info.total.bytes) == (1, size)
        for start, end in ((0, 1), (1, size // 2), (size // 2, None), (size, None), (0, size + 10), (5, 3)):
            assert await bench.get("o", start, end) == body[start:end], (start, end)


@pytest.mark.parametrize("far", [False, True], ids=["near", "far"])
@story
async def test_the_replica_that_is_read_first_stays_in_memory(tmp_path, monkeypatch, far):
    gone = []
    monkeypatch.setattr(os, "posix_fadvise", lambda fd, *_: gone.append(Path(f"/proc/self/fd/{fd}").readlink()))
    async with ClusterBench(4, 3, root=tmp_path, far=far) as bench:
        await bench.begin()
        await bench.put("o", body_of(PIECE))
        first, *others = bench.cluster.places.object(O)[1].primaries
        assert {path.relative_to(tmp_path).parts[0] for path in gone} == {node.objects.id for node in others}
        assert first not in others
        assert await bench.get("o") == body_of(PIECE)


@story
async def test_the_newest_wins(bench):
    async with bench:
        await bench.begin()
        assert (await bench.put("o", b"old", stamp=50_000)).verdict is Verdict.DONE
        assert (await bench.put("o", b"new", stamp=60_000)).before.size == 3
        assert (await bench.put("o", b"late", stamp=55_000)).verdict is Verdict.NEWER
        assert await bench.get() == b"new"
        assert (await bench.cluster.remove(O, 58_000)).verdict is Verdict.NEWER
        assert await bench.listed() == ["o"]
        assert (await bench.cluster.remove(O, 70_000)).verdict is Verdict.DONE
        assert await bench.get() is None
        assert (await bench.cluster.head(O)).kind is Kind.TOMBSTONE
        assert await bench.listed() == []
        assert (await bench.cluster.remove(O, 80_000)).verdict is Verdict.MISSING
        assert (await bench.put("o", b"again", stamp=90_000)).verdict is Verdict.DONE
        assert await bench.get() == b"again"


@story
async def test_what_never_was(bench):
    async with bench:
        assert await bench.cluster.info(ACCOUNT) is None
        assert await bench.cluster.info(CONTAINER, newest=True) is None
        with pytest.raises(NotFound):
            await bench.cluster.list_objects(CONTAINER, Listing())
        with pytest.raises(NotFound):
            await bench.cluster.put(CONTAINER, 1)
        await bench.begin()
        assert await bench.cluster.head(O) is await bench.cluster.head(O, newest=True) is None
        assert await bench.get() is await bench.get(newest=True) is None
        assert (await bench.cluster.post(O, Update(stamp=10**6))).verdict is Verdict.MISSING
        assert (await bench.cluster.remove(O, 10**6)).verdict is Verdict.MISSING


@story
async def test_metadata_and_a_type_are_replaced_and_listed(bench):
    async with bench:
        await bench.begin()
        await bench.put(
            "o", b"body", stamp=50_000, metadata={"x-object-meta-a": "1"}, system={"x-object-sysmeta-b": "2"}
        )
        update = Update(stamp=60_000, metadata={"x-object-meta-c": "3"}, content_type="image/png")
        assert (await bench.cluster.post(O, update)).verdict is Verdict.DONE
        assert (await bench.cluster.post(O, Update(stamp=55_000))).verdict is Verdict.NEWER
        version = await bench.cluster.head(O)
        assert (version.stamp, version.meta_stamp, version.content_type) == (50_000, 60_000, "image/png")
        assert (version.metadata, version.system) == ({"x-object-meta-c": "3"}, {"x-object-sysmeta-b": "2"})
        _, [row] = await bench.cluster.list_objects(CONTAINER, Listing())
        assert row == ("o", 60_000, 4, "image/png", version.etag)


@story
async def test_what_a_listing_tells_in_place_of_the_object(bench):
    prefix = "x-object-sysmeta-container-update-override-"
    system = {prefix + "etag": "other", prefix + "size": "77", prefix + "content-type": "a/b"}
    system |= {"x-static-large-object": "True", "x-object-sysmeta-slo-size": "99"}
    async with bench:
        await bench.begin()
        outcome = await bench.put("o", b"body", system=system)
        info, [row] = await bench.cluster.list_objects(CONTAINER, Listing())
        assert row == ("o", outcome.now.stamp, 99, "a/b", "other")
        assert info.total.bytes == 77


@story
async def test_a_container_comes_and_goes(bench):
    async with bench:
        await bench.cluster.put(ACCOUNT, bench.stamp())
        assert await bench.cluster.put(CONTAINER, 50_000, policy=1, metadata={"x-a": "1"}) == Placed(True, 1)
        assert await bench.cluster.put(CONTAINER, 51_000) == Placed(False, 1)
        with pytest.raises(Conflict) as caught:
            await bench.cluster.put(CONTAINER, 52_000, policy=0)
        assert caught.value.code == "OtherPolicy"
        _, [row] = await bench.cluster.list_containers(ACCOUNT, Listing())
        assert row == ("c", 0, 0, 51_000, 1)
        await bench.cluster.set_metadata(CONTAINER, 53_000, {"x-a": "2"})
        assert (await bench.cluster.info(CONTAINER)).state.metadata == {"x-a": ("2", 53_000)}
        assert (await bench.cluster.info(CONTAINER)) is (await bench.cluster.info(CONTAINER))
        assert await bench.cluster.delete(CONTAINER, 60_000) is True
        assert not (await bench.cluster.info(CONTAINER)).exists
        assert (await bench.cluster.list_containers(ACCOUNT, Listing()))[1] == []
        with pytest.raises(NotFound):
            await bench.cluster.list_objects(CONTAINER, Listing())
        assert await bench.cluster.put(CONTAINER, 70_000) == Placed(True, 0)
        _, [row] = await bench.cluster.list_containers(ACCOUNT, Listing())
        assert row == ("c", 0, 0, 70_000, 0)


@story
async def test_a_container_with_objects_stays(bench):
    async with bench:
        await bench.begin()
        await bench.put()
        with pytest.raises(Conflict) as caught:
            await bench.cluster.delete(CONTAINER, 10**6)
        assert caught.value.code == "NotEmpty"
        with pytest.raises(NotFound):
            await bench.cluster.delete(Key("a", "other"), 10**6)


@story
async def test_what_is_abandoned_leaves_nothing(bench):
    async with bench:
        await bench.begin()
        async with await bench.cluster.write(O, 10) as writing:
            await writing.write(b"body")
        assert await bench.get() is None
        assert await bench.listed() == []
        with pytest.raises(RuntimeError):
            await writing.write(b"more")


@story
async def test_nothing_is_owed_when_all_was_brought(bench):
    async with bench:
        await bench.begin()
        await bench.put()
        await bench.cluster.flush()
        assert await bench.owed() == [[] for _ in bench.names]
