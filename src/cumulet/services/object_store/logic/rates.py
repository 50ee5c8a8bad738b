# SPDX-License-Identifier: Apache-2.0
"""How often something may be done: rates that depend on the size of a container, and how long one has to wait."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Mapping
from itertools import pairwise
from typing import Any

import msgspec

from cumulet.kernel.errors import CumuletError, Invalid

Steps = tuple[tuple[int, float], ...]
"""Sizes in objects from which on a rate holds, in requests a second; between two of them it is between theirs."""

MOST = 10_000  # things that are counted before those that rest are forgotten


def steps(options: Mapping[str, Any], prefix: str) -> Steps:
    """Settings like `container_ratelimit_100 = 50`."""
    said = ((int(key.removeprefix(prefix)), float(rate)) for key, rate in options.items() if key.startswith(prefix))
    return tuple(sorted(said))


def rate(known: Steps, size: int) -> float | None:
    """What holds for so many objects, None for no limit."""
    if not size or not known or size < known[0][0]:
        return None
    for (low, at_low), (high, at_high) in pairwise(known):
        if size < high:
            return at_low + (size - low) * (at_high - at_low) / (high - low)
    return known[-1][1]


class Waiting:
    """When each thing may be done again. What was not done for `spare` seconds may be made up for.

    `longest`: seconds that nobody is kept waiting.
    """

    def __init__(self, longest: float = 60, spare: float = 5) -> None:
        self.kind = (longest, spare)
        self._longest, self._spare = longest, spare
        self._next: dict[str, float] = {}

    def take(self, key: str, most: float, now: float) -> float | None:
        """Seconds to wait before it is done once more, `most` times a second at best; None for too long."""
        if len(self._next) > MOST:
            self._next = {each: at for each, at in self._next.items() if at > now - self._spare}
        due = self._next.get(key, 0.0)
        if now - due - 1 / most > self._spare:
            due = now
        wait = max(due - now, 0.0)
        if wait and wait >= self._longest - 0.01:
            return None
        self._next[key] = due + 1 / most
        return wait


class Here:
    """Each process counts for itself."""

    async def take(self, waiting: Waiting, key: str, most: float) -> float | None:
        """`Waiting.take` now."""
        return waiting.take(key, most, time.monotonic())


TAKE = "rate.take"
PATIENCE = 1.0  # seconds that the first worker may take to answer

Ask = Callable[[str, Any, float], Awaitable[Any]]


class Wish(msgspec.Struct, frozen=True):
    """What a worker asks the first one: `Waiting.take` of one like its own."""

    key: str
    most: float
    longest: float
    spare: float


class Together(Here):
    """Of several workers the first counts for all; while it is away each counts for itself.

    `ask` is how the others ask it, None at the first one.
    """

    def __init__(self, ask: Ask | None) -> None:
        self._ask = ask
        self._kept: dict[tuple[float, float], Waiting] = {}

    async def take(self, waiting: Waiting, key: str, most: float) -> float | None:
        if self._ask is None:
            return await super().take(self._kept.setdefault(waiting.kind, waiting), key, most)
        try:
            wait = float((await self._ask(TAKE, msgspec.to_builtins(Wish(key, most, *waiting.kind)), PATIENCE))["wait"])
        except CumuletError:
            return await super().take(waiting, key, most)
        return None if wait < 0 else wait

    async def answer(self, body: Any) -> Any:
        """The answer to a Wish: `wait` in seconds, below 0 for too long."""
        try:
            wish = msgspec.convert(body, Wish)
        except msgspec.ValidationError as error:
            raise Invalid(f"This is not how a rate is asked for: {error}.") from None
        if not (math.isfinite(wish.most) and wish.most > 0):
            raise Invalid("A rate is above 0.")
        kind = (wish.longest, wish.spare)
        waiting = self._kept.setdefault(kind, Waiting(*kind))
        wait = await super().take(waiting, wish.key, wish.most)
        return {"wait": -1.0 if wait is None else wait}
