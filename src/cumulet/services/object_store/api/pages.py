# SPDX-License-Identifier: Apache-2.0
"""What lies before the store's API on its port: pages of the process, and an answer while there is no store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from cumulet.kernel import metrics

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Metrics = Callable[[], Awaitable[str]]

_JSON = "application/json"


class Front:
    """The API once `serve` was called; until then every request is answered 503."""

    def __init__(self) -> None:
        self._app: Application | None = None

    def serve(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            words = b"This host has no rings of its object store yet.\n"
            await _answer(scope, send, 503, words, "text/plain", [(b"retry-after", b"5")])


class Pages:
    """The pages of the process beside the store's API; `metrics` tells those of all workers.

    A bucket may be called as they are: whoever signs a request or asks for more than the page means the bucket.
    """

    def __init__(self, app: Application, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" and scope["method"] in ("GET", "HEAD") else ""
        if path not in ("/healthz", "/metrics") or scope["query_string"] or _is_signed(scope):
            await self._app(scope, receive, send)
        elif path == "/healthz":
            await _answer(scope, send, 200, b'{"status": "alive"}', _JSON)
        else:
            await _answer(scope, send, 200, (await self._metrics()).encode(), metrics.CONTENT_TYPE)


async def _answer(
    scope: Scope, send: Send, status: int, body: bytes, kind: str, more: list[tuple[bytes, bytes]] | None = None
) -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode()), *(more or [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _is_signed(scope: Scope) -> bool:
    return any(name == b"authorization" for name, _ in scope["headers"])
