# SPDX-License-Identifier: Apache-2.0
"""Images on web servers: read by ranges where there are any, and only from where that is allowed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cumulet.kernel.errors import NotFound, NotReady
from cumulet.services.image.drivers.base import ReadableStore
from cumulet.services.image.drivers.http import HttpStore
from cumulet.services.image.drivers.web import Filter

CONTENT = bytes(range(256)) * 20_000


class Server(BaseHTTPRequestHandler):
    """`/ranges` and `/whole` hold the content, `/to/URL` sends on, `/endless` does so for ever, `/cut` breaks off."""

    protocol_version = "HTTP/1.1"
    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *words: object) -> None:
        """Nothing is said."""

    def _answer(self, *, body: bool) -> None:
        self.server.asked.append(f"{self.command} {self.path} {self.headers.get('range', '')}".strip())
        if self.path.startswith("/to/"):
            self._end(302, location=self.path.removeprefix("/to/"))
        elif self.path == "/odd":
            self._end(303, location="/whole")
        elif self.path == "/endless":
            self._end(301, location="/endless")
        elif self.path == "/unknown-length":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
        elif self.path in ("/ranges", "/whole", "/cut"):
            self._send(body=body)
        else:
            self._end(404)

    def _send(self, *, body: bool) -> None:
        asked = self.headers.get("range") if self.path == "/ranges" else None
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if start >= len(CONTENT):
            self._end(416)
            return
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        if body:
            end = 1000 if self.path == "/cut" else len(CONTENT)
            with suppress(ConnectionError):  # who asked may have enough
                self.wfile.write(CONTENT[start:end])
            self.close_connection = self.path == "/cut"

    def _end(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadingHTTPServer]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def base(server: ThreadingHTTPServer) -> str:
    server.asked = []
    return f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def store(server: ThreadingHTTPServer) -> ReadableStore:
    return HttpStore(Filter(allowed_hosts=("127.0.0.1",), allowed_ports=(server.server_port,)), timeout=10)


@pytest.mark.parametrize("path", ["/ranges", "/whole", "/to//ranges"])
def test_bytes_are_read_where_they_are(store: ReadableStore, base: str, path: str) -> None:
    key = base + path
    assert store.size(key) == len(CONTENT)
    assert store.read(key, 0, 1000) == CONTENT[:1000]
    assert store.read(key, 1_000_000, 7) == CONTENT[1_000_000:1_000_007]
    assert store.read(key, len(CONTENT) - 3, 10) == CONTENT[-3:]
    assert store.read(key, len(CONTENT), 10) == b""


def test_reading_on_asks_once(store: ReadableStore, base: str, server: ThreadingHTTPServer) -> None:
    key = base + "/ranges"
    pieces = [store.read(key, offset, 1 << 20) for offset in range(0, len(CONTENT), 1 << 20)]
    assert b"".join(pieces) == CONTENT
    assert server.asked == ["GET /ranges"]


def test_what_is_not_there_is_told(store: ReadableStore, base: str) -> None:
    with pytest.raises(NotFound):
        store.size(base + "/nothing")
    for path in ("/endless", "/odd", "/unknown-length"):
        with pytest.raises(NotReady):
            store.size(base + path)


def test_an_answer_that_breaks_off_is_short(store: ReadableStore, base: str) -> None:
    assert len(store.read(base + "/cut", 0, 5000)) <= 1000


def test_only_allowed_places_are_asked(store: ReadableStore, base: str, server: ThreadingHTTPServer) -> None:
    port = server.server_port
    elsewhere = HttpStore(Filter(allowed_ports=(port,)), timeout=10)
    for refused in (base, f"http://localhost:{port}", f"http://[::1]:{port}", f"http://127.1:{port}"):
        with pytest.raises(NotReady):
            elsewhere.size(f"{refused}/ranges")
    for target in ("http://169.254.169.254/latest", f"http://localhost:{port}/ranges", "file:///etc/passwd"):
        with pytest.raises(NotReady):
            store.size(f"{base}/to/{target}")
    assert [line for line in server.asked if "/to/" not in line] == []


def test_addresses_of_the_web_alone(store: ReadableStore, base: str) -> None:
    assert store.key_of(f"{base}/x#y") == f"{base}/x#y" == store.url(f"{base}/x#y")
    for other in (
        "file:///etc/passwd",
        "http://name:word@example.org/",
        "ftp://example.org/x",
        "http://",
        "x",
        "http://[",
    ):
        assert store.key_of(other) is None
    assert not store.capabilities.anywhere
