# SPDX-License-Identifier: Apache-2.0
"""Which of several hosts forwards for a router: they agree on it by what they tell each other, as in VRRP (RFC 5798).

Nothing here knows of sockets or the time of day: `now` is in seconds, from any start. What forwards says so every BEAT,
with its term, a number that grows by one whenever another takes over; of two that forward the one with the lower term,
or of the same term the one that comes later in the order, gives way. None takes over while one is heard, whatever their
order (RFC 5798 would have it otherwise): a host that comes back does not cost a second interruption.

A host may forward for LEASE seconds after it last said that it would, and its kernel sees to that (`fence`). The others
wait longer than that: one that has died, or hangs, has ended before another begins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import msgspec

BEAT = 0.5
LEASE = 2.5
DEAD = LEASE + 2 * BEAT  # the last word may have left BEAT before the last lease began
STEP = 2 * BEAT  # by which each of the order waits longer than the one before
FIRST = 2.5 * BEAT  # what a host listens at least before it begins


class Word(msgspec.Struct, frozen=True, array_like=True):
    """What a host says of one router."""

    router: str
    term: int
    rank: int
    active: bool


@dataclass
class Candidate:
    """This host's part in one router. `hint`: it is the one that is to begin, where nobody has."""

    router: str
    rank: int
    others: frozenset[str]
    hint: bool
    since: float
    active: bool = False
    term: int = 0
    leader: str | None = None
    heard: float = -math.inf

    def tick(self, now: float) -> bool:
        """Take over where it is time to; whether that is so."""
        if self.active or now < self._due():
            return False
        self.active, self.leader = True, None
        self.term += 1
        return True

    def hear(self, sender: str, word: Word, now: float) -> bool:
        """Take in what one of the others said; whether it changes where the router is."""
        if not word.active:
            if sender == self.leader:  # it ends by its own will, and has ended
                self.heard = now - DEAD
            return False
        before = (self.active, self.leader)
        if self.active:
            if (word.term, -word.rank) < (self.term, -self.rank):
                return False
            self.active = False
        elif word.term < self.term and now - self.heard < DEAD:
            return False
        self.term, self.leader, self.heard = word.term, sender, now
        return before != (self.active, self.leader)

    def word(self, *, active: bool) -> Word:
        return Word(self.router, self.term, self.rank, active)

    def _due(self) -> float:
        if not self.others:
            return -math.inf
        if self.heard == -math.inf:
            return self.since + (FIRST if self.hint else DEAD + self.rank * STEP)
        return self.heard + DEAD + self.rank * STEP


@dataclass
class Follower:
    """Where a router is that is on other hosts alone: what the last of them said that spoke with the highest term."""

    term: int = 0
    leader: str | None = None
    heard: float = field(default=-math.inf)

    def hear(self, sender: str, word: Word, now: float) -> bool:
        """Take in what a host said; whether it changes where the router is."""
        if not word.active or (word.term < self.term and now - self.heard < DEAD):
            return False
        before = self.leader
        self.term, self.leader, self.heard = word.term, sender, now
        return before != sender
