# SPDX-License-Identifier: Apache-2.0
"""What is to become of the ranges of a container: pure functions of what is known of them.

Two who lead at once come to the same, or to what the next run makes good: nothing is given up that may have rows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from cumulet.services.object_store.types.indexes import DRAINED_RANGES, UPDATED_RANGES, RangeState, ShardRange

SPLITS = 5  # at a time


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of objects. A container or shard with `threshold` is split into pieces of `rows_per_shard`, the last with
    `minimum` at least. One that has `shrink_threshold` or less goes into its neighbour where both have no more than
    `expansion_limit`. Where it is not `auto`, only what asks for it is split. The numbers' defaults are Swift's."""

    auto: bool = True
    threshold: int = 1_000_000
    rows_per_shard: int = 500_000
    minimum: int = 100_000
    shrink_threshold: int = 100_000
    expansion_limit: int = 750_000

    @classmethod
    def of(cls, threshold: int, *, auto: bool = True) -> Sizes:
        """As Swift has them by default for such a threshold."""
        rows = max(threshold // 2, 1)
        return cls(
            auto=auto,
            threshold=threshold,
            rows_per_shard=rows,
            minimum=max(rows // 5, 1),
            shrink_threshold=threshold // 10,
            expansion_limit=threshold * 3 // 4,
        )


class Tiling(NamedTuple):
    """Ranges that follow upon each other, those that are one too many, and the bounds between which there is none."""

    path: list[ShardRange]
    extra: list[ShardRange]
    gaps: list[tuple[str, str]]


def tiling(ranges: Iterable[ShardRange]) -> Tiling:
    """Of live ranges; those that are being drained do not count."""
    kept = [each for each in ranges if each.state not in DRAINED_RANGES]
    by_lower: dict[str, list[ShardRange]] = {}
    for each in kept:
        by_lower.setdefault(each.lower, []).append(each)
    lowers = sorted(by_lower)
    found = Tiling([], [], [])
    at = ""
    while True:
        if at in by_lower:
            best = max(by_lower[at], key=_weight)
            found.path.append(best)
            at = best.upper
        else:
            place = bisect_right(lowers, at)
            end = lowers[place] if place < len(lowers) else ""
            found.gaps.append((at, end))
            at = end
        if not at:
            break
    chosen = {each.name for each in found.path}
    found.extra.extend(each for each in kept if each.name not in chosen)
    return found


def _weight(row: ShardRange) -> tuple[bool, bool, str, int, str]:
    """Of two that begin alike that which is there, then the longer one, then the older one."""
    return row.state != RangeState.FOUND, not row.upper, row.upper, -row.stamp, row.name


def in_state(row: ShardRange, state: RangeState, now: int) -> ShardRange:
    return msgspec.structs.replace(row, state=state, state_stamp=now)


def counted(row: ShardRange, objects: int, size: int, now: int) -> ShardRange:
    return msgspec.structs.replace(row, objects=objects, bytes=size, meta_stamp=now)


def drained(row: ShardRange, now: int) -> ShardRange:
    """It is gone: all of its rows lie elsewhere."""
    state = RangeState.SHARDED if row.state == RangeState.SHARDING else RangeState.SHRUNK
    return msgspec.structs.replace(
        row, stamp=now, deleted=True, state=state, state_stamp=now, objects=0, bytes=0, meta_stamp=now
    )


def covered(row: ShardRange, ranges: Sequence[ShardRange]) -> bool:
    """Whether for each of its names there is another shard that takes it."""
    at = row.lower
    for each in sorted(ranges, key=lambda each: (each.lower, not each.upper, each.upper)):
        if each.state not in UPDATED_RANGES or each.lower > at or (each.upper and each.upper <= at):
            continue
        at = each.upper
        if not at or (row.upper and at >= row.upper):
            return True
    return False


def overlaps(one: ShardRange, other: ShardRange) -> bool:
    return (not one.upper or other.lower < one.upper) and (not other.upper or one.lower < other.upper)


def too_big(path: Sequence[ShardRange], sizes: Sizes) -> list[ShardRange]:
    return [each for each in path if each.objects >= sizes.threshold][:SPLITS]


def mergeable(path: Sequence[ShardRange], sizes: Sizes) -> list[tuple[ShardRange, ShardRange]]:
    """Pairs of neighbours of which the left one may go into the right one; no range is in two of them."""
    found = []
    place = 0
    while place + 1 < len(path):
        left, right = path[place], path[place + 1]
        told = left.meta_stamp and right.meta_stamp
        small = told and min(left.objects, right.objects) <= sizes.shrink_threshold
        if small and left.objects + right.objects <= sizes.expansion_limit:
            found.append((left, right))
            place += 2
        else:
            place += 1
    return found


def widened(left: ShardRange, right: ShardRange, now: int) -> ShardRange:
    """`right`, with the names of `left` too."""
    return msgspec.structs.replace(right, lower=left.lower, stamp=now, state_stamp=now)
