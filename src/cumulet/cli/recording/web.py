# SPDX-License-Identifier: Apache-2.0
"""A web server of one play, on loopback: what clouds are asked to fetch from elsewhere, they fetch from it."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGES = {"/words": b"sixteen letters!", "/more": b"more words than sixteen letters"}


class _Pages(BaseHTTPRequestHandler):
    """Serves PAGES; whatever else is asked for is not there."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, *words: object) -> None:
        """Nobody reads what was asked."""

    def _answer(self, *, with_body: bool) -> None:
        found = PAGES.get(self.path)
        page = found or b"not here"
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        if with_body:
            self.wfile.write(page)


class Web:
    """The server; `url` is its root until it is closed."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
