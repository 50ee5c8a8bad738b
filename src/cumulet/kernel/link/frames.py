# SPDX-License-Identifier: Apache-2.0
"""What travels on a link: frames of msgpack, each behind its length.

On the wire a frame is four bytes of length (big-endian, without themselves) and a msgpack map of that many bytes. Keys
that a reader does not know are skipped, so that fields may be added; what an older reader could not do without raises
`VERSION` instead. Each side says in its hello which versions it speaks (`greeting`).
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import msgspec

VERSION = 1  # the newest that is spoken here
OLDEST = 1  # the oldest that is still spoken here: that of the release before
MAX_FRAME = 8 * 1024 * 1024
_LENGTH = 4

Kind = Literal["hello", "call", "cancel", "reply", "error", "event", "ping"]


class FrameError(Exception):
    """What came, or should go, is not a frame; the link cannot go on."""


class FrameTooLarge(FrameError):
    """A frame of more bytes than are taken."""


class Frame(msgspec.Struct, omit_defaults=True, frozen=True, kw_only=True):
    """One message.

    hello: the first frame of each side, `body` says who it is. call: `verb` with `body`; `id` is the caller's number
    for it and `op` names the operation that it is part of. cancel: the caller of `id` no longer waits. reply, error:
    the outcome of `id`. event: news under the name `verb`. ping: a sign of life.
    """

    kind: Kind
    id: int = 0
    verb: str = ""
    op: str = ""
    body: Any = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frame)


def encode(frame: Frame, limit: int = MAX_FRAME) -> bytes:
    """The frame as bytes for the wire. Raises FrameTooLarge; TypeError where a body is not plain data."""
    packed = _encoder.encode(frame)
    if len(packed) > limit:
        raise FrameTooLarge(f"a {frame.kind} of {len(packed)} bytes does not fit into a frame of {limit}")
    return len(packed).to_bytes(_LENGTH, "big") + packed


async def read(reader: asyncio.StreamReader, limit: int = MAX_FRAME) -> Frame | None:
    """The next frame, or None where the stream has ended. Raises FrameError on anything that is no frame."""
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH), "big")
        if length > limit:
            raise FrameTooLarge(f"a frame of {length} bytes is announced; {limit} are taken")
        packed = await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except OSError as error:
        raise FrameError(f"the stream broke: {error}") from error
    return decode(packed)


def decode(packed: bytes) -> Frame:
    """The frame behind its length. Raises FrameError."""
    try:
        return _decoder.decode(packed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"not a frame: {error}") from error
