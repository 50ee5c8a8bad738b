# SPDX-License-Identifier: Apache-2.0
"""An object that is read as fragments of several devices; one that fails is left for another."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Self

from cumulet.services.object_store.drivers import base as drivers
from cumulet.services.object_store.drivers.base import FileSlice
from cumulet.services.object_store.engine.asking import TROUBLE, Asker
from cumulet.services.object_store.engine.base import Unavailable
from cumulet.services.object_store.engine.coded.coder import INLINE, Coder, Undecodable
from cumulet.services.object_store.engine.coded.scheme import at
from cumulet.services.object_store.engine.coded.state import Piece
from cumulet.services.object_store.engine.limits import within
from cumulet.services.object_store.types import objects
from cumulet.services.object_store.types.objects import Address, Version


class Source:
    """The fragments of one index, read in a row; `sums` them where all are read."""

    def __init__(self, piece: Piece, reading: drivers.Reading, *, sums: bool = False) -> None:
        self.piece, self.fragment = piece, piece.fragment
        self._reading = reading
        self._pieces: AsyncIterator[bytes] | None = None
        self._rest = bytearray()
        self._at = 0
        self._until: int | None = None
        self._sum = hashlib.md5(usedforsecurity=False) if sums else None

    async def take(self, offset: int, length: int, until: int | None, limit: float) -> bytes:
        """DeviceGone where there are fewer bytes; `until` is where the last byte lies that will be asked for."""
        if self._pieces is None or (offset, until) != (self._at, self._until):
            self._pieces, self._at, self._until = self._reading.chunks(offset, until), offset, until
            self._rest.clear()
        while len(self._rest) < length:
            piece = await within(limit, anext(self._pieces, b""))
            if not piece:
                raise drivers.DeviceGone("The fragment is shorter than it should be.", code="DeviceGone")
            if self._sum is not None:
                self._sum.update(piece)
            self._rest += piece
        self._at += length
        found = bytes(memoryview(self._rest)[:length])
        del self._rest[:length]
        return found

    @property
    def is_sound(self) -> bool:
        """Of one that was read to its end."""
        return self._sum is None or self._sum.hexdigest() == self.piece.version.etag

    async def close(self) -> None:
        with contextlib.suppress(*TROUBLE):
            await self._reading.close()


class Sources:
    """As many of `pieces` as a segment needs, opened as they are wanted: different fragments of one body."""

    def __init__(
        self, address: Address, pieces: Sequence[Piece], coder: Coder, asker: Asker, *, sums: bool = False
    ) -> None:
        self._address, self._coder, self._asker, self._sums = address, coder, asker, sums
        self._left = list(pieces)
        self.opened: dict[int, Source] = {}
        self.until: int | None = None  # bytes of an archive that are wanted at the most
        self.failed = False  # one of them did not give what it should have

    async def open(self) -> bool:
        """Whether there are enough."""
        while (lack := self._coder.scheme.data - len(self.opened)) > 0:
            chosen = self._choose(lack)
            if not chosen:
                return False
            readings = await asyncio.gather(*(self._open(piece) for piece in chosen))
            for piece, reading in zip(chosen, readings, strict=True):
                if reading is not None:
                    self.opened[piece.fragment] = Source(piece, reading, sums=self._sums)
        return True

    async def segment(self, number: int, length: int) -> list[tuple[int, bytes]]:
        """Enough fragments of it by index. Unavailable where the devices at hand do not have them."""
        offset, size = number * self._coder.size(self._coder.scheme.segment), self._coder.size(length)
        found: dict[int, bytes] = {}
        while len(found) < self._coder.scheme.data:
            if not await self.open():
                raise Unavailable("Too few devices give fragments of the object.")
            missing = [source for source in self.opened.values() if source.fragment not in found]
            taken = await asyncio.gather(*(self._take(source, offset, size) for source in missing))
            for source, fragment in zip(missing, taken, strict=True):
                if fragment is None:
                    await self.drop(source)
                else:
                    found[source.fragment] = fragment
        return sorted(found.items())

    async def drop(self, source: Source) -> None:
        """It is not asked any more."""
        self.failed = True
        del self.opened[source.fragment]
        await source.close()

    async def close(self) -> None:
        for source in self.opened.values():
            await source.close()
        self.opened.clear()

    def _choose(self, lack: int) -> list[Piece]:
        chosen: dict[int, Piece] = {}
        for piece in list(self._left):
            if len(chosen) == lack:
                break
            if piece.fragment not in self.opened and piece.fragment not in chosen:
                chosen[piece.fragment] = piece
                self._left.remove(piece)
        return list(chosen.values())

    async def _open(self, piece: Piece) -> drivers.Reading | None:
        where, stamp = at(self._address, piece.fragment), piece.version.stamp
        answer = await self._asker.one(piece.node, lambda node: node.objects.read(where, stamp))
        if answer.error is not None and not answer.trouble:
            raise answer.error
        if answer.value is not None and not objects.same_body(answer.value.version, piece.version):
            await answer.value.close()
            return None
        return answer.value

    async def _take(self, source: Source, offset: int, length: int) -> bytes | None:
        try:
            return await source.take(offset, length, self.until, self._asker.patience.answer)
        except TROUBLE:
            return None


class CodedReading:
    """`Reading` of the object `whole`, by `sources` that are opened."""

    def __init__(self, whole: Version, sources: Sources, coder: Coder) -> None:
        self.version = whole
        self._sources, self._coder = sources, coder

    @property
    def inline(self) -> bytes | None:
        return b"" if not self.version.size else None

    def file(self) -> FileSlice | None:
        return None

    async def chunks(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        size, step = self.version.size, self._coder.scheme.segment
        end = size if end is None else min(end, size)
        self._sources.until = self._coder.archive(min(-(-end // step) * step, size))
        while start < end:
            number = start // step
            first = number * step
            segment = await self._segment(number, min(step, size - first))
            piece = segment[start - first : end - first]
            start += len(piece)
            yield piece

    async def close(self) -> None:
        await self._sources.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self.close()

    async def _segment(self, number: int, length: int) -> bytes:
        while True:
            fragments = await self._sources.segment(number, length)
            try:
                found = await run(self._coder.decode, [each for _, each in fragments], length)
                if len(found) == length:
                    return found
            except Undecodable:
                pass
            await expose(self._sources, self._coder, fragments)


async def expose(sources: Sources, coder: Coder, fragments: Sequence[tuple[int, bytes]]) -> None:
    """Leave those whose fragments are not what they should be. Unavailable where all seem to be."""
    bad = [index for index, fragment in fragments if not coder.is_sound(fragment, index)]
    if not bad:
        raise Unavailable("The fragments at hand do not give the object back.")
    for index in bad:
        await sources.drop(sources.opened[index])


async def run(verb: Callable[..., bytes], fragments: Sequence[bytes], length: int, *more: int) -> bytes:
    """In a thread where there is much to do."""
    if length <= INLINE:
        return verb(fragments, *more)
    return await asyncio.get_running_loop().run_in_executor(None, verb, fragments, *more)
