# SPDX-License-Identifier: Apache-2.0
"""An object that is read from one device, and goes on at another where that fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Self

from cumulet.services.object_store.drivers import base as drivers
from cumulet.services.object_store.drivers.base import FileSlice
from cumulet.services.object_store.engine.asking import TROUBLE
from cumulet.services.object_store.engine.base import Unavailable
from cumulet.services.object_store.engine.limits import within
from cumulet.services.object_store.engine.places import Node
from cumulet.services.object_store.types import objects
from cumulet.services.object_store.types.objects import Version

Open = Callable[[Node], Awaitable[drivers.Reading | None]]


class EngineReading:
    """`version` is what is told of it, `others` are devices that may have it too, `limit` seconds for a piece."""

    def __init__(
        self, reading: drivers.Reading, version: Version, others: Iterator[Node], open_: Open, limit: float
    ) -> None:
        self._reading = reading
        self._others = others
        self._open = open_
        self._limit = limit
        self.version = version

    @property
    def inline(self) -> bytes | None:
        return self._reading.inline

    def file(self) -> FileSlice | None:
        return self._reading.file()

    async def chunks(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        at, end = start, self.version.size if end is None else min(end, self.version.size)
        pieces = self._reading.chunks(at, end)
        while at < end:
            try:
                piece = await within(self._limit, anext(pieces))
            except TROUBLE as error:
                await self._go_on(error)
                pieces = self._reading.chunks(at, end)
                continue
            at += len(piece)
            yield piece

    async def close(self) -> None:
        await self._reading.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self.close()

    async def _go_on(self, trouble: Exception) -> None:
        """At the next device with the same body; Unavailable where there is none."""
        for node in self._others:
            try:
                found = await within(self._limit, self._open(node))
            except TROUBLE:
                continue
            if found is None:
                continue
            if objects.same_body(found.version, self.version):
                old, self._reading = self._reading, found
                await old.close()
                return
            await found.close()
        raise Unavailable("No device gives the rest of the object.") from trouble
