# SPDX-License-Identifier: Apache-2.0
"""Lists a container over its shards, as if it were one index.

Where one shard has all names of a segment, it lists them itself. Where rows are on their way from one to another, the
rows of all are read, in the order in which they go, and merged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from cumulet.services.object_store.drivers.index_folding import Folding
from cumulet.services.object_store.drivers.index_rules import prefix_end
from cumulet.services.object_store.engine.base import Unavailable
from cumulet.services.object_store.engine.sharding.table import Segment, Source, Table
from cumulet.services.object_store.types.indexes import Info, Key, Listed, Listing, ObjectRow
from cumulet.services.object_store.types.merges import merged_object

PAGE = 1000
TRIES = 10


class Stale(Exception):
    """A shard is not what the table says of it any more."""


class Indexes(Protocol):
    """Single indexes: NotFound is told as None."""

    async def page(self, key: Key, listing: Listing) -> tuple[Info, list[Listed]] | None: ...

    async def rows(
        self, key: Key, lower: str, upper: str, limit: int, reverse: bool
    ) -> tuple[Info, list[ObjectRow]] | None: ...


class View(msgspec.Struct, frozen=True):
    """A root at one moment. `bare`: it has no rows of its own."""

    root: Key
    bare: bool
    table: Table


class ShardListing:
    """`policy` is that of the container, whose objects are listed where `listing` names no other one."""

    def __init__(
        self, indexes: Indexes, look: Callable[[], Awaitable[View]], view: View, listing: Listing, policy: int
    ) -> None:
        self._indexes = indexes
        self._look = look
        self._view = view
        self._policy = policy if listing.policy is None else listing.policy
        self._listing = msgspec.structs.replace(listing, policy=self._policy)
        self._folding = Folding(listing)
        self._marker = listing.marker
        self._subdir = ""
        self._listed: list[Listed] = []
        self._over = False

    async def all(self) -> list[Listed]:
        """What is to be listed. Unavailable where shards do not agree with the table, again and again."""
        tries = 0
        while (segment := self._next()) is not None:
            try:
                await self._segment(segment)
            except Stale:
                tries += 1
                if tries == TRIES:
                    raise Unavailable("A shard is not what its container says.") from None
                self._view = await self._look()
        return self._listed

    @property
    def _left(self) -> int:
        return self._listing.limit - len(self._listed)

    def _next(self) -> Segment | None:
        """The segment of what is to be listed next; None at the end."""
        if self._over or self._left <= 0:
            return None
        table = self._view.table
        span = Folding(msgspec.structs.replace(self._listing, marker=self._marker)).span
        if span.upper and span.first >= span.upper:
            return None
        if self._listing.reverse:
            segment = table.before(span.upper)
            return segment if not segment.upper or segment.upper >= span.first else None
        first = max(span.first, self._beyond())
        segment = table.at(first)
        return segment if not span.upper or segment.lower < span.upper else None

    def _beyond(self) -> str:
        """The least name behind the subdir that was listed last, or that the caller begins with."""
        folding = self._folding
        named = self._subdir or (folding.named if folding.named == self._marker else "")
        if folding.itself is not None or not folding.delimiter or folding.folder(named) != named:
            return ""
        return prefix_end(named)

    def _end(self, segment: Segment) -> None:
        """Go on behind it."""
        bound = segment.lower if self._listing.reverse else segment.upper
        if not bound:
            self._over = True
        elif self._listing.reverse:
            self._marker = _least(self._marker, f"{bound}\0")
        else:
            self._marker = max(self._marker, bound)

    async def _segment(self, segment: Segment) -> None:
        view = self._view
        sources = segment.sources if view.bare else (Source(view.root, drained=True), *segment.sources)
        if not sources:
            self._end(segment)
            return
        part = self._part(segment)
        if len(sources) == 1 and not sources[0].drained and not self._misread(part):
            await self._one(segment, sources[0], part)
        else:
            await self._several(segment, sources, part)

    def _part(self, segment: Segment) -> Listing:
        """What is to be listed of a segment."""
        listing = self._listing
        end = f"{segment.upper}\0" if segment.upper else ""
        if listing.reverse:
            marker, last = _least(self._marker, end), max(listing.end_marker, segment.lower)
        else:
            marker, last = max(self._marker, segment.lower), _least(listing.end_marker, end)
        return msgspec.structs.replace(listing, marker=marker, end_marker=last)

    def _misread(self, part: Listing) -> bool:
        """Whether a shard would take the bound of a segment for a subdir that the caller has seen."""
        folding, named = self._folding, Folding(part).named
        return bool(folding.delimiter) and named.endswith(folding.delimiter) and named != folding.named

    async def _one(self, segment: Segment, source: Source, part: Listing) -> None:
        folded = bool(self._folding.delimiter)
        wanted = self._left + folded  # one of them may be a subdir that is listed already
        found = await self._indexes.page(source.key, msgspec.structs.replace(part, limit=wanted))
        if found is None or found[0].fenced:
            raise Stale
        if folded:
            for entry in found[1]:
                self._add(entry)
        else:
            self._listed += found[1]
        if len(found[1]) < wanted:
            self._end(segment)

    async def _several(self, segment: Segment, sources: Sequence[Source], part: Listing) -> None:
        folding, reverse = Folding(part), part.reverse
        lower, upper = folding.span.first, folding.span.upper
        while self._left > 0:
            if upper and lower >= upper:
                break
            rows, horizon = await self._merged(sources, lower, upper)
            if horizon is not None:
                lower, upper = (lower, horizon) if reverse else (f"{horizon}\0", upper)
            beyond = self._fold(rows)
            if beyond:
                lower, upper = (lower, _least(upper, beyond)) if reverse else (max(lower, beyond), upper)
            if horizon is None:
                break
        if self._left > 0:
            self._end(segment)

    def _fold(self, rows: Sequence[ObjectRow]) -> str:
        """Add what rows list; where to go on behind the last subdir, in its direction."""
        folding, reverse, beyond = self._folding, self._listing.reverse, ""
        for row in rows:
            if self._left <= 0:
                break
            if beyond and (row.name >= beyond if reverse else row.name < beyond):
                continue
            folder = folding.folder(row.name)
            if folder is None:
                if row.name != folding.itself:
                    self._add(_entry(row))
                continue
            if folding.shows(folder):
                self._add((folder, 0, 0, None, ""))
            behind = folder if folding.itself is None else f"{folder}\0"
            beyond = behind if reverse else prefix_end(folder)
        return beyond

    def _add(self, entry: Listed) -> None:
        name = entry[0]
        self._marker = _least(self._marker, name) if self._listing.reverse else max(self._marker, name)
        if entry[3] is None:
            if name in (self._subdir, self._folding.named):
                return
            self._subdir = name
        if self._left > 0:
            self._listed.append(entry)

    async def _merged(self, sources: Sequence[Source], lower: str, upper: str) -> tuple[list[ObjectRow], str | None]:
        """Rows that are to be listed, and the name up to which all are known, None where that is the end."""
        reverse, gone = self._listing.reverse, self._listing.gone
        known: dict[tuple[str, int], ObjectRow] = {}
        ends = []
        for source in sources:
            found = await self._indexes.rows(source.key, lower, upper, PAGE, reverse)
            if found is None:
                if not source.drained:
                    raise Stale
                continue
            info, rows = found
            if info.fenced and not source.drained:
                raise Stale
            if len(rows) >= PAGE:
                ends.append(rows[-1].name)
            for row in rows:
                old = known.get((row.name, row.policy))
                known[row.name, row.policy] = row if old is None else merged_object(old, row)
        horizon = (max(ends) if reverse else min(ends)) if ends else None
        wanted = [
            known[place]
            for place in sorted(known, key=lambda place: place[1])
            if known[place].deleted == gone
            and self._policy in (place[1], -1)
            and (horizon is None or (place[0] >= horizon if reverse else place[0] <= horizon))
        ]
        return sorted(wanted, key=lambda row: row.name, reverse=reverse), horizon


def _entry(row: ObjectRow) -> Listed:
    return row.name, row.meta_stamp, row.size if row.shown < 0 else row.shown, row.content_type, row.etag


def _least(one: str, other: str) -> str:
    """Of two bounds, of which "" is none."""
    return min((each for each in (one, other) if each), default="")
