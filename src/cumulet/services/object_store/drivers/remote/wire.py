# SPDX-License-Identifier: Apache-2.0
"""A stream between two processes, on which many calls and bodies go at once: `framing.py` has what is said."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.link import frames, greeting
from cumulet.kernel.link.frames import FrameError
from cumulet.services.object_store.drivers.remote.framing import (
    BACKLOG,
    CREDIT,
    HEADER,
    HELD,
    HIGH,
    LENGTH,
    MOST,
    MOST_MESSAGE,
    MOST_PARTS,
    OLDEST,
    PINGS,
    PROTOCOL,
    SILENCE,
    VERSION,
    WINDOW,
    Kind,
    Message,
    lost,
)
from cumulet.services.object_store.drivers.remote.stream import Stream, wake

if TYPE_CHECKING:
    from cumulet.kernel.link.certificates import Holder

LOG = logging.getLogger(__name__)

Hello = Mapping[str, Any]
Admits = Callable[["Holder"], bool]


class Wire(asyncio.Protocol):
    """One end of the stream; everything here happens on its loop.

    It ends at anything that is no frame, when nothing is heard for `silence` seconds, and by `fail`; what is under way
    then fails with DeviceGone.
    """

    under_way: ClassVar[int] = 0  # exchanges of this process, on all of its streams

    def __init__(self, silence: float = SILENCE) -> None:
        self.loop = asyncio.get_running_loop()
        self.first_credit = CREDIT
        self.trouble = ""  # why it ended
        self.ended: asyncio.Future[None] = self.loop.create_future()
        self.streams: dict[int, Stream] = {}
        self._silence = silence
        self._period = silence / PINGS
        self._transport: asyncio.Transport | None = None
        self._greeted = False
        self._rest = b""
        self._left, self._into = 0, 0  # bytes of the piece of a body that comes, and its exchange
        self._parts: dict[int, list[bytes]] = {}
        self._parts_size = 0
        self._paused = False
        self._turns: deque[asyncio.Future[None]] = deque()
        self._heard = self._pinged = self.loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._is_good: Callable[[], bool] = lambda: True

    # What ends of different kinds do.

    def said(self, hello: Hello) -> None:
        """The other side's hello, with a version that both speak. Raises FrameError."""

    def called(self, id_: int, message: Message) -> None:
        """The other side begins an exchange. Raises FrameError."""
        raise FrameError("nothing is served here")

    def told(self, stream: Stream, message: Message) -> None:
        """A message in an exchange that is there. Raises FrameError."""
        stream.came(message)

    def is_known(self, id_: int) -> bool:
        """Whether there was such an exchange, which may have ended."""
        raise NotImplementedError

    def is_awaited(self, id_: int) -> bool:
        """Whether a message in this exchange may come, of which this is a part. FrameError for what was never begun."""
        if id_ not in self.streams and not self.is_known(id_):
            raise FrameError("a message came of what was never begun")
        return id_ in self.streams

    def reset(self, id_: int) -> None:
        """The other side wants nothing more of an exchange."""

    # For streams.

    def window(self) -> int:
        """Bytes that each body may have on its way now."""
        return max(CREDIT, min(WINDOW, HELD // max(1, Wire.under_way)))

    def open(self, id_: int) -> Stream:
        """DeviceGone where the stream has ended."""
        if self.trouble:
            raise lost(self.trouble)
        stream = self.streams[id_] = Stream(self, id_)
        Wire.under_way += 1
        return stream

    def forget(self, stream: Stream) -> bool:
        """Whether it was there."""
        if self._parts:
            self._drop_parts(stream.id)
        if self.streams.pop(stream.id, None) is None:
            return False
        Wire.under_way -= 1
        return True

    def put(self, kind: Kind, id_: int, size: int, payload: tuple[bytes, ...]) -> None:
        """Send a frame at once."""
        if self.trouble or self._transport is None:
            return
        if self._paused and self._transport.get_write_buffer_size() > BACKLOG:
            self.fail("what is sent is not taken in")
            return
        self._transport.writelines((HEADER.pack(size, kind, id_), *payload))

    async def put_in_turn(self, kind: Kind, id_: int, payload: memoryview) -> None:
        """Send a frame when those before it are on their way."""
        if self._paused or self._turns:
            turn = self.loop.create_future()
            self._turns.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._next_turn()
                raise
        if self.trouble or self._transport is None:
            raise lost(self.trouble)
        # A view is kept where bytes cannot go at once: it is of bytes that nobody changes.
        self._transport.writelines((HEADER.pack(len(payload), kind, id_), payload))
        self._next_turn()

    def greet(self, words: Hello, version: int | None = None) -> None:
        """Say hello; `version` is the agreed one where the other side has spoken first."""
        hello = {
            **words,
            "protocol": PROTOCOL,
            "frames": VERSION if version is None else version,
            "oldest": OLDEST,
            "silence": self._silence,
            "credit": CREDIT,
        }
        self._write(frames.encode(frames.Frame(kind="hello", body=hello), greeting.LIMIT))

    def refuse(self, reason: str) -> None:
        """In the place of a hello."""
        self._write(frames.encode(frames.Frame(kind="hello", body={"refused": reason}), greeting.LIMIT))
        self.trouble = reason
        if self._transport is not None:
            self._transport.close()

    def fail(self, why: str) -> None:
        """End it at once."""
        if self.trouble:
            return
        self.trouble = why
        if self._transport is not None:
            with contextlib.suppress(AttributeError):  # Python 3.11.2 has nothing left of a TLS stream that has ended
                self._transport.abort()
        self._end()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=HIGH)
        self._heard = self.loop.time()
        self._timer = self.loop.call_later(greeting.PATIENCE, self._not_greeted)

    def data_received(self, data: bytes) -> None:
        self._heard = self.loop.time()
        try:
            self._feed(data)
        except greeting.Refused as error:
            self.fail(f"it was refused: {error}")
        except FrameError as error:
            LOG.warning("a stream for devices is cut: %s", error)
            self.fail(str(error))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            LOG.warning("a stream for devices is cut: %s", error)
            self.fail(f"what came is not understood: {error}")

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._next_turn()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.trouble:
            self.trouble = f"the stream ended{f': {error}' if error else ''}"
        self._end()

    def guard(self, admits: Admits) -> None:
        """End it unless TLS knows the other side for one that is admitted, and when that is not so any more."""
        # Loaded only where it is needed: certificates come with a library of their own.
        from cumulet.kernel.link import certificates

        assert self._transport is not None
        try:
            shown = self._transport.get_extra_info("ssl_object")
            holder = certificates.peer(shown) if shown is not None else None
        except ValueError:
            holder = None
        if holder is None:
            self.fail("only members of the cloud are let in")
            return
        self._is_good = lambda: clock.now() < holder.until and admits(holder)
        self._watch()

    # Below: how frames are taken.

    def _feed(self, data: bytes) -> None:
        if self._rest:
            data, self._rest = self._rest + data, b""
        at, end = 0, len(data)
        if not self._greeted:
            at = self._hello(data)
        while self._greeted and at < end and not self.trouble:
            if self._left:
                size = min(self._left, end - at)
                self._left -= size
                self._piece(data if size == len(data) else data[at : at + size])
                at += size
                continue
            if end - at < HEADER.size:
                break
            size, kind, id_ = HEADER.unpack_from(data, at)
            if size > MOST:
                raise FrameError(f"a frame of {size} bytes is announced; {MOST} are taken")
            if kind == Kind.DATA:
                self._left, self._into = size, id_
                at += HEADER.size
                continue
            if end - at < HEADER.size + size:
                break
            at += HEADER.size
            self._frame(kind, id_, data[at : at + size])
            at += size
        if at < end and not self.trouble:
            self._rest = data[at:] if at else data

    def _hello(self, data: bytes) -> int:
        """Where what follows the hello begins; 0 while it is not whole."""
        if len(data) < LENGTH.size:
            return 0
        size = int.from_bytes(data[: LENGTH.size])
        if size > greeting.LIMIT:
            raise FrameError("the hello is too long")
        end = LENGTH.size + size
        if len(data) < end:
            return 0
        hello = greeting.said(frames.decode(data[LENGTH.size : end]))
        if hello.get("protocol") != PROTOCOL:
            raise FrameError("the hello is of another protocol")
        credit, silence = hello.get("credit"), hello.get("silence")
        if type(credit) is not int or not 0 < credit <= HELD or not isinstance(silence, int | float) or silence <= 0:
            raise FrameError("the hello does not say what it has to")
        self.first_credit = credit
        self._period = max(0.01, min(self._silence, silence) / PINGS)
        self.said(hello)
        self._greeted = True
        if self._timer is not None:
            self._timer.cancel()
        self._ping()
        return end

    def _piece(self, piece: bytes) -> None:
        stream = self.streams.get(self._into)
        if stream is not None:
            stream.came(piece)
        elif not self.is_known(self._into):
            raise FrameError("a body came of what was never begun")

    def _frame(self, kind: int, id_: int, payload: bytes) -> None:
        if kind == Kind.PART:
            self._part(id_, payload)
        elif kind in (Kind.CALL, Kind.MORE, Kind.REPLY, Kind.ERROR):
            self._message(kind, id_, self._whole(id_, payload))
        elif kind == Kind.CREDIT:
            if len(payload) != LENGTH.size:
                raise FrameError("what is granted is no number")
            if (stream := self.streams.get(id_)) is not None:
                stream.granted(LENGTH.unpack(payload)[0])
        elif kind == Kind.RESET:
            self._drop_parts(id_)
            self.reset(id_)
        elif kind != Kind.PING:
            raise FrameError(f"there are no frames of kind {kind}")

    def _part(self, id_: int, payload: bytes) -> None:
        if not self.is_awaited(id_):
            return
        self._parts_size += len(payload)
        if self._parts_size > MOST_PARTS:
            raise FrameError("too much came of calls that have no end")
        self._parts.setdefault(id_, []).append(payload)

    def _message(self, kind: int, id_: int, payload: bytes) -> None:
        size = int.from_bytes(payload[: LENGTH.size])
        begin, end = LENGTH.size, LENGTH.size + size
        if end > len(payload):
            raise FrameError("a message is shorter than it says")
        message = Message(kind, payload[begin:end], payload[end:])
        stream = self.streams.get(id_)
        if kind == Kind.CALL:
            self.called(id_, message)
        elif stream is not None:
            self.told(stream, message)
        elif not self.is_known(id_):
            raise FrameError("a message came of what was never begun")

    def _whole(self, id_: int, payload: bytes) -> bytes:
        if not self._parts or id_ not in self._parts:
            return payload
        whole = b"".join([*self._drop_parts(id_), payload])
        if len(whole) > MOST_MESSAGE:
            raise FrameError("a message is longer than one may be")
        return whole

    def _drop_parts(self, id_: int) -> list[bytes]:
        parts = self._parts.pop(id_, [])
        self._parts_size -= sum(map(len, parts))
        return parts

    # Signs of life, turns and the end.

    def _watch(self) -> None:
        if not self._is_good():
            LOG.warning("a stream for devices is cut: its other end is no member of the cloud, or not any more")
            self.fail("only members of the cloud are let in")

    def _ping(self) -> None:
        self._watch()
        now = self.loop.time()
        if self.trouble:
            return
        # After a pause of this whole process there may be much that waits to be heard.
        if now - self._heard > self._silence and now - self._pinged < 2 * self._period:
            self.fail(f"nothing was heard for {self._silence:g} s")
            return
        self._pinged = now
        self.put(Kind.PING, 0, 0, ())
        self._timer = self.loop.call_later(self._period, self._ping)

    def _not_greeted(self) -> None:
        self.fail("no hello came")

    def _next_turn(self) -> None:
        while self._turns and not self._paused:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _write(self, packed: bytes) -> None:
        if self._transport is not None and not self.trouble:
            self._transport.write(packed)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for stream in list(self.streams.values()):
            stream.fail(lost(self.trouble))
        Wire.under_way -= len(self.streams)
        self.streams.clear()
        self._parts.clear()
        self._rest = b""
        while self._turns:
            wake(self._turns.popleft())
        wake(self.ended)
