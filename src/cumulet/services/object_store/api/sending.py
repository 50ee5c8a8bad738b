# SPDX-License-Identifier: Apache-2.0
"""Bytes of files to clients without a copy: threads have the kernel send them, the loop waits for slow clients."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from concurrent.futures import Future, ThreadPoolExecutor

from cumulet.services.object_store.api.message import Gone

THREADS = 8
TURN = 16 << 20  # bytes that a thread sends at once, so that others come to their turn
MOMENT = 2  # milliseconds that a thread waits for a client: a quick one costs no way back to the loop

_POOL = ThreadPoolExecutor(THREADS, "object-send")


class Sending:
    """From an open file to a socket that does not block, behind the bytes of `head`.

    It has descriptors of its own: whatever is closed meanwhile, no thread meets a number that means something else.
    To be closed.
    """

    def __init__(self, sock: int, file: int, head: bytes = b"") -> None:
        self._loop = asyncio.get_running_loop()
        self._head = head
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=os.dup(sock))  # of any family
        try:
            self._file = os.dup(file)
        except OSError:
            self._socket.close()
            raise
        self._turn: Future[tuple[int, bool]] | None = None
        self._room: asyncio.Future[None] | None = None
        self._stopped = False

    async def send(self, offset: int, length: int) -> int:
        """How many bytes went from `offset` on: fewer where the file ends early or its disk fails.

        Gone where the client is, or after `stop`.
        """
        sent = 0
        while True:
            if self._stopped:
                raise Gone("the client went away")
            try:
                self._turn = _POOL.submit(self._step, offset + sent, min(TURN, length - sent))
                done, is_full = await asyncio.wrap_future(self._turn)
            except OSError as error:
                raise Gone("the client went away") from error
            sent += done
            if is_full:
                await self._writable()
            elif sent == length or not done:
                return sent

    def stop(self) -> None:
        """The connection is lost."""
        self._stopped = True
        self._wake()

    def close(self) -> None:
        if self._turn is None:
            self._drop()
        else:
            self._turn.add_done_callback(lambda _: self._drop())

    def _drop(self) -> None:
        self._socket.close()
        os.close(self._file)

    async def _writable(self) -> None:
        self._room = self._loop.create_future()
        self._loop.add_writer(self._socket.fileno(), self._wake)
        try:
            if not self._stopped:
                await self._room
        finally:
            self._loop.remove_writer(self._socket.fileno())
            self._room = None

    def _wake(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _step(self, offset: int, length: int) -> tuple[int, bool]:
        """In a thread: how many bytes of the file went, and whether the client has to be waited for."""
        sent = 0
        while True:
            try:
                while self._head:
                    self._head = self._head[self._socket.send(self._head, socket.MSG_MORE) :]
                done = _sendfile(self._socket.fileno(), self._file, offset + sent, length - sent)
            except BlockingIOError:
                if not self._has_room():
                    return sent, True
                continue
            sent += done
            if sent == length or not done:
                return sent, False

    def _has_room(self) -> bool:
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        return bool(poll.poll(MOMENT))


def _sendfile(out: int, file: int, offset: int, length: int) -> int:
    """0 where the file gives nothing; errors are the socket's."""
    try:
        return os.sendfile(out, file, offset, length)
    except (ConnectionError, TimeoutError, BlockingIOError):
        raise
    except OSError:
        return 0
