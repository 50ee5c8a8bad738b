# SPDX-License-Identifier: Apache-2.0
"""Websockets of a service: one path, one coroutine that refuses or accepts a client and then passes bytes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs

from cumulet.kernel.errors import CumuletError

if TYPE_CHECKING:
    from cumulet.kernel.cloud import Cloud

LOG = logging.getLogger(__name__)

REFUSED, FAILED = 1008, 1011  # close codes (RFC 6455, 7.4.1): against the rules; a trouble of ours
LARGEST = 1 << 20  # bytes of one message

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
T = TypeVar("T")


@dataclass(frozen=True)
class WebsocketRoute:
    """A path below a service's root, and the coroutine that serves each client there.

    The handler judges the client itself. Whatever it raises before it has accepted answers the client with 403 and
    nothing more; afterwards it ends the connection.
    """

    path: str
    handler: Callable[[Websocket], Awaitable[None]]


class Websocket:
    """One client. `headers` have lower-case names; `query` has the last value of each name."""

    def __init__(self, cloud: Cloud, scope: Mapping[str, Any], receive: Receive, send: Send, pool: Executor) -> None:
        self.cloud = cloud
        self.scheme = "https" if scope["scheme"] == "wss" else "http"
        self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        words = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        self.query = {name: values[-1] for name, values in words.items()}
        self.protocols: list[str] = list(scope["subprotocols"])
        self.accepted = False
        self._receive = receive
        self._send = send
        self._pool = pool

    async def run(self, fn: Callable[..., T], *args: Any) -> T:
        """Call plain `fn`, which may query, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, fn, *args)

    async def accept(self, protocol: str | None = None) -> None:
        """Take the client, with one of the `protocols` that it knows."""
        await self._send({"type": "websocket.accept", "subprotocol": protocol, "headers": []})
        self.accepted = True

    async def receive(self) -> bytes | None:
        """The next message, text as UTF-8; None where the client has left."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            return None
        data = message.get("bytes")
        return bytes(data) if data is not None else str(message.get("text", "")).encode()

    async def send(self, data: bytes) -> None:
        """Send one binary message; waits while the client takes none. OSError where it has left."""
        await self._send({"type": "websocket.send", "bytes": data})

    async def close(self, code: int = 1000) -> None:
        await self._send({"type": "websocket.close", "code": code})


async def serve(websocket: Websocket, handler: Callable[[Websocket], Awaitable[None]]) -> None:
    """Let `handler` serve the client, and take leave of it."""
    code = 1000
    try:
        await handler(websocket)
    except CumuletError as error:
        LOG.info("a websocket was refused: %s", error.message)
        code = REFUSED
    except OSError:
        code = FAILED
    except Exception:
        LOG.exception("a websocket failed")
        code = FAILED
    try:
        await websocket.close(code)
    except (OSError, RuntimeError):
        LOG.debug("a websocket was closed by its client")


def protocol(*args: Any, **kwargs: Any) -> asyncio.Protocol:
    """The server's side of the protocol for a connection that asks for it; its library is loaded with the first."""
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    return WebSocketsSansIOProtocol(*args, **kwargs)
