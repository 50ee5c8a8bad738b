# SPDX-License-Identifier: Apache-2.0
"""A ring that has changed: which replicas leave their devices, and where they go. As few move as need to.

Replicas whose device has gone always move. Of those that stand too close together, or on a device that has too many,
one of each partition moves at a time, and none of a partition that may not move yet.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cumulet.services.object_store.ring.crowding import alike
from cumulet.services.object_store.ring.layout import NONE
from cumulet.services.object_store.ring.plan import Ints, Plan
from cumulet.services.object_store.ring.shape import LEVELS

Table = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

TRIES = 4  # replicas that are tried for each that a device has too many
VAIN = 3  # how often it is tried without anything to show for it
GOOD_ENOUGH = 100  # a hundredth of its quota that a device has too many or too few is nothing to move others for
ROUNDS = 40  # of looking for places for what was gathered


class Moves:
    """The work on one table `[replica, partition]` of positions in the plan's shape, which is changed in place.

    `absent` marks places that the table does not have (the last row of a fractional number of replicas), `movable`
    the partitions that may move.
    """

    def __init__(self, plan: Plan, table: Table, absent: Flags, movable: Flags, random: np.random.Generator) -> None:
        self._plan = plan
        self._table = table
        self._absent = absent
        self._movable = movable.copy()
        self._random = random
        self._tiers = plan.shape.numbers
        self._most = [np.array([plan.most(tier) for tier in level]) for level in plan.shape.tiers]

    def run(self) -> None:
        """Bring the table as near to the plan as it may come in one go."""
        self._place(*np.nonzero((self._table == NONE) & ~self._absent))
        self._disperse()
        near = np.maximum(1, self._plan.quotas // GOOD_ENOUGH)
        for shift in (0 * near, near, -near, near, -near):
            vain = 0
            while vain < VAIN:
                vain = 0 if self._balance(shift) else vain + 1
        self._force()

    @property
    def _spare(self) -> Ints:
        """How many more replicas each device is to have; below 0 where it has too many."""
        held = self._table[self._table != NONE]
        return self._plan.quotas - np.bincount(held, minlength=len(self._plan.quotas))

    def _disperse(self) -> None:
        """Move replicas that share a tier with more of their partition than the plan has there."""
        for level in range(LEVELS):
            places = self._of(level, self._table)
            crowded = alike(places) > self._most[level][places]
            crowded &= self._movable
            parts = np.flatnonzero(crowded.any(axis=0))
            if not len(parts):
                continue
            burden = np.where(crowded[:, parts], -self._spare[self._table[:, parts]], np.iinfo(np.int64).min)
            rows = np.argmax(burden + self._random.random(burden.shape), axis=0)
            self._move(rows, parts)

    def _balance(self, shift: Ints) -> bool:
        """Move replicas from devices that have too many to those that have too few; whether any did.

        There may be no way from the one to the other but over a third, which has what it should. With a `shift` above
        0 devices that have more than so many too many give to those; with one below 0 devices that miss more take
        from them. Each such move makes the largest difference smaller, so that there is an end to them.
        """
        spare = self._spare
        moved = self._pass_on(np.maximum(-spare - shift, 0), np.maximum(spare + shift, 0))
        if moved and shift.any():
            while self._balance(0 * shift):
                pass
        return moved

    def _pass_on(self, leaving: Ints, room: Ints) -> bool:
        """Move up to so many replicas from devices to others, one of a partition; whether any did."""
        if not (leaving.any() and room.any()):
            return False
        heavy = np.append(leaving > 0, False)[self._table] & self._movable
        rows, parts = np.nonzero(heavy)
        order = self._random.permutation(len(parts))
        one = np.full(self._table.shape[1], NONE, np.int64)
        one[parts[order]] = order
        chosen = self._random.permutation(one[one != NONE])
        rows, parts = rows[chosen], parts[chosen]
        homes = self._table[rows, parts].astype(np.int64)
        # More than are to go: not each of them finds a place that is far enough from its partition's others.
        tried = _rank(homes) < TRIES + TRIES * leaving[homes]
        rows, parts, homes = rows[tried], parts[tried], homes[tried]
        self._table[rows, parts] = NONE
        picked = self._pick(parts, room)
        goes = np.flatnonzero((picked != NONE) & (picked != homes))
        goes = goes[_rank(homes[goes]) < leaving[homes[goes]]]
        goes = goes[_rank(picked[goes]) < room[picked[goes]]]
        self._table[rows, parts] = homes
        self._table[rows[goes], parts[goes]] = picked[goes]
        self._movable[parts[goes]] = False
        return len(goes) > 0

    def _move(self, rows: Ints, parts: Ints) -> int:
        """Find other places for replicas that have one; those that find none stay. How many moved."""
        homes = self._table[rows, parts].copy()
        self._table[rows, parts] = NONE
        left_rows, left_parts = self._place(rows, parts)
        stays = np.isin(parts, left_parts)
        assert len(left_rows) == stays.sum()
        self._table[rows[stays], parts[stays]] = homes[stays]
        moved = ~stays & (self._table[rows, parts] != homes)
        self._movable[parts[moved]] = False
        return int(moved.sum())

    def _place(self, rows: Ints, parts: Ints) -> tuple[Ints, Ints]:
        """Give replicas without a device one that is to have more; those for which there is none are returned."""
        spare = np.maximum(self._spare, 0)
        hopeless = 0
        for _ in range(ROUNDS):
            if not len(parts) or hopeless == len(parts):
                break
            order = self._random.permutation(len(parts))
            rows, parts = rows[order], parts[order]
            first = np.zeros(len(parts), np.bool_)
            first[np.unique(parts, return_index=True)[1]] = True
            picked = np.full(len(parts), NONE, np.int64)
            picked[first] = self._pick(parts[first], spare)
            found = picked != NONE
            fits = np.zeros(len(parts), np.bool_)
            fits[found] = _rank(picked[found]) < spare[picked[found]]
            self._table[rows[fits], parts[fits]] = picked[fits]
            spare -= np.bincount(picked[fits], minlength=len(spare))
            hopeless = int((first & ~found).sum())
            rows, parts = rows[~fits], parts[~fits]
        return rows, parts

    def _pick(self, parts: Ints, spare: Ints) -> Ints:
        """A device for one more replica of each partition, NONE where those with room are too close to the others."""
        result = np.full(len(parts), NONE, np.int64)
        waiting = [(self._plan.shape.root, np.arange(len(parts)))]
        while waiting:
            tier, asking = waiting.pop()
            if not len(asking):
                continue
            if not tier.children:
                result[asking] = tier.start
                continue
            level = len(tier.name)
            first = int(self._tiers[level][tier.start])
            width = len(tier.children)
            room = np.array([float(spare[child.start : child.end].sum()) for child in tier.children])
            have = np.zeros((len(asking), width), np.int64)
            for ids in self._of(level, self._table[:, parts[asking]]):
                inside = np.flatnonzero((ids >= first) & (ids < first + width))
                have[inside, ids[inside] - first] += 1
            fits = (have < self._most[level][first : first + width]) & (room > 0)
            with np.errstate(divide="ignore"):
                chance = np.log(room) + self._random.gumbel(size=have.shape)
            choice = np.argmax(np.where(fits, chance, -np.inf), axis=1)
            choice[~fits.any(axis=1)] = NONE
            waiting += [(child, asking[choice == number]) for number, child in enumerate(tier.children)]
        return result

    def _force(self) -> None:
        """Place what the plan has no room for: as far from the others as can be, then where most is spare."""
        spare = self._spare.astype(np.float64)
        share = np.maximum(self._plan.quotas, 1)
        for row, part in zip(*np.nonzero((self._table == NONE) & ~self._absent), strict=True):
            holders = self._table[:, part]
            holders = holders[holders != NONE]
            cost = -spare / share
            for level in range(LEVELS):
                beside = np.bincount(self._tiers[level][holders], minlength=len(self._most[level]))
                cost = cost + (beside + 1 > self._most[level])[self._tiers[level][:-1]] * 10.0 ** (2 + level)
            best = int(np.argmin(cost))
            self._table[row, part] = best
            spare[best] -= 1

    def _of(self, level: int, positions: Table) -> Ints:
        """The numbers of the tiers at a level that devices are in."""
        return self._tiers[level][positions]


def _rank(values: Ints) -> Ints:
    """Of each value how many equal ones stand before it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(values) else np.zeros(0, np.int64)
    sizes = np.diff(np.append(starts, len(values)))
    result = np.empty(len(values), np.int64)
    result[order] = np.arange(len(values)) - np.repeat(starts, sizes)
    return result
