# SPDX-License-Identifier: Apache-2.0
"""A body that is encoded on its way, a fragment of each segment to each device."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from cumulet.services.object_store.drivers.base import Upload
from cumulet.services.object_store.engine.asking import Asker
from cumulet.services.object_store.engine.coded.coder import INLINE, Coder
from cumulet.services.object_store.engine.places import Node
from cumulet.services.object_store.engine.writing import Finish, PartsWriting


class CodedPart(NamedTuple):
    """A device that takes this fragment of each segment."""

    node: Node
    upload: Upload
    fragment: int


class CodedWriting(PartsWriting[CodedPart]):
    """A fragment of each segment to each part. Two segments are in memory, and the fragments of one."""

    def __init__(
        self, parts: Sequence[CodedPart], quorum: int, coder: Coder, finish: Finish[CodedPart], asker: Asker
    ) -> None:
        super().__init__(parts, quorum, finish, asker)
        self._coder = coder
        self._rest = bytearray()
        self._job: asyncio.Future[list[bytes]] | None = None

    async def write(self, data: bytes) -> None:
        self._take(data)
        await self._sum.add(data)
        self._rest += data
        segment = self._coder.scheme.segment
        while len(self._rest) >= segment:
            await self._encode(bytes(memoryview(self._rest)[:segment]))
            del self._rest[:segment]

    async def etag(self) -> str:
        if self._etag is None:
            if self._rest:
                await self._encode(bytes(self._rest))
                self._rest.clear()
            await self._send()
            self._etag = await self._sum.digest()
        return self._etag

    async def _encode(self, segment: bytes) -> None:
        """A thread encodes it while the next one comes."""
        await self._send()
        loop = asyncio.get_running_loop()
        if len(segment) > INLINE:
            self._job = loop.run_in_executor(None, self._coder.encode, segment)
        else:
            self._job = loop.create_future()
            self._job.set_result(self._coder.encode(segment))

    async def _send(self) -> None:
        if self._job is None:
            return
        fragments = await self._job
        self._job = None

        async def write(part: CodedPart) -> None:
            await part.upload.write(fragments[part.fragment])

        await self._write_each(write)
