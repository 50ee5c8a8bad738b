# SPDX-License-Identifier: Apache-2.0
"""The head of an answer and its body leave together: one send, and the client wakes up once."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST = 64 * 1024  # bytes: more is not held back, nor copied for the sake of a send


class Gathering:
    """A transport that holds back what is written, `MOST` bytes of it, until the end of the loop's turn."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        if self._size + len(data) > MOST:
            self._send()
            self._transport.write(data)
            return
        if not self._held:
            self._loop.call_soon(self._send)
        self._held.append(data)
        self._size += len(data)

    def close(self) -> None:
        """Send what is held back, and close as the transport does."""
        self._send()
        self._transport.close()

    def take(self) -> bytes:
        """What is held back, which whoever takes it sends in another way."""
        held, self._held, self._size = self._held, [], 0
        return b"".join(held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _send(self) -> None:
        if self._held:
            self._transport.write(self.take())


class GatheringProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, on a transport that gathers."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        gathering = Gathering(cast(asyncio.Transport, transport), self.loop)
        super().connection_made(cast(asyncio.Transport, gathering))
