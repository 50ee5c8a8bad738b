# SPDX-License-Identifier: Apache-2.0
"""The first frame of each side: who it is, which frames it speaks; or, in its place, why there will be no link."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any

from cumulet.kernel.link import frames
from cumulet.kernel.link.frames import Frame, FrameError

LOG = logging.getLogger(__name__)

PATIENCE = 10.0  # seconds that a hello may take to come
PARTING = 1.0  # seconds that the end of a stream may take
LIMIT = 256 * 1024  # bytes of a hello: it is read before anybody is known

Body = dict[str, Any]


class Refused(FrameError):
    """The other side wants no link; the message is its reason."""


async def say(writer: asyncio.StreamWriter, body: Mapping[str, Any], version: int | None = None) -> None:
    """Send our hello; `version` is the agreed one where the other side has spoken first. Raises OSError."""
    words = {**body, "frames": frames.VERSION if version is None else version, "oldest": frames.OLDEST}
    writer.write(frames.encode(Frame(kind="hello", body=words), LIMIT))
    await writer.drain()


async def hear(reader: asyncio.StreamReader, timeout: float = PATIENCE) -> tuple[Body, int]:
    """The other side's hello and the version of the frames that follow. Raises FrameError, and Refused of them."""
    try:
        frame = await asyncio.wait_for(frames.read(reader, LIMIT), timeout)
    except TimeoutError:
        raise FrameError("no hello came") from None
    if frame is None:
        raise FrameError("the stream ended before a hello")
    words = said(frame)
    return words, agree(words)


def said(frame: Frame) -> Body:
    """What a hello says. Raises FrameError, and Refused of them."""
    if frame.kind != "hello" or not isinstance(frame.body, dict):
        raise FrameError("the first frame was no hello")
    if "refused" in frame.body:
        raise Refused(str(frame.body["refused"]))
    return frame.body


async def refuse(writer: asyncio.StreamWriter, reason: str) -> None:
    """Say in the place of a hello why there will be no link, and end the stream."""
    with contextlib.suppress(OSError, RuntimeError, TimeoutError):
        await asyncio.wait_for(say(writer, {"refused": reason}), PATIENCE)
    writer.close()


async def part(writer: asyncio.StreamWriter) -> None:
    """End a stream: what was written goes out if the other side takes it within PARTING seconds."""
    writer.close()
    try:
        async with asyncio.timeout(PARTING):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        LOG.debug("a stream did not end in order")
    finally:
        cut(writer)


def cut(writer: asyncio.StreamWriter) -> None:
    """End a stream at once, whatever waits to be written."""
    with contextlib.suppress(AttributeError):  # Python 3.11.2 has nothing left of a TLS stream that has ended
        writer.transport.abort()


def agree(hello: Mapping[str, Any], ours: tuple[int, int] | None = None) -> int:
    """The newest version that both sides speak: `ours` are the oldest and the newest here, None for the link's own.

    A release that says no `oldest` speaks one version only. Raises FrameError where there is none.
    """
    oldest_here, newest_here = ours or (frames.OLDEST, frames.VERSION)
    newest = hello.get("frames")
    oldest = hello.get("oldest", newest)
    if type(newest) is not int or type(oldest) is not int:
        raise FrameError("the hello names no version of frames")
    version = min(newest, newest_here)
    if version < max(oldest, oldest_here):
        here = f"{oldest_here} to {newest_here}"
        raise FrameError(f"frames of version {oldest} to {newest} are spoken there, {here} here")
    return version
