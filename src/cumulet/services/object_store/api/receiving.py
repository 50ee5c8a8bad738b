# SPDX-License-Identifier: Apache-2.0
"""Large pieces of bodies straight out of their sockets: one wake-up for what else comes in a dozen reads."""

from __future__ import annotations

import asyncio
import os
import socket

from cumulet.services.object_store.api.message import Gone


class Receiving:
    """From a socket that does not block, and that nobody else reads from meanwhile.

    It has a descriptor of its own: whatever is closed meanwhile, it never meets a number that means something else.
    To be closed.
    """

    def __init__(self, sock: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=os.dup(sock))  # of any family
        self._come: asyncio.Future[None] | None = None
        self._waits = False
        self._stopped = False

    async def piece(self, size: int) -> bytes:
        """The next bytes, up to `size` of them, and mostly so many. Gone where the client is, or after `stop`."""
        while not self._stopped:
            try:
                data = self._socket.recv(size)
            except BlockingIOError:
                await self._readable(size)
                continue
            except OSError as error:
                raise Gone("the client went away") from error
            if not data:
                break
            return data
        raise Gone("the client went away")

    def stop(self) -> None:
        """The connection is lost."""
        self._stopped = True
        self._wake()

    def close(self) -> None:
        if self._waits:
            self._wake_at(1)
        self._socket.close()

    async def _readable(self, size: int) -> None:
        """Until so much has come, or the end; the kernel takes less for enough where it has no room for more."""
        self._waits = True
        self._wake_at(size)
        self._come = self._loop.create_future()
        self._loop.add_reader(self._socket.fileno(), self._wake)
        try:
            await self._come
        finally:
            self._loop.remove_reader(self._socket.fileno())
            self._come = None

    def _wake_at(self, size: int) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)

    def _wake(self) -> None:
        if self._come is not None and not self._come.done():
            self._come.set_result(None)
