# SPDX-License-Identifier: Apache-2.0
"""Indexes in memory, complete. Listings look at every name, in order, and so tell what those of others should be."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from cumulet.kernel.errors import NotFound
from cumulet.services.object_store.drivers import index_rules as rules
from cumulet.services.object_store.types import merges
from cumulet.services.object_store.types.indexes import (
    Changed,
    ContainerRow,
    Count,
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


class _Book(msgspec.Struct):
    number: int
    info: Info
    objects: dict[tuple[int, str], tuple[int, ObjectRow]] = {}
    containers: dict[str, tuple[int, ContainerRow]] = {}
    ranges: dict[str, ShardRange] = {}
    points: dict[Peer, int] = {}


class FakeIndex:
    """Nothing outlives it."""

    def __init__(self) -> None:
        self._books: dict[Key, _Book] = {}
        self._identity = secrets.token_hex(16)
        self._changes = itertools.count(1)
        self._numbers = itertools.count(1)

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
        info, created = rules.opened(self._known(key), key, stamp, policy, default_policy, metadata or {})
        if metadata:
            rules.check_limits(info.state.metadata, limits)
        return Placed(created, self._keep(info).policy)

    async def delete(self, key: Key, stamp: int) -> bool:
        rules.check_key(key)
        info, existed = rules.closed(self._known(key), stamp)
        self._keep(info)
        return existed

    async def set_metadata(
        self, key: Key, stamp: int, metadata: Mapping[str, str], limits: MetadataLimits | None = None
    ) -> None:
        rules.check_key(key)
        info = rules.described(self._known(key), stamp, metadata)
        rules.check_limits(info.state.metadata, limits)
        self._keep(info)

    async def info(self, key: Key) -> Info | None:
        rules.check_key(key)
        return self._known(key)

    async def merge_state(self, key: Key, state: IndexState) -> Info:
        rules.check_key(key)
        return self._keep(rules.taken_over(self._known(key), key, state))

    async def merge_objects(
        self, key: Key, rows: Sequence[ObjectRow], *, source: Peer | None = None, point: int = 0
    ) -> int:
        rules.check_key(key, container=True)
        rules.check_objects(rows)
        book = self._needed(key)
        if book.info.fenced:
            raise rules.moved()
        news = self._put_objects(book, rows)
        if source is not None:
            await self.set_sync_point(key, source, point)
        return news

    async def merge_containers(
        self, key: Key, rows: Sequence[ContainerRow], *, source: Peer | None = None, point: int = 0
    ) -> int:
        rules.check_key(key, container=False)
        rules.check_containers(rows)
        book = self._needed(key)
        before = {name: row for name, (_, row) in book.containers.items()}
        after = dict(before)
        for row in rows:
            old = after.get(row.name)
            after[row.name] = row if old is None else merges.merged_container(old, row)
        news = [row for name, row in after.items() if before.get(name) != row]
        book.containers |= {row.name: (next(self._changes), row) for row in news}
        if news:
            last = book.containers[news[-1].name][0]
            self._count(book, last, {before[row.name].policy for row in news if row.name in before})
        if source is not None:
            await self.set_sync_point(key, source, point)
        return len(news)

    async def list_objects(self, key: Key, listing: Listing) -> tuple[Info, list[Listed]]:
        rules.check_key(key, container=True)
        rules.check_listing(listing)
        book = self._present(key)
        policy = book.info.policy if listing.policy is None else listing.policy
        rows = [
            (row.name, row.meta_stamp, row.size if row.shown < 0 else row.shown, row.content_type, row.etag)
            for (row_policy, _), (_, row) in sorted(book.objects.items())
            if row.deleted == listing.gone and policy in (row_policy, -1)
        ]
        return book.info, _listed(rows, listing, (0, 0, None, ""))

    async def list_containers(self, key: Key, listing: Listing) -> tuple[Info, list[ListedContainer]]:
        rules.check_key(key, container=False)
        rules.check_listing(listing)
        book = self._present(key)
        rows = [
            (row.name, row.objects, row.bytes, row.put, row.policy)
            for _, row in book.containers.values()
            if row.gone == listing.gone
        ]
        return book.info, _listed(rows, msgspec.structs.replace(listing, path=None), (0, 0, 0, -1))

    async def changed(self, since: int, limit: int = 1000) -> list[Changed]:
        found = [Changed(key, book.info.change, book.info.digest) for key, book in self._books.items()]
        return sorted((each for each in found if each.change > since), key=lambda each: each.change)[:limit]

    async def object_rows(
        self, key: Key, since: int, limit: int = 1000, *, misplaced: bool = False
    ) -> list[tuple[int, ObjectRow]]:
        rules.check_key(key, container=True)
        book = self._needed(key)
        rows = [
            (change, row)
            for change, row in book.objects.values()
            if change > since and not (misplaced and row.policy == book.info.policy)
        ]
        return sorted(rows, key=lambda each: each[0])[:limit]

    async def container_rows(self, key: Key, since: int, limit: int = 1000) -> list[tuple[int, ContainerRow]]:
        rules.check_key(key, container=False)
        rows = [each for each in self._needed(key).containers.values() if each[0] > since]
        return sorted(rows, key=lambda each: each[0])[:limit]

    async def sync_points(self, key: Key) -> dict[Peer, int]:
        return dict(self._needed(key).points)

    async def set_sync_point(self, key: Key, peer: Peer, point: int) -> None:
        points = self._needed(key).points
        if point < 0:
            points.pop(peer, None)
        else:
            points[peer] = max(point, points.get(peer, 0))

    async def drop(self, key: Key, change: int) -> bool:
        book = self._books.get(key)
        if book is not None and book.info.change != change:
            return False
        self._books.pop(key, None)
        return True

    async def reclaim(self, key: Key, before: int, limit: int = 10_000) -> int:
        rules.check_stamp(before)
        book = self._needed(key)
        objects = [place for place, (_, row) in book.objects.items() if row.deleted and row.stamp < before][:limit]
        containers = [name for name, (_, row) in book.containers.items() if row.gone and row.deleted < before][:limit]
        for place in objects:
            del book.objects[place]
        for name in containers:
            del book.containers[name]
        done = len(objects) + len(containers)
        if done:
            self._count(book, next(self._changes))
        if done < limit:
            self._reclaim_rest(book, before)
        return done

    def _reclaim_rest(self, book: _Book, before: int) -> None:
        info = book.info
        if rules.forgettable(info, before):
            del self._books[info.key]
            return
        kept = {key: each for key, each in info.state.metadata.items() if each[0] or each[1] >= before}
        book.info = msgspec.structs.replace(info, state=msgspec.structs.replace(info.state, metadata=kept))
        old = [name for name, each in book.ranges.items() if each.deleted and each.stamp < before]
        for name in old:
            if name != "/".join(info.key):
                del book.ranges[name]

    async def owed(self, limit: int = 1000, after: int = 0) -> list[tuple[int, Key, ContainerRow]]:
        found = [(book.number, key, book.info.report(0)) for key, book in self._books.items() if book.info.owed]
        return sorted(each for each in found if each[0] > after)[:limit]

    async def reported(self, key: Key, row: ContainerRow) -> None:
        rules.check_key(key, container=True)
        rules.check_containers([row])
        book = self._needed(key)
        book.info = msgspec.structs.replace(book.info, reported=msgspec.structs.replace(row, counted=0))

    async def merge_ranges(self, key: Key, ranges: Sequence[ShardRange]) -> None:
        rules.check_key(key, container=True)
        rules.check_ranges(ranges)
        book = self._needed(key)
        before = dict(book.ranges)
        for each in ranges:
            old = book.ranges.get(each.name)
            book.ranges[each.name] = each if old is None else merges.merged_range(old, each)
        if book.ranges != before:
            usage = rules.usage_of(key, list(book.ranges.values()))
            book.info = msgspec.structs.replace(book.info, usage=usage, change=next(self._changes))

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
        every = self._needed(key).ranges.values()
        return rules.chosen_ranges(every, key, marker, end_marker, includes, states, deleted, own)

    async def find_ranges(
        self, key: Key, size: int, *, lower: str = "", upper: str = "", limit: int = -1, minimum: int = 1
    ) -> tuple[list[FoundRange], bool]:
        rules.check_key(key, container=True)
        rules.check_splitting(size)
        live = sorted(name for (_, name), (_, row) in self._needed(key).objects.items() if not row.deleted)
        minimum = max(minimum, 1)
        if size + minimum > len(live):
            return [], False
        if lower and upper and lower >= upper:
            return [], True
        left = [name for name in live if name > lower and (not upper or name <= upper)]
        found: list[FoundRange] = []
        while limit < 0 or len(found) < limit:
            if len(left) < size + minimum or left[size - 1] == upper:
                return [*found, FoundRange(lower, upper, len(left))], True
            found.append(FoundRange(lower, left[size - 1], size))
            lower, left = left[size - 1], left[size:]
        return found, False

    async def set_sharding(self, key: Key, sharding: str) -> None:
        rules.check_key(key, container=True)
        rules.check_sharding(sharding)
        book = self._needed(key)
        if book.info.sharding != sharding:
            book.info = msgspec.structs.replace(book.info, sharding=sharding, change=next(self._changes))

    async def named_rows(
        self, key: Key, lower: str = "", upper: str = "", limit: int = 1000, *, reverse: bool = False
    ) -> tuple[Info, list[ObjectRow]]:
        rules.check_key(key, container=True)
        rules.check_span(lower, upper, limit)
        book = self._needed(key)
        rows = [row for _, row in book.objects.values() if row.name >= lower and (not upper or row.name < upper)]
        rows.sort(key=lambda row: row.policy)
        rows.sort(key=lambda row: row.name, reverse=reverse)
        return book.info, [row for at, row in enumerate(rows) if at < limit or row.name == rows[limit - 1].name]

    async def remove_rows(self, key: Key, rows: Sequence[ObjectRow]) -> int:
        rules.check_key(key, container=True)
        book = self._needed(key)
        same = {(row.policy, row.name) for row in rows}
        same = {place for place in same if place in book.objects and book.objects[place][1] in rows}
        for place in same:
            del book.objects[place]
        if same:
            self._count(book, next(self._changes))
        return len(same)

    async def audit(self, key: Key, *, mend: bool = False) -> list[str]:
        self._needed(key)
        return []

    async def close(self) -> None:
        self._books.clear()

    def _known(self, key: Key) -> Info | None:
        book = self._books.get(key)
        return book.info if book else None

    def _needed(self, key: Key) -> _Book:
        rules.check_key(key)
        book = self._books.get(key)
        if book is None:
            raise NotFound("There is no such index.")
        return book

    def _present(self, key: Key) -> _Book:
        book = self._needed(key)
        if not book.info.exists:
            raise NotFound("There is no such index.")
        return book

    def _keep(self, info: Info) -> Info:
        book = self._books.get(info.key)
        if book is None:
            book = self._books[info.key] = _Book(next(self._numbers), info)
        elif book.info == info:
            return info
        book.info = msgspec.structs.replace(info, change=next(self._changes))
        return book.info

    def _put_objects(self, book: _Book, rows: Iterable[ObjectRow]) -> int:
        before = {place: row for place, (_, row) in book.objects.items()}
        after = dict(before)
        for row in map(merges.normal_object, rows):
            old = after.get((row.policy, row.name))
            after[row.policy, row.name] = row if old is None else merges.merged_object(old, row)
        news = {place: row for place, row in after.items() if before.get(place) != row}
        book.objects |= {place: (next(self._changes), row) for place, row in news.items()}
        if news:
            self._count(book, book.objects[next(reversed(news))][0])
        return len(news)

    def _count(self, book: _Book, change: int, also: Iterable[int] = ()) -> None:
        """Anew from all rows; `also` are policies that had some."""
        counts = {policy: Count() for policy in (*book.info.counts, *also)}
        digest = 0
        every: list[tuple[Any, int]] = [(row, merges.object_digest(row)) for _, row in book.objects.values()]
        every += [(row, merges.container_digest(row)) for _, row in book.containers.values()]
        for row, number in every:
            counts[row.policy] = counts.get(row.policy, Count()).plus(rules.count_of(row))
            digest ^= number
        book.info = msgspec.structs.replace(book.info, counts=counts, digest=digest.to_bytes(16), change=change)


def _listed(rows: Iterable[tuple[Any, ...]], listing: Listing, subdir: tuple[Any, ...]) -> list[Any]:
    """All that the words of a listing say, one after the other, of every row."""
    first, last = (listing.end_marker, listing.marker) if listing.reverse else (listing.marker, listing.end_marker)
    path, prefix, delimiter = listing.path, listing.prefix, listing.delimiter
    if path is not None:
        prefix, delimiter = (path.rstrip("/") + "/" if path else ""), "/"
    listed: list[Any] = []
    for row in sorted(rows, key=lambda each: each[0], reverse=listing.reverse):
        name = row[0]
        hidden = name.startswith("\0") and not listing.reserved
        if hidden or not name.startswith(prefix) or name <= first or (last and name >= last):
            continue
        head, found, tail = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
        if path is not None:
            if (prefix and name == prefix) or (found and tail):
                continue
            listed.append(row)
        elif not found:
            listed.append(row)
        else:
            folder = prefix + head + found
            if folder != first and (not listed or listed[-1][0] != folder):
                listed.append((folder, *subdir))
    return listed[: listing.limit]
