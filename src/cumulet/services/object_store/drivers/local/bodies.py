# SPDX-License-Identifier: Apache-2.0
"""Bodies on their way to a device and from it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Protocol, Self, TypeVar

from cumulet.services.object_store.drivers.base import INLINE, PIECE, DeviceGone, FileSlice
from cumulet.services.object_store.drivers.local import files
from cumulet.services.object_store.drivers.local.answers import Answers
from cumulet.services.object_store.drivers.local.catalogue_rows import Body
from cumulet.services.object_store.types.objects import Address, Entry, Kind, Outcome, OwedUpdate, Version

T = TypeVar("T")


def submit(pool: ThreadPoolExecutor, work: Callable[[], T]) -> Future[T]:
    """DeviceGone where the pool has ended."""
    try:
        return pool.submit(work)
    except RuntimeError as error:
        raise DeviceGone("The device is closed.", code="DeviceGone") from error


class Home(Protocol):
    """What an upload needs of its device."""

    answers: Answers
    files: files.Files
    writers: ThreadPoolExecutor

    async def commit_body(
        self,
        address: Address,
        version: Version,
        body: Body,
        owed: Sequence[OwedUpdate],
        *,
        replica: bool,
        pending: bool,
    ) -> Outcome:
        """Commit the row; the file of the body is taken care of from then on, whatever comes of it."""


class LocalUpload:
    """Small bodies are kept; of others a piece is summed and written by a thread while the next one comes."""

    def __init__(self, home: Home, address: Address, size: int | None, summed: bool, cached: bool) -> None:
        self._home = home
        self._address = address
        self._expected = size
        self._cached = cached
        self._pieces: list[bytes] = []
        self._waiting = 0  # bytes in them
        self._sum = None if summed else hashlib.md5(usedforsecurity=False)
        self._draft: files.Draft | None = None
        self._job: Future[None] | None = None
        self._etag: str | None = None
        self._ended = False
        self.size = 0

    async def prepare(self) -> None:
        """Make the file at once where the size says that there will be one."""
        if self._expected is not None and self._expected > INLINE:
            await self._start(partial(self._open, []))
            await self._finish_job()

    async def write(self, data: bytes) -> None:
        if self._ended or self._etag is not None:
            raise RuntimeError("nothing can be written any more")
        self._pieces.append(data)
        self._waiting += len(data)
        self.size += len(data)
        if self._waiting >= (PIECE if self._draft or self._job else INLINE + 1):
            await self._hand_over()

    async def etag(self) -> str:
        if self._sum is None:
            raise RuntimeError("the caller sums it")
        if self._etag is None:
            if not await self._finish():
                for piece in self._pieces:
                    self._sum.update(piece)
            self._etag = self._sum.hexdigest()
        return self._etag

    async def commit(
        self, version: Version, owed: Sequence[OwedUpdate] = (), *, replica: bool = False, pending: bool = False
    ) -> Outcome:
        if self._ended:
            raise RuntimeError("it has ended")
        etag = version.etag if self._sum is None else await self.etag()
        if version.kind is not Kind.DATA or (version.size, version.etag) != (self.size, etag):
            raise ValueError(f"{self.size} bytes with MD5 {etag} are not those of {version}")
        await self._finish()
        body = Body(inline=b"".join(self._pieces))
        if self._draft is not None:
            await self._start(partial(self._draft.seal, self.size))
            await self._finish_job()
            body = Body(file=self._draft.name)
        self._ended = True
        return await self._home.commit_body(self._address, version, body, owed, replica=replica, pending=pending)

    async def abort(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._pieces.clear()
        gone: Future[None] = Future()
        if self._job is None:
            self._drop(gone)
        else:
            self._job.add_done_callback(lambda _: self._drop(gone))
        await self._home.answers.of(gone)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self.abort()

    async def _finish(self) -> bool:
        """Have all written; False where it is to lie in the row."""
        await self._finish_job()
        if self._draft is None:
            return False
        if self._pieces:
            await self._hand_over()
            await self._finish_job()
        return True

    async def _hand_over(self) -> None:
        await self._finish_job()
        pieces, self._pieces, self._waiting = self._pieces, [], 0
        await self._start(partial(self._append if self._draft else self._open, pieces))

    async def _start(self, work: partial[None]) -> None:
        """Behind the job that runs, one at a time."""
        await self._finish_job()
        self._job = submit(self._home.writers, work)

    async def _finish_job(self) -> None:
        if self._job is None:
            return
        if self._job.done():  # no way round by the loop
            self._job.result()
        else:
            await self._home.answers.of(self._job)

    def _open(self, pieces: list[bytes]) -> None:
        self._draft = self._home.files.draft(self._address, self._expected, cached=self._cached)
        self._append(pieces)

    def _append(self, pieces: list[bytes]) -> None:
        assert self._draft is not None
        if self._sum is not None:
            for piece in pieces:
                self._sum.update(piece)
        self._draft.append(pieces)
        pieces.clear()  # the thread's frame would have them until its next job

    def _drop(self, gone: Future[None]) -> None:
        """Where the pool has ended, the process that ends leaves it to the sweep."""

        def work() -> None:
            try:
                if self._draft is not None:
                    self._draft.drop()
            finally:
                gone.set_result(None)

        try:
            self._home.writers.submit(work)
        except RuntimeError:
            gone.set_result(None)


class LocalReading:
    """A row as it was, and the file open that it named."""

    def __init__(
        self, answers: Answers, readers: ThreadPoolExecutor, version: Version, inline: bytes | None, fd: int
    ) -> None:
        self._answers = answers
        self._readers = readers
        self._fd = fd
        self.version = version
        self.inline = inline

    def file(self) -> FileSlice | None:
        return FileSlice(self._fd, 0, self.version.size) if self._fd >= 0 else None

    async def chunks(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        end = self.version.size if end is None else min(end, self.version.size)
        if self.inline is not None:
            if start < end:
                yield self.inline[start:end]
            return
        while start < end:
            piece = await self._answers.of(submit(self._readers, partial(files.read, self._fd, start, end - start)))
            start += len(piece)
            yield piece

    async def close(self) -> None:
        self.drop()

    def drop(self) -> None:
        """As `close`, in any thread."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self.close()


def close_unread(job: Future[LocalReading | Entry | None]) -> None:
    """Whoever asked for it is gone."""
    if not job.cancelled() and job.exception() is None and isinstance(found := job.result(), LocalReading):
        found.drop()
