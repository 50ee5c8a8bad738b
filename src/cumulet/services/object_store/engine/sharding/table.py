# SPDX-License-Identifier: Apache-2.0
"""The ranges of a container, as listings and updates read them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cumulet.services.object_store.engine.sharding.names import shard_of
from cumulet.services.object_store.types.indexes import (
    DRAINED_RANGES,
    LISTED_RANGES,
    UPDATED_RANGES,
    Key,
    RangeState,
    ShardRange,
)


class Source(NamedTuple):
    """A shard that may have names of a segment; a `drained` one gives them to others."""

    key: Key
    drained: bool


class Segment(NamedTuple):
    """The names behind `lower` up to `upper`, with it; "" is no bound.

    `sources` may have some of them. A row goes from one of these to a later one, never back: so whoever reads them in
    this order misses none. `target` takes them; None where no shard does.
    """

    lower: str
    upper: str
    sources: tuple[Source, ...]
    target: Key | None


class Table:
    """Every name is in one segment."""

    def __init__(self, ranges: Iterable[ShardRange]) -> None:
        listed = [each for each in ranges if not each.deleted and each.state in LISTED_RANGES]
        self.segments = _segments(listed)
        self._uppers = [each.upper for each in self.segments[:-1]]
        self._lowers = [each.lower for each in self.segments]

    @property
    def shards(self) -> set[Key]:
        """All that listings ask."""
        return {source.key for segment in self.segments for source in segment.sources}

    def at(self, name: str) -> Segment:
        return self.segments[bisect_left(self._uppers, name)]

    def before(self, name: str) -> Segment:
        """The segment of the names just before `name`, "" for the last one of all."""
        if not name:
            return self.segments[-1]
        # Names before "x\0" end with "x".
        place = bisect_left(self._lowers, name.removesuffix("\0"))
        return self.segments[max(place - 1, 0)]


def _segments(ranges: Sequence[ShardRange]) -> list[Segment]:
    cuts = sorted({each.lower for each in ranges} | {each.upper for each in ranges} | {""})
    coming = sorted(ranges, key=lambda each: (each.lower, each.stamp, each.name), reverse=True)
    here: list[ShardRange] = []
    found = []
    for lower, upper in zip(cuts, [*cuts[1:], ""], strict=True):
        here = [each for each in here if not each.upper or each.upper > lower]
        while coming and coming[-1].lower <= lower:
            each = coming.pop()
            if not each.upper or each.upper > lower:
                here.append(each)
        # Those that give their rows away first; of two, the left one, and of what was split, the older one.
        ordered = sorted(here, key=lambda each: (each.state not in DRAINED_RANGES, each.lower, each.stamp, each.name))
        sources = tuple(Source(shard_of(each), each.state in DRAINED_RANGES) for each in ordered)
        found.append(Segment(lower, upper, sources, _target(here)))
    return found


def _target(here: Sequence[ShardRange]) -> Key | None:
    """What was split takes names until its parts do; of two that overlap, the one that ends first."""
    taking = [each for each in here if each.state in UPDATED_RANGES]
    if not taking:
        taking = [each for each in here if each.state == RangeState.SHARDING]
    best = min(taking, key=lambda each: (not each.upper, each.upper, each.state, each.lower, each.name), default=None)
    return shard_of(best) if best is not None else None
