# SPDX-License-Identifier: Apache-2.0
"""One end of a link once both sides have greeted: calls in both directions, events, and signs of life."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from cumulet.kernel import errors
from cumulet.kernel.link import frames, greeting, outcome
from cumulet.kernel.link.frames import Frame
from cumulet.kernel.link.names import LINK_LOST

LOG = logging.getLogger(__name__)

SILENCE = 60.0  # seconds without a frame after which the other side counts as gone, where nobody says otherwise
PINGS = 6  # signs of life within that time
BACKLOG = 32 * 1024 * 1024  # bytes that wait to be read by the other side before it counts as hung
MOST_SERVED = 4096  # calls of the other side under way at once

Serve = Callable[[str, Any, str], Awaitable[Any]]
News = Callable[[str, Any], None]


class Peer:
    """A stream that frames go over; everything here happens on the loop.

    `serve(verb, body, op)` carries out the other side's calls, many at a time; `news(name, body)` is handed each event
    in the order of arrival and must not block. The link ends when nothing is heard for `silence` seconds; the other
    side, which is as patient as its hello says (`theirs`), hears from us more often. Frames have `limit` bytes at most.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        serve: Serve,
        news: News,
        *,
        silence: float = SILENCE,
        theirs: object = None,
        limit: int = frames.MAX_FRAME,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._serve = serve
        self._news = news
        spoken = float(theirs) if isinstance(theirs, int | float) and theirs > 0 else SILENCE
        # Who says nothing of its patience is of the release before, and pings for one that has much.
        self._silence = silence if isinstance(theirs, int | float) else max(silence, SILENCE)
        self._ping_period = min(silence, spoken) / PINGS
        self._limit = limit
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._serving: dict[int, asyncio.Task[None]] = {}
        self._heard = 0.0
        self._closed = False

    async def run(self) -> None:
        """Take frames until the stream ends or breaks; then every call that waits fails."""
        pings = asyncio.ensure_future(self._ping())
        try:
            while (frame := await frames.read(self._reader, self._limit)) is not None:
                self._heard = asyncio.get_running_loop().time()
                self._take(frame)
        except frames.FrameError as error:
            if not self._closed:
                LOG.warning("closing a link: %s", error)
        finally:
            pings.cancel()
            self.close()

    async def call(self, verb: str, body: dict[str, Any], *, timeout: float, op: str = "") -> Any:
        """Ask the other side. Raises its own error, CallTimeout after `timeout` seconds, NotReady on a broken link."""
        if self._closed:
            raise _lost(verb)
        number = next(self._numbers)
        packed = self._pack(Frame(kind="call", id=number, verb=verb, op=op, body=body))
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            async with asyncio.timeout(timeout):
                await self._write(packed, verb)
                return await answer
        except TimeoutError:
            self._cancel(number)
            raise outcome.CallTimeout(f"{verb} was not answered within {timeout:g} s", code="CallTimeout") from None
        except asyncio.CancelledError:
            self._cancel(number)
            raise
        finally:
            self._waiting.pop(number, None)

    def emit(self, name: str, body: dict[str, Any]) -> None:
        """Send an event; on a broken link it is dropped."""
        self._push(self._pack(Frame(kind="event", verb=name, body=body)))

    def close(self) -> None:
        """Cut the link; whoever waits for an answer gets NotReady. Work that was begun for the other side goes on."""
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(errors.NotReady("the link broke before the answer came", code=LINK_LOST))
        for task in list(self._serving.values()):
            task.cancel()

    def _take(self, frame: Frame) -> None:
        if frame.kind == "call":
            self._begin(frame)
        elif frame.kind in ("reply", "error"):
            self._settle(frame)
        elif frame.kind == "event":
            self._news(frame.verb, frame.body)
        elif frame.kind == "cancel":
            task_to_cancel = self._serving.get(frame.id)
            if task_to_cancel is not None:
                task_to_cancel.cancel()

    def _begin(self, frame: Frame) -> None:
        if frame.id in self._serving:
            raise frames.FrameError(f"the call {frame.id} is under way already")
        if len(self._serving) >= MOST_SERVED:
            busy = errors.NotReady(f"{MOST_SERVED} calls are under way already", code="TooManyCalls")
            self._push(self._pack(Frame(kind="error", id=frame.id, body=outcome.to_wire(busy, frame.verb))))
            return
        task = asyncio.ensure_future(self._carry_out(frame))
        self._serving[frame.id] = task
        task.add_done_callback(lambda _: self._serving.pop(frame.id, None))

    def _settle(self, frame: Frame) -> None:
        answer = self._waiting.get(frame.id)
        if answer is None or answer.done():
            return
        if frame.kind == "reply":
            answer.set_result(frame.body)
        else:
            answer.set_exception(outcome.from_wire(frame.body))

    async def _carry_out(self, frame: Frame) -> None:
        try:
            result = Frame(kind="reply", id=frame.id, body=await self._serve(frame.verb, frame.body, frame.op))
            packed = self._pack(result)
        except Exception as error:
            packed = self._pack(Frame(kind="error", id=frame.id, body=outcome.to_wire(error, frame.verb)))
        with contextlib.suppress(errors.NotReady):
            await self._write(packed, frame.verb)

    def _cancel(self, number: int) -> None:
        self._push(frames.encode(Frame(kind="cancel", id=number)))

    async def _write(self, packed: bytes, what: str) -> None:
        if self._closed:
            raise _lost(what)
        try:
            self._writer.write(packed)
            await self._writer.drain()
        except (OSError, RuntimeError) as error:
            raise _lost(what) from error

    def _push(self, packed: bytes) -> None:
        """Send without waiting; a side that has stopped reading is cut off before it costs all memory."""
        if self._closed:
            return
        if self._writer.transport.get_write_buffer_size() > BACKLOG:
            LOG.warning("closing a link: %d MiB wait to be read there", BACKLOG // 1024**2)
            greeting.cut(self._writer)
            self.close()
            return
        self._writer.write(packed)

    async def _ping(self) -> None:
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        packed = frames.encode(Frame(kind="ping"))
        while not self._closed:
            await asyncio.sleep(self._ping_period)
            if loop.time() - self._heard > self._silence:
                LOG.warning("closing a link: nothing was heard for %.0f s", self._silence)
                greeting.cut(self._writer)
                self.close()
                return
            self._push(packed)

    def _pack(self, frame: Frame) -> bytes:
        try:
            return frames.encode(frame, self._limit)
        except frames.FrameTooLarge as error:
            raise errors.TooLarge(str(error), code="FrameTooLarge") from error
        except (TypeError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
            LOG.exception("the body of %s is not plain data", frame.verb or frame.kind)
            raise outcome.RemoteFailure(f"the body of {frame.verb or frame.kind} is not plain data") from error


def _lost(what: str) -> errors.NotReady:
    return errors.NotReady(f"the link is broken; {what} was not sent", code=LINK_LOST)
