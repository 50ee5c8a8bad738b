# SPDX-License-Identifier: Apache-2.0
"""A device that is a folder: a catalogue in SQLite, and files of the bodies that are too large for it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from cumulet.kernel import faults, lock
from cumulet.kernel.errors import Conflict
from cumulet.services.object_store.drivers.base import (
    Audited,
    Capabilities,
    DeviceFull,
    DeviceGone,
    Digest,
    Quarantined,
    Space,
)
from cumulet.services.object_store.drivers.local import auditor, catalogue, files
from cumulet.services.object_store.drivers.local import catalogue_reads as reads
from cumulet.services.object_store.drivers.local import catalogue_rows as rows
from cumulet.services.object_store.drivers.local.answers import Answers
from cumulet.services.object_store.drivers.local.bodies import LocalReading, LocalUpload, close_unread, submit
from cumulet.services.object_store.drivers.local.catalogue import Change
from cumulet.services.object_store.drivers.local.catalogue_rows import Body
from cumulet.services.object_store.drivers.local.hot import HotRows, Row
from cumulet.services.object_store.drivers.local.ledger import Ledger
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.objects import (
    Address,
    Entry,
    Fragment,
    Kind,
    Outcome,
    OwedUpdate,
    Update,
    Version,
)

T = TypeVar("T")

CATALOGUE = "catalogue.db"
LOCK = "lock"
THREADS = 4  # that write bodies, and as many that read
_TRIES = 8  # of a reader, whose file was replaced before it was open


class LocalDevice:
    """The folder `root`, made with `files.make`, written by this process alone.

    With `durable`, a write is acknowledged when the row that makes it is flushed, and before that the file of its body,
    and the name of that file: it outlives a power cut, on disks that keep what they say is flushed. Without it nothing
    is flushed: what was acknowledged outlives the end of the process, but after a power cut the last writes may be
    lost, or the whole catalogue unreadable; then the device is emptied and filled again from its replicas.

    The file of an older body is removed only after the row that replaces it is there for good. `reserve`: bytes that
    are never written to. LIMITATIONS: a damaged page of the catalogue is
    found only when it is read, and ends in DeviceGone; a body is compared with its MD5 by audits, not when it is read.
    """

    def __init__(
        self, root: Path, name: str, loop: asyncio.AbstractEventLoop, *, durable: bool = True, reserve: int = 0
    ) -> None:
        self.id = name
        self.capabilities = Capabilities(durable=durable)
        self.answers = Answers(loop)
        self._closed = False
        self._broken = ""
        with ExitStack() as undo:
            files.check(root, name)
            try:
                self._lock = undo.enter_context(lock.hold(root / LOCK))
            except lock.Held as error:
                raise Conflict(f"The device is in use: {error}.", code="DeviceInUse") from error
            except OSError as error:
                raise files.explained(error) from error
            self.files = files.Files(root, name, durable=durable, reserve=reserve)
            undo.callback(self.files.close)
            try:
                self._ledger = Ledger(root / CATALOGUE, rows.SCHEMA, durable=durable)
            except sqlite3.Error as error:
                raise self._explained(error) from error
            undo.callback(self._ledger.close)
            self.writers = ThreadPoolExecutor(THREADS, "object-write")
            self._readers = ThreadPoolExecutor(THREADS, "object-read")
            self._hot = HotRows()
            undo.callback(self._hot.clear)
            self._undo = undo.pop_all()

    @classmethod
    async def open(cls, root: Path, name: str, *, durable: bool = True, reserve: int = 0) -> LocalDevice:
        """On the loop that runs. DeviceGone where the folder is not the device `name`, Conflict (`DeviceInUse`)."""
        loop = asyncio.get_running_loop()
        make = partial(cls, root, name, loop, durable=durable, reserve=reserve)
        return await loop.run_in_executor(None, make)

    async def begin(
        self, address: Address, size: int | None = None, *, summed: bool = False, cached: bool = True
    ) -> LocalUpload:
        self._check()
        if not self.files.has_room(size or 0):
            raise DeviceFull("The device is full.", code="DeviceFull")
        upload = LocalUpload(self, address, size, summed, cached)
        try:
            await upload.prepare()
        except BaseException:
            await upload.abort()
            raise
        return upload

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
        if pending:
            return await self._change(
                address, lambda say: catalogue.pend(say, address, version, body), "pend", body.file
            )
        return await self._change(
            address, lambda say: catalogue.put(say, address, version, body, owed, replica), "put", body.file
        )

    async def post(
        self, address: Address, update: Update, owed: Sequence[OwedUpdate] = (), *, expired_too: bool = False
    ) -> Outcome:
        return await self._change(address, lambda say: catalogue.post(say, address, update, owed, expired_too), "post")

    async def delete(
        self, address: Address, stamp: int, owed: Sequence[OwedUpdate] = (), *, if_delete_at: int | None = None
    ) -> Outcome:
        return await self._change(
            address, lambda say: catalogue.delete(say, address, stamp, owed, if_delete_at), "delete"
        )

    async def settle(self, address: Address, version: Version) -> Outcome:
        return await self._change(address, lambda say: catalogue.settle(say, address, version), "settle")

    async def head(self, address: Address) -> Version | None:
        self._check()
        if (row := self._hot.get(address)) is not None:
            return row.version
        return await self._look(lambda say: reads.version_of(say, address))

    async def read(self, address: Address, stamp: int = 0) -> LocalReading | None:
        self._check()
        if not stamp and (row := self._hot.get(address)) is not None:
            return LocalReading(self.answers, self._readers, row.version, row.body, -1)
        asked = self._hot.ask(address)
        job = submit(self._readers, partial(self._open, address, stamp))
        try:
            found = await self._answer(job)
        except asyncio.CancelledError:
            job.add_done_callback(close_unread)
            raise
        except OSError as error:
            raise files.explained(error) from error
        if isinstance(found, Entry):
            if not await self.quarantine(found, "its file is missing or of another size") and stamp:
                await self.withdraw(address, stamp)
            return None
        if found is not None and found.inline is not None and not stamp:
            self._hot.keep(address, Row(found.version, found.inline), asked)
        return found

    async def confirm(self, address: Address, stamp: int, owed: Sequence[OwedUpdate] = ()) -> Outcome:
        return await self._change(address, lambda say: catalogue.confirm(say, address, stamp, owed), "confirm")

    async def withdraw(self, address: Address, stamp: int) -> bool:
        done = self._submit(lambda say: catalogue.withdraw(say, address, stamp), "withdraw")
        done.add_done_callback(self._settled)
        return await self._answer(done) is not None

    async def fragments(self, address: Address) -> list[Fragment]:
        return await self._look(lambda say: reads.fragments(say, address))

    async def pending(self, after: int = 0, limit: int = 1000) -> list[Fragment]:
        return await self._look(lambda say: reads.pending(say, after, limit))

    async def partitions(self) -> list[tuple[int, int]]:
        return await self._look(reads.partitions)

    async def digests(self, policy: int, partition: int) -> dict[int, Digest]:
        return await self._look(lambda say: reads.digests(say, policy, partition))

    async def entries(
        self, policy: int, partition: int, suffix: int | None = None, after: str = "", limit: int = 1000
    ) -> list[Entry]:
        return await self._look(lambda say: reads.entries(say, policy, partition, suffix, after, limit))

    async def remove(self, entry: Entry) -> bool:
        done = self._submit(lambda say: catalogue.remove(say, entry), "remove", entry.address)
        done.add_done_callback(self._settled)
        return await self._answer(done) is not None

    async def quarantine(self, entry: Entry, reason: str) -> bool:
        at = stamps.now()
        return await self._answer(
            self._submit(lambda say: catalogue.quarantine(say, entry, reason, at), "quarantine", entry.address)
        )

    async def quarantined(self, after: int = 0, limit: int = 1000) -> list[Quarantined]:
        return await self._look(lambda say: reads.quarantined(say, after, limit))

    async def owed(self, after: int = 0, limit: int = 1000) -> list[OwedUpdate]:
        return await self._look(lambda say: reads.owed(say, after, limit))

    async def paid(self, ids: Sequence[int]) -> None:
        await self._answer(self._submit(lambda say: catalogue.pay(say, ids), "paid"))

    async def expired(self, before: int, after: tuple[int, str] = (0, ""), limit: int = 1000) -> list[Entry]:
        return await self._look(lambda say: reads.expired(say, before, after, limit))

    async def space(self) -> Space:
        self._check()
        return self.files.space()

    async def reclaim(self, before: int, limit: int = 1000) -> int:
        done = self._submit(lambda say: catalogue.reclaim(say, before, limit), "reclaim")
        count, doomed = await self._answer(done)
        for name in doomed:
            await self._in(self.writers, partial(self.files.remove, name))
        return count

    async def sweep(self) -> int:
        return await self._in(self.writers, self._sweep)

    async def audit(self, after: int = 0, size: int = 64 << 20) -> Audited:
        found = await self._in(self._readers, partial(self._audit, after, size))
        damaged = [each.entry for each in found.damaged if await self.quarantine(each.entry, each.reason)]
        return Audited(found.next, found.entries, found.bytes, tuple(entry.address for entry in damaged))

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(None, self._close)

    # Below: what the verbs are made of.

    def _check(self) -> None:
        if self._closed:
            raise DeviceGone("The device is closed.", code="DeviceGone")
        if self._broken:
            raise DeviceGone(f"The device failed: {self._broken}.", code="DeviceGone")
        self.files.check_lately()

    def _submit(self, work: Callable[[sqlite3.Connection], T], verb: str, address: Address | None = None) -> Future[T]:
        """What changes the row of an `address` says so."""
        self._check()

        def piece(say: sqlite3.Connection) -> T:
            done = work(say)
            faults.point(f"object_device.{verb}:row")
            return done

        start = partial(self._ledger.submit, piece)
        try:
            return start() if address is None else self._hot.during(address, start)
        except RuntimeError as error:
            raise DeviceGone("The device is closed.", code="DeviceGone") from error

    async def _change(
        self,
        address: Address,
        work: Callable[[sqlite3.Connection], Change],
        verb: str,
        own_file: str | None = None,
    ) -> Outcome:
        try:
            done = self._submit(work, verb, address)
        except BaseException:
            self._unlink(own_file)
            raise
        done.add_done_callback(lambda ended: self._settled(ended, own_file))
        return (await self._answer(done)).outcome

    async def _answer(self, work: Future[T]) -> T:
        try:
            return await self.answers.of(work)
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            raise self._explained(error) from error

    async def _look(self, query: Callable[[sqlite3.Connection], T]) -> T:
        def work() -> T:
            with self._ledger.reading() as say:
                return query(say)

        return await self._in(self._readers, work)

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        self._check()
        job = submit(pool, work)
        try:
            return await self._answer(job)
        except OSError as error:
            raise files.explained(error) from error

    def _explained(self, error: Exception) -> DeviceFull | DeviceGone:
        """What SQLite says, as the device's error. After any but a full disk nobody knows what is there: it is over."""
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_FULL":
            return DeviceFull("The device is full.", code="DeviceFull")
        self._broken = self._broken or f"{name or type(error).__name__}: {error}"
        return DeviceGone(f"The device failed: {self._broken}.", code="DeviceGone")

    def _settled(self, done: Future[Change] | Future[Change | None], own_file: str | None = None) -> None:
        """In the ledger's thread, whoever waits or does not any more: remove what nothing names."""
        error = done.exception()
        if error is None:
            faults.point("object_device.committed")
            change = done.result()
            doomed = change.doomed if change else ()
            if own_file is not None and own_file not in doomed:
                self.files.settled(own_file)
            for name in doomed:
                self._unlink(name)
        elif not isinstance(error, sqlite3.Error) or getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
            self._unlink(own_file)
        # Else the row may be in the log for all we know, and be there again after the next start: the file stays.

    def _unlink(self, name: str | None) -> None:
        if name is None:
            return

        def work() -> None:
            self.files.remove(name)
            self.files.settled(name)

        try:
            self.writers.submit(work)
        except RuntimeError:
            work()

    def _open(self, address: Address, stamp: int) -> LocalReading | Entry | None:
        """An Entry where the file is not what the row says."""
        last: Body | None = None
        for _ in range(_TRIES):
            with self._ledger.reading() as say:
                found = rows.open_row(say, address, stamp)
            if found is None or found.version.kind is Kind.TOMBSTONE:
                return None
            version, body = found.version, found.body
            if body.file is None:
                if body.inline is None or len(body.inline) != version.size:
                    return Entry(address, version)
                return LocalReading(self.answers, self._readers, version, body.inline, -1)
            try:
                fd = self.files.open(body.file)
            except FileNotFoundError:
                if body == last:  # not replaced meanwhile
                    self.files.check()
                    return Entry(address, version)
                last = body
                continue
            if os.fstat(fd).st_size != version.size:
                os.close(fd)
                return Entry(address, version)
            return LocalReading(self.answers, self._readers, version, None, fd)
        raise DeviceGone("The object is replaced all the time.", code="DeviceGone")

    def _sweep(self) -> int:
        count = 0
        for name, policy, partition, name_hash in self.files.walk():
            if self.files.is_under_way(name):
                continue
            # The row is looked for only now: who has settled since has committed it.
            with self._ledger.reading() as say:
                named = reads.is_named(say, name, policy, partition, name_hash)
            if not named:
                count += self.files.remove(name)
        return count

    def _audit(self, after: int, size: int) -> auditor.Pass:
        with self._ledger.reading() as say:
            return auditor.walk(say, self.files, after, size)

    def _close(self) -> None:
        self.writers.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self._undo.close()
