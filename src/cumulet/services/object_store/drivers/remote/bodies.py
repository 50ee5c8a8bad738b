# SPDX-License-Identifier: Apache-2.0
"""Bodies on their way to a device of another process and from it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Self

from cumulet.services.object_store.drivers.base import INLINE, PIECE, DeviceFull, DeviceGone, FileSlice
from cumulet.services.object_store.drivers.remote import verbs
from cumulet.services.object_store.drivers.remote.connection import Session
from cumulet.services.object_store.drivers.remote.framing import Kind, Message
from cumulet.services.object_store.drivers.remote.seat import Seat
from cumulet.services.object_store.drivers.remote.stream import Stream
from cumulet.services.object_store.types.objects import Kind as Body
from cumulet.services.object_store.types.objects import Outcome, OwedUpdate, Version


class RemoteUpload:
    """A small body is kept here until its commit, unless the device was asked for room; else there is a stream.

    `trusts(whether)` is told whether the device has proven to have room.
    """

    def __init__(self, seat: Seat, words: verbs.Begin, trusts: Callable[[bool], None]) -> None:
        self._seat = seat
        self._words = words
        self._trusts = trusts
        self._pieces: list[bytes] = []
        self._stream: Stream | None = None
        self._begun = False  # the device has said that it takes the body
        self._etag: str | None = None
        self._ended = False
        self.size = 0

    async def begin(self) -> None:
        """Ask the device for room."""
        await self._open()
        await self._ready()

    async def write(self, data: bytes) -> None:
        if self._ended or self._etag is not None:
            raise RuntimeError("nothing can be written any more")
        self.size += len(data)
        if self._stream is not None:
            await self._send(data)
            return
        self._pieces.append(data)
        if self.size > INLINE:
            pieces, self._pieces = self._pieces, []
            await self._open()
            for piece in pieces:
                await self._send(piece)

    async def etag(self) -> str:
        if self._words.summed:
            raise RuntimeError("the caller sums it")
        if self._etag is None:
            if self._stream is None:
                self._etag = hashlib.md5(b"".join(self._pieces), usedforsecurity=False).hexdigest()
            else:
                answer = await self._more(verbs.Etag())
                self._etag = self._seat.connection.understood(verbs.read_text, answer.head)
        return self._etag

    async def commit(
        self, version: Version, owed: Sequence[OwedUpdate] = (), *, replica: bool = False, pending: bool = False
    ) -> Outcome:
        if self._ended:
            raise RuntimeError("it has ended")
        etag = self._etag if self._stream is not None else version.etag if self._words.summed else await self.etag()
        alike = version.kind is Body.DATA and version.size == self.size and etag in (None, version.etag)
        found = await self._commit(verbs.Commit(version, owed, replica, pending)) if alike else None
        if found is None:
            raise ValueError(f"{self.size} bytes with MD5 {etag or 'of their own'} are not those of {version}")
        self._ended = True
        return found

    async def abort(self) -> None:
        self._ended = True
        self._pieces.clear()
        if self._stream is not None:
            self._stream.close(reset=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self.abort()

    async def _commit(self, said: verbs.Commit) -> Outcome | None:
        """None where the device does not find the body to be that of the version."""
        try:
            if self._stream is None:
                self._ended = True  # what comes of it, nothing can be added
                words = verbs.Store(self._words.address, said.version, said.owed, said.replica, said.pending)
                answer = await self._seat.ask(verbs.STORE, words, b"".join(self._pieces))
            else:
                answer = await self._more(said)
        except (DeviceGone, DeviceFull):
            self._trusts(False)
            raise
        found: Outcome | None = self._seat.connection.understood(verbs.read_outcome, answer.head)
        if found is not None:
            self._trusts(True)
            self._pieces.clear()
            if self._stream is not None:
                self._stream.close()
        return found

    async def _open(self) -> None:
        """Begin a stream; what the device says to it is heard later. Without one the upload ends."""
        try:
            session, number = await self._seat.reached()
            self._stream = session.begin()
        except BaseException:
            self._ended = True
            raise
        await self._told(self._stream.say(Kind.CALL, verbs.call(verbs.BEGIN, number, self._words)))

    async def _ready(self) -> None:
        if not self._begun and self._stream is not None:
            await self._told(self._stream.reply())
            self._begun = True
            self._trusts(True)

    async def _send(self, data: bytes) -> None:
        assert self._stream is not None
        await self._told(self._stream.send(data))

    async def _more(self, words: Any) -> Message:
        """Say more of the upload, and hear what the device answers."""
        assert self._stream is not None
        await self._ready()
        await self._told(self._stream.say(Kind.MORE, verbs.packed(words)))
        answer: Message = await self._told(self._stream.reply())
        return answer

    async def _told(self, work: Any) -> Any:
        """What is done for it on the stream; where that fails, or nobody waits for it any more, the upload ends."""
        assert self._stream is not None
        try:
            return await work
        except BaseException as error:
            self._ended = True
            self._stream.close(reset=True)
            if isinstance(error, DeviceGone | DeviceFull):
                self._trusts(False)
                raise self._seat.told(error) from None
            raise


class RemoteReading:
    """An object that is open there; `stream` holds it, None where the body is `inline`."""

    def __init__(
        self, seat: Seat, session: Session, number: int, stream: Stream | None, version: Version, inline: bytes | None
    ) -> None:
        self._seat = seat
        self._session = session
        self._number = number
        self._stream = stream
        self._under_way: set[Stream] = set()
        self.version = version
        self.inline = inline

    def file(self) -> FileSlice | None:
        return None

    async def chunks(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        end = self.version.size if end is None else min(end, self.version.size)
        if start >= end:
            return
        if self.inline is not None:
            yield self.inline[start:end]
            return
        if self._stream is None:
            raise DeviceGone("The object was closed.", code="DeviceGone")
        stream = self._session.begin()
        self._under_way.add(stream)
        try:
            await stream.say(
                Kind.CALL, verbs.call(verbs.CHUNKS, self._number, verbs.Chunks(self._stream.id, start, end))
            )
            stream.widen()
            while start < end:
                piece = await stream.take(PIECE)
                if isinstance(piece, Message) or start + len(piece) > end:
                    raise DeviceGone("The device gives fewer bytes, or more, than the object has.", code="DeviceGone")
                start += len(piece)
                yield piece
        finally:
            self._under_way.discard(stream)
            stream.close(reset=True)

    async def close(self) -> None:
        for stream in list(self._under_way):
            stream.close(reset=True)
        if self._stream is not None:
            self._stream.close(reset=True)
            self._stream = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self.close()
