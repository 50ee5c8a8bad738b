# SPDX-License-Identifier: Apache-2.0
"""A web server on loopback that gives out what a test puts there, and remembers what it was asked."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Page(NamedTuple):
    """What a path answers. `length` is what is said of the body's size: the truth where None, nothing where -1.

    The last byte of the body is held back until `gate` is open.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = {}
    length: int | None = None
    gate: threading.Event | None = None


class WebServer:
    """`pages` by path; `asked` are the paths and headers (by lower-case names) of the requests so far."""

    def __init__(self, host: str, tls: ssl.SSLContext | None) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.server = ThreadingHTTPServer((host, 0), type("Handler", (_Handler,), {"web": self}))
        self.port: int = self.server.server_address[1]
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{'http' if tls is None else 'https'}://{host}:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    web: WebServer

    def do_GET(self) -> None:
        self.web.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        page = self.web.pages.get(self.path, Page(status=404))
        self.send_response(page.status)
        for name, value in page.headers.items():
            self.send_header(name, value)
        if page.length != -1:
            self.send_header("Content-Length", str(len(page.body) if page.length is None else page.length))
        self.end_headers()
        self.wfile.write(memoryview(page.body)[:-1])
        if page.gate is not None:
            self.wfile.flush()
            page.gate.wait(60)
        with suppress(OSError):  # nobody may be there any more
            self.wfile.write(page.body[-1:])

    def log_message(self, *words: object) -> None:
        """Tests say what went wrong themselves."""


@contextmanager
def serve(host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    """The server, for as long as it is wanted; with `tls` it speaks HTTPS."""
    web = WebServer(host, tls)
    thread = threading.Thread(target=web.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        web.server.shutdown()
        web.server.server_close()
        thread.join(10)
