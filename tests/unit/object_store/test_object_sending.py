# SPDX-License-Identifier: Apache-2.0
"""Bodies that the kernel sends out of their files: what clients get that are quick, slow, gone, or ask for several."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from cumulet.services.object_store.api import sending
from cumulet.services.object_store.drivers.local import files
from cumulet.services.object_store.drivers.local.device import LocalDevice
from cumulet.services.object_store.drivers.local.index import LocalIndex
from cumulet.services.object_store.engine.cluster import Cluster
from cumulet.services.object_store.engine.places import Node, Rings, where
from support.object_store import ACCOUNT, POLICIES, ObjectStore, ring_of, serving
from support.waiting import until

BODY = os.urandom(1 << 20) * 12  # more than both ends of a connection hold
SMALL = b"0123456789"
NAMES = ("d0", "d1")


class Counted:
    """`os.sendfile` as the store uses it: how many bytes it sent, and where the file fails it (-1: never)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent, self.fails_at = 0, -1
        self._real, self._guard = sending._sendfile, threading.Lock()
        monkeypatch.setattr(sending, "_sendfile", self)

    def __call__(self, out: int, file: int, offset: int, length: int) -> int:
        if self.fails_at >= 0:
            if offset >= self.fails_at:
                return 0
            length = min(length, self.fails_at - offset)
        done = self._real(out, file, offset, length)
        with self._guard:
            self.sent += done
        return done

    def has_sent(self, count: int) -> None:
        """A thread counts what it has sent when the client may have it already."""
        until(lambda: self.sent == count)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """On two folders, with `big` and `small` in `box`."""
    folder = tmp_path_factory.mktemp("sending")
    with serving(lambda: on_folders(folder)) as made:
        client = made.client()
        assert client.put("/box").status_code == 201
        for name, body in (("big", BODY), ("small", SMALL)):
            assert client.put(f"/box/{name}", content=body).status_code == 201
        yield made


def on_folders(folder: Path) -> Cluster:
    ring, known = ring_of(NAMES, 2)
    rings = Rings(account=ring, container=ring, objects={0: ring, 1: ring}, prefix="secret", suffix="end")
    nodes = {}
    for each in known:
        root = folder / each.device
        root.mkdir()
        files.make(root, each.device)
        device = LocalDevice(root, each.device, asyncio.get_running_loop(), durable=False)
        nodes[where(each)] = Node(objects=device, indexes=LocalIndex(root, durable=False))
    cluster = Cluster(POLICIES, rings, nodes)
    close = cluster.close

    async def close_all() -> None:
        await close()
        for node in nodes.values():
            await node.indexes.close()
            await node.objects.close()

    cluster.close = close_all  # type: ignore[method-assign]
    return cluster


class Talk:
    """A connection whose answers are read when the test says so."""

    def __init__(self, store: ObjectStore, room: int = 0) -> None:
        self.socket = socket.socket()
        if room:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", store.port))
        self._file: BinaryIO = self.socket.makefile("rb")

    def ask(self, *requests: str, version: str = "1.1", more: str = "") -> None:
        """`GET name`, all of them at once."""
        words = ""
        for each in requests:
            method, _, name = each.partition(" ")
            path = f"/v1/{ACCOUNT}/box/{name}"
            words += f"{method} {path} HTTP/{version}\r\nHost: here\r\nX-Auth-Token: member\r\n{more}\r\n"
        self.socket.sendall(words.encode())

    def answer(self, *, body: bool = True) -> tuple[int, dict[str, str], bytes]:
        status = int(self._file.readline().split()[1])
        headers = {}
        while (line := self._file.readline()) != b"\r\n":
            name, _, words = line.decode().partition(":")
            headers[name.lower()] = words.strip()
        return status, headers, self._file.read(int(headers["content-length"])) if body else b""

    def get(self, name: str, **more: str) -> tuple[int, dict[str, str], bytes]:
        self.ask(f"GET {name}", **more)
        return self.answer()

    def is_over(self) -> bool:
        return self._file.read(1) == b""

    def close(self) -> None:
        self._file.close()
        self.socket.close()


@pytest.fixture
def talk(store: ObjectStore) -> Iterator[Talk]:
    with closing(Talk(store)) as made:
        yield made


def test_a_kept_connection_gets_one_body_after_the_other(talk: Talk, counted: Counted) -> None:
    for name, body in (("big", BODY), ("small", SMALL), ("big", BODY)):
        status, headers, got = talk.get(name)
        assert (status, got == body) == (200, True)
        assert headers["content-length"] == str(len(body))
    counted.has_sent(2 * len(BODY))


def test_answers_to_requests_that_came_at_once_keep_their_order(talk: Talk, counted: Counted) -> None:
    talk.ask("GET small", "GET big", "HEAD big", "GET big", "GET small")
    for body in (SMALL, BODY, None, BODY, SMALL):
        status, headers, got = talk.answer(body=body is not None)
        assert status == 200
        assert headers["content-length"] == str(len(BODY if body is None else body))
        assert body is None or got == body
    counted.has_sent(2 * len(BODY))


@pytest.mark.parametrize(
    ("asked", "first", "last", "is_sent"),
    [
        ("0-0", 0, 1, False),
        ("100000-9999999", 100_000, 10_000_000, True),
        ("-5000000", len(BODY) - 5_000_000, None, True),
    ],
    ids=["a byte", "the middle", "the end"],
)
def test_a_part_is_that_part(
    talk: Talk, counted: Counted, asked: str, first: int, last: int | None, is_sent: bool
) -> None:
    status, headers, got = talk.get("big", more=f"Range: bytes={asked}\r\n")
    assert (status, got == BODY[first:last]) == (206, True)
    assert headers["content-range"] == f"bytes {first}-{first + len(got) - 1}/{len(BODY)}"
    counted.has_sent(len(got) if is_sent else 0)


def test_several_parts_come_between_their_boundaries(talk: Talk, counted: Counted) -> None:
    status, headers, got = talk.get("big", more="Range: bytes=0-199999,1000000-1199999\r\n")
    assert status == 206
    assert headers["content-type"].startswith("multipart/byteranges")
    assert BODY[:200_000] in got
    assert BODY[1_000_000:1_200_000] in got
    counted.has_sent(0)


@pytest.mark.parametrize(("version", "more"), [("1.1", "Connection: close\r\n"), ("1.0", "")], ids=["close", "1.0"])
def test_a_connection_that_is_not_kept_ends_behind_the_body(
    talk: Talk, counted: Counted, version: str, more: str
) -> None:
    status, _, got = talk.get("big", version=version, more=more)
    assert (status, got == BODY) == (200, True)
    assert talk.is_over()
    counted.has_sent(len(BODY))


def test_clients_that_do_not_read_keep_nobody_waiting_and_get_it_all(store: ObjectStore, counted: Counted) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(Talk(store, room=65536))) for _ in range(2 * sending.THREADS)]
        for each in slow:
            each.ask("GET big")
        with closing(Talk(store)) as quick:
            assert quick.get("big")[2] == BODY
            assert quick.get("small")[2] == SMALL
        assert [each.answer()[2] == BODY for each in slow] == [True] * len(slow)
    counted.has_sent((len(slow) + 1) * len(BODY))


def test_what_is_deleted_or_replaced_meanwhile_is_sent_as_it_was(store: ObjectStore, counted: Counted) -> None:
    client = store.client()
    for change in (lambda: client.put("/box/other", content=SMALL), lambda: client.delete("/box/other")):
        assert client.put("/box/other", content=BODY).status_code == 201
        with closing(Talk(store, room=65536)) as slow:
            slow.ask("GET other")
            until(lambda: counted.sent > 0)
            assert change().status_code in (201, 204)
            assert slow.answer()[2] == BODY
        counted.sent = 0


@pytest.mark.parametrize("fails_at", [0, 5_000_001], ids=["at once", "on the way"])
def test_where_the_file_fails_the_rest_comes_in_pieces(talk: Talk, counted: Counted, fails_at: int) -> None:
    counted.fails_at = fails_at
    status, _, got = talk.get("big")
    assert (status, got == BODY) == (200, True)
    counted.has_sent(fails_at)
    counted.fails_at = -1
    assert talk.get("big")[2] == BODY


@pytest.mark.parametrize("way", ["hangs up", "resets", "ends its side"])
def test_a_client_that_goes_away_leaves_nothing_open(store: ObjectStore, counted: Counted, way: str) -> None:
    until(lambda: _open_files() == _settled(store))
    before = _open_files()
    gone = Talk(store, room=65536)
    gone.ask("GET big")
    until(lambda: counted.sent > 0)
    if way == "resets":
        gone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    if way == "ends its side":
        gone.socket.shutdown(socket.SHUT_WR)
        until(lambda: _open_files() <= before + 1)
    gone.close()
    until(lambda: _open_files() <= before)
    with closing(Talk(store)) as other:
        assert other.get("small")[2] == SMALL


def _settled(store: ObjectStore) -> int:
    """How many files are open once connections of earlier tests have been let go of."""
    with closing(Talk(store)) as talk:
        talk.get("small", more="Connection: close\r\n")
        assert talk.is_over()
    return _open_files()


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_the_loop_that_production_has_sends_the_same(tmp_path: Path, counted: Counted, monkeypatch: Any) -> None:
    import uvloop

    monkeypatch.setattr(asyncio, "run", lambda work: asyncio.Runner(loop_factory=uvloop.new_event_loop).run(work))
    with serving(lambda: on_folders(tmp_path)) as store:
        client = store.client()
        assert client.put("/box").status_code == 201
        assert client.put("/box/big", content=BODY).status_code == 201
        assert client.put("/box/small", content=SMALL).status_code == 201
        with closing(Talk(store, room=65536)) as talk:
            talk.ask("GET small", "GET big", "GET small")
            assert [talk.answer()[2] for _ in range(3)] == [SMALL, BODY, SMALL]
    counted.has_sent(len(BODY))
