# SPDX-License-Identifier: Apache-2.0
"""Frames and peers under any bytes: what goes in comes out, and what is no frame ends the link and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cumulet.kernel import errors
from cumulet.kernel.link import frames, greeting, names, outcome, peer, ways
from cumulet.kernel.link.frames import Frame, FrameError
from cumulet.kernel.link.peer import Peer

T = TypeVar("T")

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FRAMES = st.builds(
    Frame,
    kind=st.sampled_from(["hello", "call", "cancel", "reply", "error", "event", "ping"]),
    id=st.integers(0, 2**63),
    verb=st.text(max_size=30),
    op=st.text(max_size=30),
    body=PLAIN,
)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 60))


def stream(*chunks: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    for chunk in chunks:
        reader.feed_data(chunk)
    reader.feed_eof()
    return reader


async def read_all(reader: asyncio.StreamReader, limit: int = frames.MAX_FRAME) -> list[Frame]:
    found = []
    while (frame := await frames.read(reader, limit)) is not None:
        found.append(frame)
    return found


@settings(max_examples=200, deadline=None)
@given(said=st.lists(FRAMES, max_size=5), data=st.data())
def test_frames_survive_any_way_of_cutting_the_stream(said: list[Frame], data: st.DataObject) -> None:
    raw = b"".join(frames.encode(frame) for frame in said)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    chunks = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]

    async def go() -> list[Frame]:
        return await read_all(stream(*chunks))

    assert run(go()) == said


@settings(max_examples=300, deadline=None)
@given(raw=st.binary(max_size=300))
def test_any_bytes_are_frames_or_a_frame_error(raw: bytes) -> None:
    async def go() -> None:
        with contextlib.suppress(FrameError):
            await read_all(stream(raw))

    run(go())


@settings(max_examples=300, deadline=None)
@given(frame=FRAMES, place=st.integers(0, 2**31), bit=st.integers(0, 7))
def test_a_flipped_bit_is_a_frame_or_a_frame_error(frame: Frame, place: int, bit: int) -> None:
    raw = bytearray(frames.encode(frame))
    raw[place % len(raw)] ^= 1 << bit

    async def go() -> None:
        with contextlib.suppress(FrameError):
            await read_all(stream(bytes(raw)))

    run(go())


@given(size=st.integers(1, 2**32 - 1), limit=st.integers(0, 2**31))
def test_nobody_waits_for_more_than_the_limit(size: int, limit: int) -> None:
    """A length that is too large is refused when it is announced, before a byte of it is kept."""

    async def go() -> None:
        if size > limit:
            with pytest.raises(frames.FrameTooLarge):
                await frames.read(stream(size.to_bytes(4, "big")), limit)
        else:
            assert await frames.read(stream(size.to_bytes(4, "big")), limit) is None

    run(go())


def test_a_body_nested_without_end_is_a_frame_error() -> None:
    deep = b"\x91" * 100_000 + b"\xc0"
    packed = b"\x82\xa4kind\xa4ping\xa4body" + deep

    async def go() -> None:
        with pytest.raises(FrameError):
            await frames.read(stream(len(packed).to_bytes(4, "big") + packed))

    run(go())


@given(hello=st.dictionaries(st.sampled_from(["frames", "oldest", "host", "x"]), PLAIN, max_size=4))
def test_any_hello_is_agreed_or_refused(hello: dict[str, Any]) -> None:
    with contextlib.suppress(FrameError):
        assert frames.OLDEST <= greeting.agree(hello) <= frames.VERSION


@given(name=st.text(max_size=80) | PLAIN)
def test_a_host_name_can_stand_in_a_certificate_and_in_a_path(name: Any) -> None:
    if names.is_host_name(name):
        assert name.isascii()
        assert 0 < len(name) <= 64
        assert not set(name) & set("/\\\0 \n*%:")
        assert name not in (".", "..")


@given(body=PLAIN)
def test_any_error_body_is_an_exception(body: Any) -> None:
    assert isinstance(outcome.from_wire(body), Exception)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://control:8702", ("control", 8702)),
        ("https://control", ("control", 8702)),
        ("control:99", ("control", 99)),
        ("https://[fd00::1]:8702/", ("fd00::1", 8702)),
        ("http://control", None),
        ("https://user@control", None),
        ("https://control/path", None),
        ("https://control:99999", None),
        ("https://", None),
        ("", None),
    ],
)
def test_urls_of_the_control_plane(url: str, place: tuple[str, int] | None) -> None:
    if place is None:
        with pytest.raises(ValueError):  # noqa: PT011
            ways.parse(url)
    else:
        assert ways.parse(url) == place
        assert ways.parse(ways.address(*place)) == place


async def nothing(_verb: str, _body: Any, _op: str) -> None:
    return None


Talk = Callable[[Peer, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[T]]


def with_peer(talk: Talk[T], serve: Any = nothing, **words: Any) -> T:
    """Run `talk` beside a peer at the other end of a socket."""

    async def go() -> T:
        ready: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        server = await asyncio.start_server(lambda r, w: ready.put_nowait((r, w)), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        mine = await asyncio.open_connection("127.0.0.1", port)
        theirs = await ready.get()
        one = Peer(*theirs, serve, lambda _name, _body: None, **words)
        running = asyncio.ensure_future(one.run())
        try:
            return await talk(one, *mine)
        finally:
            one.close()
            mine[1].close()
            server.close()
            await running

    return run(go())


@settings(max_examples=40, deadline=None)
@given(raw=st.binary(min_size=1, max_size=200))
def test_a_peer_outlives_any_bytes(raw: bytes) -> None:
    async def talk(one: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        writer.write_eof()
        await reader.read()
        with pytest.raises(errors.NotReady):
            await one.call("x", {}, timeout=5)

    with_peer(talk)


def test_a_side_that_stops_reading_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "BACKLOG", 1024 * 1024)

    async def talk(one: Peer, _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        for _ in range(2000):
            one.emit("news", {"bytes": bytes(10_000)})
            await asyncio.sleep(0)
            if one._closed:
                return
        raise AssertionError("20 MB wait for nobody")

    with_peer(talk)


def test_a_side_that_asks_too_much_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "MOST_SERVED", 3)
    hold = asyncio.Event()

    async def slow(_verb: str, _body: Any, _op: str) -> int:
        await hold.wait()
        return 1

    async def talk(_one: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(1, 6):
            writer.write(frames.encode(Frame(kind="call", id=number, verb="x", body={})))
        answers = {}
        for _ in range(2):
            frame = await frames.read(reader)
            assert frame is not None
            answers[frame.id] = frame.body["code"]
        assert answers == {4: "TooManyCalls", 5: "TooManyCalls"}
        hold.set()
        rest = [await frames.read(reader) for _ in range(3)]
        assert sorted(frame.id for frame in rest if frame is not None) == [1, 2, 3]

    with_peer(talk, slow)


def test_a_number_that_is_used_twice_ends_the_link() -> None:
    async def slow(_verb: str, _body: Any, _op: str) -> None:
        await asyncio.sleep(30)

    async def talk(_one: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            writer.write(frames.encode(Frame(kind="call", id=7, verb="x", body={})))
        assert await reader.read() == b""

    with_peer(talk, slow)


@pytest.mark.parametrize(
    ("mine", "theirs", "period", "patience"),
    [
        (10.0, 10.0, 10 / 6, 10.0),
        (10.0, 3.0, 0.5, 10.0),  # the other side is less patient: it hears more from us
        (10.0, 60.0, 10 / 6, 10.0),
        (10.0, None, 10 / 6, 60.0),  # the release before pings every ten seconds
        (10.0, "soon", 10 / 6, 60.0),
    ],
)
def test_each_side_hears_often_enough(mine: float, theirs: Any, period: float, patience: float) -> None:
    async def talk(one: Peer, _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> tuple[float, float]:
        return one._ping_period, one._silence

    assert with_peer(talk, silence=mine, theirs=theirs) == pytest.approx((period, patience))


def test_a_half_open_connection_ends_by_silence() -> None:
    async def talk(one: Peer, _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        waiting = asyncio.ensure_future(one.call("x", {}, timeout=30))
        with pytest.raises(errors.NotReady):
            await asyncio.wait_for(waiting, 10)

    with_peer(talk, silence=0.3, theirs=0.3)
