# SPDX-License-Identifier: Apache-2.0
"""One end of a link, the same on both sides: calls in both directions, events, and signs of life."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from cumulet.kernel import errors
from cumulet.kernel.link import frames, outcome
from cumulet.kernel.link.frames import Frame

LOG = logging.getLogger(__name__)

PING_PERIOD = 10.0  # seconds between two signs of life
SILENCE = 60.0  # seconds without a frame after which the other side counts as gone

LINK_LOST = "LinkLost"

Serve = Callable[[str, Any, str], Awaitable[Any]]
News = Callable[[str, Any], None]


class Peer:
    """A stream that frames go over; everything here happens on the loop.

    `serve(verb, body, op)` carries out the other side's calls, many at a time; `news(name, body)` is handed each event
    in the order of arrival and must not block.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, serve: Serve, news: News) -> None:
        self._reader = reader
        self._writer = writer
        self._serve = serve
        self._news = news
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._serving: dict[int, asyncio.Task[None]] = {}
        self._heard = 0.0
        self._closed = False

    async def greet(self, hello: dict[str, Any], timeout: float = 10.0) -> dict[str, Any]:
        """Say who we are and hear who they are; before `run`. Raises FrameError where that fails or does not fit."""
        await self._send(Frame(kind="hello", body={**hello, "frames": frames.VERSION}))
        return await self.hear_hello(timeout)

    async def hear_hello(self, timeout: float = 10.0) -> dict[str, Any]:
        """Wait for the other side's first frame."""
        try:
            frame = await asyncio.wait_for(frames.read(self._reader), timeout)
        except TimeoutError:
            raise frames.FrameError("no hello came") from None
        if frame is None or frame.kind != "hello" or not isinstance(frame.body, dict):
            raise frames.FrameError("the first frame was no hello")
        if "refused" in frame.body:
            raise frames.FrameError(f"the other side refused the link: {frame.body['refused']}")
        if frame.body.get("frames") != frames.VERSION:
            raise frames.FrameError(f"frames of version {frame.body.get('frames')} are spoken there")
        return frame.body

    async def answer_hello(self, hello: dict[str, Any]) -> None:
        """Complete the other side's greeting."""
        await self._send(Frame(kind="hello", body={**hello, "frames": frames.VERSION}))

    async def run(self) -> None:
        """Take frames until the stream ends or breaks; then every call that waits fails."""
        pings = asyncio.ensure_future(self._ping())
        try:
            while (frame := await frames.read(self._reader)) is not None:
                self._heard = asyncio.get_running_loop().time()
                self._take(frame)
        except frames.FrameError as error:
            LOG.warning("closing a link: %s", error)
        finally:
            pings.cancel()
            self.close()

    async def call(self, verb: str, body: dict[str, Any], *, timeout: float, op: str = "") -> Any:
        """Ask the other side. Raises its own error, CallTimeout after `timeout` seconds, NotReady on a broken link."""
        if self._closed:
            raise _lost(verb)
        number = next(self._numbers)
        packed = _pack(Frame(kind="call", id=number, verb=verb, op=op, body=body))
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
        if not self._closed:
            self._writer.write(_pack(Frame(kind="event", verb=name, body=body)))

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

    async def refuse(self, reason: str) -> None:
        """Tell the other side, in the place of a hello, why there will be no link."""
        with contextlib.suppress(errors.NotReady):
            await self._send(Frame(kind="hello", body={"refused": reason, "frames": frames.VERSION}))
        self.close()

    def _take(self, frame: Frame) -> None:
        if frame.kind == "call":
            task = asyncio.ensure_future(self._carry_out(frame))
            self._serving[frame.id] = task
            task.add_done_callback(lambda _: self._serving.pop(frame.id, None))
        elif frame.kind in ("reply", "error"):
            self._settle(frame)
        elif frame.kind == "event":
            self._news(frame.verb, frame.body)
        elif frame.kind == "cancel":
            task_to_cancel = self._serving.get(frame.id)
            if task_to_cancel is not None:
                task_to_cancel.cancel()

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
            packed = _pack(result)
        except Exception as error:
            packed = _pack(Frame(kind="error", id=frame.id, body=outcome.to_wire(error, frame.verb)))
        with contextlib.suppress(errors.NotReady):
            await self._write(packed, frame.verb)

    def _cancel(self, number: int) -> None:
        if not self._closed:
            self._writer.write(frames.encode(Frame(kind="cancel", id=number)))

    async def _send(self, frame: Frame) -> None:
        await self._write(_pack(frame), frame.kind)

    async def _write(self, packed: bytes, what: str) -> None:
        if self._closed:
            raise _lost(what)
        try:
            self._writer.write(packed)
            await self._writer.drain()
        except (ConnectionError, RuntimeError) as error:
            raise _lost(what) from error

    async def _ping(self) -> None:
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        packed = frames.encode(Frame(kind="ping"))
        while not self._closed:
            await asyncio.sleep(PING_PERIOD)
            if loop.time() - self._heard > SILENCE:
                LOG.warning("closing a link: nothing was heard for %.0f s", SILENCE)
                self.close()
                return
            self._writer.write(packed)


def _pack(frame: Frame) -> bytes:
    try:
        return frames.encode(frame)
    except frames.FrameTooLarge as error:
        raise errors.TooLarge(str(error), code="FrameTooLarge") from error
    except (TypeError, OverflowError, msgspec.MsgspecError) as error:
        LOG.exception("the body of %s is not plain data", frame.verb or frame.kind)
        raise outcome.RemoteFailure(f"the body of {frame.verb or frame.kind} is not plain data") from error


def _lost(what: str) -> errors.NotReady:
    return errors.NotReady(f"the link is broken; {what} was not sent", code=LINK_LOST)
