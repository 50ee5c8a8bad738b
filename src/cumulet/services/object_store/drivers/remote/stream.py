# SPDX-License-Identifier: Apache-2.0
"""One end of an exchange, on a stream that it shares with others."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol, cast

from cumulet.kernel.errors import TooLarge
from cumulet.kernel.link.frames import FrameError
from cumulet.services.object_store.drivers.remote.framing import (
    CREDIT,
    LENGTH,
    MESSAGES,
    MOST_MESSAGE,
    SLICE,
    SMALL,
    Kind,
    Message,
    lost,
)


class Line(Protocol):
    """What an exchange needs of the stream that it is on."""

    loop: asyncio.AbstractEventLoop
    first_credit: int  # bytes of a body that the other side takes before it grants any

    def put(self, kind: Kind, id_: int, size: int, payload: tuple[bytes, ...]) -> None: ...

    async def put_in_turn(self, kind: Kind, id_: int, payload: memoryview) -> None: ...

    def window(self) -> int: ...

    def forget(self, stream: Stream) -> bool: ...

    def fail(self, why: str) -> None: ...


class Stream:
    """One end of an exchange. One task takes from it, one sends."""

    __slots__ = ("_allowed", "_arrived", "_credit", "_error", "_inbox", "_line", "_queued", "_woken", "id")

    def __init__(self, line: Line, id_: int) -> None:
        self.id = id_
        self._line = line
        self._inbox: deque[bytes | Message] = deque()
        self._queued = 0  # bytes of bodies in it
        self._allowed = CREDIT  # bytes that the other side may still send
        self._credit = line.first_credit  # bytes that we may still send
        self._error: Exception | None = None
        self._arrived: asyncio.Future[None] | None = None
        self._woken: asyncio.Future[None] | None = None

    async def take(self, most: int = 0) -> bytes | Message:
        """What came next, pieces of a body together up to `most` bytes. Raises the error that ended the exchange."""
        while not self._inbox:
            if self._error is not None:
                raise self._error
            self._arrived = self._line.loop.create_future()
            try:
                await self._arrived
            finally:
                self._arrived = None
        item = self._inbox.popleft()
        if isinstance(item, Message):
            return item
        if len(item) < most and self._inbox and not isinstance(self._inbox[0], Message):
            item = self._joined(item, most)
        self._queued -= len(item)
        self._grant()
        return item

    async def reply(self) -> Message:
        """The answer that comes next. FrameError for anything else."""
        item = await self.take()
        if not isinstance(item, Message):
            self._line.fail("a body came where an answer was due")
            raise lost("it does not answer as it should")
        return item

    def widen(self) -> None:
        """Have a body come as fast as it can."""
        self._grant()

    async def send(self, data: bytes) -> None:
        """A piece of a body, when the other side takes it in. Raises the error that ended the exchange."""
        view = memoryview(data)
        while view:
            while not self._credit and self._error is None:
                self._woken = self._line.loop.create_future()
                try:
                    await self._woken
                finally:
                    self._woken = None
            if self._error is not None:
                raise self._error
            piece = view[: min(self._credit, SLICE)]
            self._credit -= len(piece)
            await self._line.put_in_turn(Kind.DATA, self.id, piece)
            view = view[len(piece) :]

    async def say(self, kind: Kind, head: bytes, body: bytes = b"") -> None:
        """Send a message. TooLarge where it is longer than one may be."""
        payload = (LENGTH.pack(len(head)), head, body)
        size = LENGTH.size + len(head) + len(body)
        if size <= SLICE:
            self._line.put(kind, self.id, size, payload)
            return
        if size > MOST_MESSAGE:
            raise TooLarge(f"{size} bytes are too many for one call or answer.", code="FrameTooLarge")
        view = memoryview(b"".join(payload))
        self._line.put(Kind.PART, self.id, 0, ())  # exchanges are begun in the order of their numbers
        while len(view) > SLICE:
            await self._line.put_in_turn(Kind.PART, self.id, view[:SLICE])
            view = view[SLICE:]
        await self._line.put_in_turn(kind, self.id, view)

    def close(self, *, reset: bool = False) -> None:
        """End it here, and with a `reset` there. Whoever still waits on it is told."""
        if self._line.forget(self) and reset:
            self._line.put(Kind.RESET, self.id, 0, ())
        self.fail(lost("it was closed"))

    def fail(self, error: Exception) -> None:
        """End it with `error` for whoever takes or sends; what came before that may still be taken."""
        if self._error is None:
            self._error = error
            wake(self._arrived)
            wake(self._woken)

    def came(self, item: bytes | Message) -> None:
        """Something for it. FrameError where it is more than was granted."""
        if not isinstance(item, Message):
            self._allowed -= len(item)
            if self._allowed < 0:
                raise FrameError("more of a body came than was asked for")
            self._queued += len(item)
            last = self._inbox[-1] if self._inbox else None
            if isinstance(last, bytes) and len(last) + len(item) <= SMALL:
                self._inbox[-1] = last + item
                return
        elif len(self._inbox) > MESSAGES:
            raise FrameError("more was said than was asked for")
        self._inbox.append(item)
        wake(self._arrived)

    def granted(self, size: int) -> None:
        self._credit += size
        wake(self._woken)

    def _grant(self) -> None:
        window = self._line.window()
        more = window - self._allowed - self._queued
        if more >= window // 4 and self._error is None:
            self._allowed += more
            self._line.put(Kind.CREDIT, self.id, LENGTH.size, (LENGTH.pack(more),))

    def _joined(self, first: bytes, most: int) -> bytes:
        pieces, size = [first], len(first)
        while self._inbox and not isinstance(self._inbox[0], Message) and size + len(self._inbox[0]) <= most:
            piece = cast("bytes", self._inbox.popleft())
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)


def wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
