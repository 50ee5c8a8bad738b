# SPDX-License-Identifier: Apache-2.0
"""A body that goes to several devices at once, and is summed once."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

from cumulet.services.object_store.drivers.base import PIECE, Upload
from cumulet.services.object_store.engine.asking import TROUBLE, Asker
from cumulet.services.object_store.engine.base import Unavailable
from cumulet.services.object_store.engine.limits import within
from cumulet.services.object_store.engine.places import Node
from cumulet.services.object_store.types.objects import Outcome, Version

_SMALL = 1 << 16  # bytes that are summed at once: a thread would cost more
_FORGET = 1.0  # seconds


class Part(NamedTuple):
    """A device that takes the body."""

    node: Node
    upload: Upload


class Taker(Protocol):
    """A device and an upload there."""

    @property
    def node(self) -> Node: ...

    @property
    def upload(self) -> Upload: ...


P = TypeVar("P", bound=Taker)
Finish = Callable[[Sequence[P], Version], Awaitable[Outcome]]


class Sum:
    """An MD5 that a thread computes of a piece while the next one comes."""

    def __init__(self) -> None:
        self._sum = hashlib.md5(usedforsecurity=False)
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._job: asyncio.Future[None] | None = None

    async def add(self, data: bytes) -> None:
        self._pieces.append(data)
        self._waiting += len(data)
        if self._waiting >= PIECE:
            await self._finish()
            pieces, self._pieces, self._waiting = self._pieces, [], 0
            self._job = asyncio.get_running_loop().run_in_executor(None, self._update, pieces)

    async def digest(self) -> str:
        await self._finish()
        pieces, self._pieces = self._pieces, []
        if self._waiting > _SMALL:
            await asyncio.get_running_loop().run_in_executor(None, self._update, pieces)
        else:
            self._update(pieces)
        self._waiting = 0
        return self._sum.hexdigest()

    async def _finish(self) -> None:
        if self._job is not None:
            await self._job
            self._job = None

    def _update(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self._sum.update(piece)


class PartsWriting(ABC, Generic[P]):
    """To `parts`; one in trouble is left out, while a `quorum` of them goes on. `finish` commits what is left."""

    def __init__(self, parts: Sequence[P], quorum: int, finish: Finish[P], asker: Asker) -> None:
        self._parts = list(parts)
        self._quorum = quorum
        self._finish = finish
        self._asker = asker
        self._sum = Sum()
        self._etag: str | None = None
        self._ended = False
        self.size = 0

    @abstractmethod
    async def etag(self) -> str:
        """As `base.Writing.etag`."""

    async def commit(self, version: Version) -> Outcome:
        if self._ended:
            raise RuntimeError("it has ended")
        etag = await self.etag()
        if (version.size, version.etag) != (self.size, etag):
            raise ValueError(f"{self.size} bytes with MD5 {etag} are not those of {version}")
        self._ended = True
        parts, self._parts = self._parts, []
        return await self._finish(parts, version)

    async def abort(self) -> None:
        self._ended = True
        parts, self._parts = self._parts, []
        await forget(parts)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self.abort()

    def _take(self, data: bytes) -> None:
        """It is going to be written."""
        if self._ended or self._etag is not None:
            raise RuntimeError("nothing can be written any more")
        self.size += len(data)

    async def _write_each(self, write: Callable[[P], Awaitable[None]]) -> None:
        """One after the other, while enough of them go on."""
        lost = []
        for part in self._parts:
            try:
                await within(self._asker.patience.answer, write(part))
            except TROUBLE:
                lost.append(part)
        if lost:
            await self._lose(lost)

    async def _lose(self, lost: Sequence[P]) -> None:
        self._parts = [part for part in self._parts if part not in lost]
        for part in lost:
            self._asker.missed(part.node)
        await forget(lost)
        if len(self._parts) < self._quorum:
            await self.abort()
            raise Unavailable("Too few devices take the body.")


class EngineWriting(PartsWriting[Part]):
    """The same to each part."""

    def __init__(self, parts: Sequence[Part], quorum: int, finish: Finish[Part], asker: Asker) -> None:
        super().__init__(parts, quorum, finish, asker)
        self._pieces: list[bytes] = []  # that no device has yet
        self._waiting = 0  # bytes in them

    async def write(self, data: bytes) -> None:
        self._take(data)
        self._pieces.append(data)
        self._waiting += len(data)
        if self._waiting >= PIECE:
            await self._pass_on()

    async def etag(self) -> str:
        if self._etag is None:
            await self._pass_on()
            self._etag = await self._sum.digest()
        return self._etag

    async def _pass_on(self) -> None:
        pieces, self._pieces, self._waiting = self._pieces, [], 0

        async def write(part: Part) -> None:
            for piece in pieces:
                await part.upload.write(piece)

        await self._write_each(write)
        for piece in pieces:
            await self._sum.add(piece)


async def forget(parts: Iterable[Taker]) -> None:
    """What was committed stays. A device that hangs does so when it likes."""
    for part in parts:
        with contextlib.suppress(*TROUBLE):
            await within(_FORGET, part.upload.abort())
