# SPDX-License-Identifier: Apache-2.0
"""Indexes in one SQLite file of a device: what comes for any of them while a commit is flushed goes into the next."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from cumulet.services.object_store.drivers import index_rules as rules
from cumulet.services.object_store.drivers.base import DeviceFull, DeviceGone
from cumulet.services.object_store.drivers.local import index_listing, index_rows, index_upkeep
from cumulet.services.object_store.drivers.local.index_pot import Pot
from cumulet.services.object_store.drivers.local.index_sheets import SCHEMA, load, needed, sweep
from cumulet.services.object_store.drivers.local.ledger import Ledger
from cumulet.services.object_store.types.indexes import (
    Changed,
    ContainerRow,
    FoundRange,
    IndexState,
    Info,
    Key,
    Listed,
    ListedContainer,
    Listing,
    MetadataLimits,
    ObjectRow,
    Peer,
    Placed,
    ShardRange,
)

T = TypeVar("T")

FILE = "index.db"
READERS = 2
PORTION = 2000  # rows of garbage in one commit


class LocalIndex:
    """The indexes in `folder` of a device, which nobody else has open. `durable` as for `Ledger`.

    LIMITATIONS: a listing with a delimiter asks the file once for each subdir (about 10 us); sync points of peers
    that are gone stay until they are set to -1.
    """

    def __init__(self, folder: Path, *, durable: bool = True, readers: int = READERS) -> None:
        self._ledger = Ledger(folder / FILE, SCHEMA, durable=durable, cache=8192)
        self._pool = ThreadPoolExecutor(readers, "index")
        self._identity, last = self._ledger.submit(_begin).result()
        self._numbers = itertools.count(last + 1)
        self._pot = Pot(self._ledger, self._numbers, _fault)
        self._ledger.submit(self._sweep)

    @property
    def identity(self) -> str:
        return self._identity

    async def put(
        self,
        key: Key,
        stamp: int,
        *,
        policy: int | None = None,
        default_policy: int = 0,
        metadata: Mapping[str, str] | None = None,
        limits: MetadataLimits | None = None,
    ) -> Placed:
        rules.check_key(key)
        words = metadata or {}
        return await self._write(index_upkeep.put, key, stamp, policy, default_policy, words, limits)

    async def delete(self, key: Key, stamp: int) -> bool:
        rules.check_key(key)
        return await self._write(index_upkeep.delete, key, stamp)

    async def set_metadata(
        self, key: Key, stamp: int, metadata: Mapping[str, str], limits: MetadataLimits | None = None
    ) -> None:
        rules.check_key(key)
        await self._write(index_upkeep.set_metadata, key, stamp, metadata, limits)

    async def info(self, key: Key) -> Info | None:
        rules.check_key(key)
        sheet = await self._read(load, key)
        return sheet.info if sheet else None

    async def merge_state(self, key: Key, state: IndexState) -> Info:
        rules.check_key(key)
        return await self._write(index_upkeep.merge_state, key, state)

    async def merge_objects(
        self, key: Key, rows: Sequence[ObjectRow], *, source: Peer | None = None, point: int = 0
    ) -> int:
        rules.check_key(key, container=True)
        rules.check_objects(rows)
        self._check()
        return await self._pot.merge(key, rows, source, point)

    async def merge_containers(
        self, key: Key, rows: Sequence[ContainerRow], *, source: Peer | None = None, point: int = 0
    ) -> int:
        rules.check_key(key, container=False)
        rules.check_containers(rows)
        return await self._write(index_rows.merge_containers, key, rows, source, point)

    async def list_objects(self, key: Key, listing: Listing) -> tuple[Info, list[Listed]]:
        rules.check_key(key, container=True)
        rules.check_listing(listing)
        return await self._read(index_listing.list_objects, key, listing)

    async def list_containers(self, key: Key, listing: Listing) -> tuple[Info, list[ListedContainer]]:
        rules.check_key(key, container=False)
        rules.check_listing(listing)
        return await self._read(index_listing.list_containers, key, listing)

    async def changed(self, since: int, limit: int = 1000) -> list[Changed]:
        return await self._read(index_upkeep.changed, since, limit)

    async def object_rows(
        self, key: Key, since: int, limit: int = 1000, *, misplaced: bool = False
    ) -> list[tuple[int, ObjectRow]]:
        rules.check_key(key, container=True)
        return await self._read(index_rows.changed_objects, key, since, limit, misplaced)

    async def container_rows(self, key: Key, since: int, limit: int = 1000) -> list[tuple[int, ContainerRow]]:
        rules.check_key(key, container=False)
        return await self._read(index_rows.changed_containers, key, since, limit)

    async def sync_points(self, key: Key) -> dict[Peer, int]:
        return await self._read(index_rows.sync_points, key)

    async def set_sync_point(self, key: Key, peer: Peer, point: int) -> None:
        def work(connection: sqlite3.Connection) -> None:
            index_rows.set_point(connection, needed(connection, key, metadata=False).number, peer, point)

        await self._submit(work)

    async def drop(self, key: Key, change: int) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            return index_upkeep.drop(connection, key, change)

        done = await self._submit(work)
        self._tidy()
        return done

    async def reclaim(self, key: Key, before: int, limit: int = 10_000) -> int:
        rules.check_stamp(before)
        found = await self._read(index_upkeep.tombstones, key, before, limit)
        await self._write(index_upkeep.reclaim, key, before, found, len(found) < limit)
        self._tidy()
        return len(found)

    async def owed(self, limit: int = 1000, after: int = 0) -> list[tuple[int, Key, ContainerRow]]:
        return await self._read(index_upkeep.owed, limit, after)

    async def reported(self, key: Key, row: ContainerRow) -> None:
        rules.check_key(key, container=True)
        rules.check_containers([row])
        await self._submit(lambda connection: index_upkeep.reported(connection, key, row))

    async def merge_ranges(self, key: Key, ranges: Sequence[ShardRange]) -> None:
        rules.check_key(key, container=True)
        rules.check_ranges(ranges)
        await self._write(index_upkeep.merge_ranges, key, ranges)

    async def ranges(
        self,
        key: Key,
        *,
        marker: str = "",
        end_marker: str = "",
        includes: str | None = None,
        states: Sequence[int] = (),
        deleted: bool = False,
        own: bool = False,
    ) -> list[ShardRange]:
        def work(connection: sqlite3.Connection) -> list[ShardRange]:
            return index_upkeep.every_range(connection, needed(connection, key).number)

        return rules.chosen_ranges(await self._read(work), key, marker, end_marker, includes, states, deleted, own)

    async def find_ranges(
        self, key: Key, size: int, *, lower: str = "", upper: str = "", limit: int = -1, minimum: int = 1
    ) -> tuple[list[FoundRange], bool]:
        rules.check_key(key, container=True)
        rules.check_splitting(size)
        return await self._read(index_listing.find_ranges, key, size, lower, upper, limit, minimum)

    async def set_sharding(self, key: Key, sharding: str) -> None:
        rules.check_key(key, container=True)
        rules.check_sharding(sharding)
        await self._write(index_upkeep.set_sharding, key, sharding)

    async def named_rows(
        self, key: Key, lower: str = "", upper: str = "", limit: int = 1000, *, reverse: bool = False
    ) -> tuple[Info, list[ObjectRow]]:
        rules.check_key(key, container=True)
        rules.check_span(lower, upper, limit)
        return await self._read(index_listing.named_rows, key, lower, upper, limit, reverse)

    async def remove_rows(self, key: Key, rows: Sequence[ObjectRow]) -> int:
        rules.check_key(key, container=True)
        return await self._write(index_rows.remove_rows, key, rows)

    async def audit(self, key: Key, *, mend: bool = False) -> list[str]:
        number, said, true, astray = await self._read(index_upkeep.count_rows, key)
        found = rules.differences(said[0], true[0])
        if said[1] != true[1]:
            found.append("the digest is not that of the rows")
        if found and mend:
            await self._write(index_upkeep.mend, key, number, said, true)
        return found + ([f"{astray} rows lie among tombstones and are none, or the other way round"] if astray else [])

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._pool.shutdown()
        self._ledger.close()

    def _sweep(self, connection: sqlite3.Connection) -> None:
        if sweep(connection, PORTION):
            self._tidy()

    def _tidy(self) -> None:
        with contextlib.suppress(RuntimeError):  # closed: the rest is swept when it is opened again
            self._ledger.submit(self._sweep)

    async def _write(self, work: Callable[..., T], *values: Any) -> T:
        return await self._submit(lambda connection: work(connection, self._numbers, *values))

    async def _submit(self, work: Callable[[sqlite3.Connection], T]) -> T:
        # A caller that is gone takes back nothing: its work may be in a commit already.
        self._check()
        try:
            submitted = self._ledger.submit(work)
        except RuntimeError as error:
            raise DeviceGone("The device is closed.", code="DeviceGone") from error
        try:
            return await asyncio.shield(asyncio.wrap_future(submitted))
        except sqlite3.Error as error:
            raise _fault(error) from error

    def _check(self) -> None:
        if self._ledger.failed:
            raise DeviceGone(f"The device failed: {self._ledger.failed}.", code="DeviceGone")

    async def _read(self, work: Callable[..., T], *values: Any) -> T:
        self._check()
        try:
            read = asyncio.get_running_loop().run_in_executor(self._pool, self._look, work, values)
        except RuntimeError as error:
            raise DeviceGone("The device is closed.", code="DeviceGone") from error
        try:
            return await read
        except sqlite3.Error as error:
            raise _fault(error) from error

    def _look(self, work: Callable[..., T], values: Sequence[Any]) -> T:
        with self._ledger.reading() as connection:
            connection.execute("BEGIN")  # one snapshot for all that it asks
            try:
                return work(connection, *values)
            finally:
                connection.execute("COMMIT")


def _begin(connection: sqlite3.Connection) -> tuple[str, int]:
    """The identity of the file, made with it, and its last change."""
    say = connection.execute
    say("INSERT OR IGNORE INTO device (word, value) VALUES ('identity', ?), ('floor', 0)", (secrets.token_hex(16),))
    identity, floor = (
        say("SELECT value FROM device WHERE word = ?", (word,)).fetchone()[0] for word in ("identity", "floor")
    )
    return identity, max(floor, say("SELECT coalesce(max(change), 0) FROM indexes").fetchone()[0])


def _fault(error: BaseException) -> BaseException:
    """What the file says, as the device's error."""
    if not isinstance(error, sqlite3.Error):
        return error
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
        return DeviceFull("The device is full.", code="DeviceFull")
    return DeviceGone(f"The device does not answer: {error}.", code="DeviceGone")
