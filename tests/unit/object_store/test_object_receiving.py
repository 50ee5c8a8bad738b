# SPDX-License-Identifier: Apache-2.0
"""Bodies on their way in, past the parser of HTTP: whole in whatever pieces they come, and nothing behind them lost."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import BinaryIO

import pytest

from cumulet.services.object_store.api.receiving import Receiving
from support.object_store import ACCOUNT, ObjectStore, serving

BODY = os.urandom(3_000_000)
LINE = "\r\nHost: here\r\nX-Auth-Token: member\r\n"


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with serving() as made:
        assert made.client().put("/box").status_code == 201
        yield made


class Talk:
    """A connection."""

    def __init__(self, store: ObjectStore) -> None:
        self.socket = socket.create_connection(("127.0.0.1", store.port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file: BinaryIO = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        status = int(self._file.readline().split()[1])
        headers = {}
        while (line := self._file.readline()) != b"\r\n":
            name, _, words = line.decode().partition(":")
            headers[name.lower()] = words.strip()
        return status, headers, self._file.read(int(headers.get("content-length", "0")))

    def close(self) -> None:
        self._file.close()
        self.socket.close()


@pytest.fixture
def talk(store: ObjectStore) -> Iterator[Talk]:
    with closing(Talk(store)) as made:
        yield made


def put(name: str, body: bytes, more: str = "", container: str = "box") -> bytes:
    return (
        f"PUT /v1/{ACCOUNT}/{container}/{name} HTTP/1.1{LINE}{more}Content-Length: {len(body)}\r\n\r\n".encode() + body
    )


def get(name: str) -> bytes:
    return f"GET /v1/{ACCOUNT}/box/{name} HTTP/1.1{LINE}\r\n".encode()


def cuts(data: bytes, places: Sequence[int]) -> Iterator[bytes]:
    ends = [*places, len(data)]
    return (data[first:last] for first, last in zip([0, *places], ends, strict=True))


@pytest.mark.parametrize(
    "places",
    [[], [300], [300, 301, 302], [100_000, 1_500_000], [-1], [-2_000_000, -1_999_999]],
    ids=["at once", "behind the head", "bytes", "halves", "the last byte", "from the middle"],
)
def test_a_body_is_whole_and_what_comes_behind_it_is_answered(talk: Talk, places: list[int]) -> None:
    request = put("a", BODY)
    behind = get("a") + put("b", b"small") + get("b")
    for part in cuts(request, [place % len(request) for place in places]):
        talk.send(part)
    talk.send(behind)
    status, headers, _ = talk.answer()
    assert (status, headers["etag"]) == (201, hashlib.md5(BODY, usedforsecurity=False).hexdigest())
    assert talk.answer()[2] == BODY
    assert talk.answer()[0] == 201
    assert talk.answer()[2] == b"small"


def test_all_of_it_may_come_in_one_piece_with_what_is_behind(talk: Talk) -> None:
    talk.send(put("a", BODY) + put("b", BODY[:100_000]) + get("a") + get("b") + put("c", b"") + get("c"))
    assert [talk.answer()[0] for _ in range(2)] == [201, 201]
    assert [talk.answer()[2] for _ in range(2)] == [BODY, BODY[:100_000]]
    assert talk.answer()[0] == 201
    assert talk.answer()[2] == b""


def test_a_refusal_before_the_body_has_come_leaves_the_connection_good(talk: Talk) -> None:
    request = put("a", BODY, container="nowhere")
    talk.send(request[:100_000])
    assert talk.answer()[0] == 404
    talk.send(request[100_000:] + get("nothing"))
    assert talk.answer()[0] == 404
    talk.send(put("b", BODY) + get("b"))
    assert talk.answer()[0] == 201
    assert talk.answer()[2] == BODY


def test_a_body_that_waits_for_leave_comes_then(talk: Talk) -> None:
    head, body = put("a", BODY, "Expect: 100-continue\r\n").split(b"\r\n\r\n", 1)
    talk.send(head + b"\r\n\r\n")
    assert talk.answer()[0] == 100
    talk.send(body)
    assert talk.answer()[0] == 201


def test_a_body_in_chunks_ends_where_it_says(talk: Talk) -> None:
    head = f"PUT /v1/{ACCOUNT}/box/a HTTP/1.1{LINE}Transfer-Encoding: chunked\r\n\r\n".encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in cuts(BODY, [10, 100_000, 2_000_000]))
    for part in cuts(head + chunks + b"0\r\n\r\n" + get("a"), [400, 150_000, 2_500_000]):
        talk.send(part)
    assert talk.answer()[0] == 201
    assert talk.answer()[2] == BODY


def test_most_of_a_large_body_comes_out_of_the_socket_in_large_pieces(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = Receiving.piece, []

    async def piece(receiving: Receiving, size: int) -> bytes:
        seen.append(await real(receiving, size))
        return seen[-1]

    monkeypatch.setattr(Receiving, "piece", piece)
    talk.send(put("a", BODY * 4) + get("a"))
    assert talk.answer()[0] == 201
    assert talk.answer()[2] == BODY * 4
    whole = b"".join(seen)
    assert len(whole) > 9_000_000
    assert whole in BODY * 4


def test_a_large_body_that_nobody_reads_to_its_end_leaves_the_connection_good(talk: Talk) -> None:
    head = f"POST /v1/{ACCOUNT}?bulk-delete HTTP/1.1{LINE}Content-Length: {len(BODY)}\r\n\r\n".encode()
    talk.send(head + BODY.replace(b"\n", b" ") + get("nothing"))
    said = b""
    while b"\r\nHTTP/1.1 404 " not in said:  # the first answer is in chunks
        more = talk.socket.recv(1 << 16)
        assert more
        said += more


@pytest.mark.parametrize("end", ["close", "shutdown"])
def test_a_client_that_goes_away_in_the_middle_leaves_no_object(store: ObjectStore, end: str) -> None:
    gone = Talk(store)
    gone.send(put("gone", BODY)[:1_000_000])
    if end == "shutdown":
        gone.socket.shutdown(socket.SHUT_WR)
        gone.socket.recv(1 << 16)  # until the server has seen it
    gone.close()
    with closing(Talk(store)) as other:
        other.send(get("gone"))
        assert other.answer()[0] == 404


@pytest.mark.parametrize(("method", "status"), [("PUT", 201), ("POST", 404), ("COPY", 412), ("PURGE", 405)])
def test_methods_and_paths_behind_a_body_are_read_as_before(talk: Talk, method: str, status: int) -> None:
    path = f"/v1/{ACCOUNT}/box/\u00e4-{method}"  # not written with percent signs
    talk.send(put("a", BODY) + f"{method} {path} HTTP/1.1{LINE}Content-Length: 0\r\n\r\n".encode())
    assert [talk.answer()[0] for _ in range(2)] == [201, status]
