# SPDX-License-Identifier: Apache-2.0
"""What a scenario is: something prepared once, then done again and again while the clock runs."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import ClassVar

from bench.client import Client
from bench.stock import Stock


class Watch:
    """The times of one operation: `mark` notes how long it took from its beginning to a moment with a name."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.marks: dict[str, float] = {}

    def mark(self, name: str = "") -> None:
        self.marks[name] = time.perf_counter() - self._began


class Scenario(ABC):
    """Subclasses say in their docstring what one operation is: it stands in the report.

    `needs` are the services (names of `client.KINDS`) without which it is not run. `most` bounds the operations of a
    run beyond what the user allows. `alone` runs one operation at a time whatever the concurrency asked for. `marks`
    are the moments that an operation notes, in their order; the name "" is its end. CPU time is told with the last one,
    for one of the `things` that an operation makes. One that is not `usual` is run where it is named.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]
    most: ClassVar[int | None] = None
    alone: ClassVar[bool] = False
    marks: ClassVar[tuple[str, ...]] = ("",)
    things: ClassVar[int] = 1
    usual: ClassVar[bool] = True

    def __init__(self, client: Client, stock: Stock) -> None:
        self.client = client
        self.stock = stock

    async def prepare(self, count: int) -> None:  # noqa: B027 - most need nothing
        """Make ready for up to `count` operations; the time it takes does not count."""

    @abstractmethod
    async def operate(self, watch: Watch) -> None:
        """Do it once."""

    async def tidy(self) -> None:  # noqa: B027 - most leave nothing behind
        """Remove what the operations have made, as far as the next run would mind it."""

    @classmethod
    def title(cls, mark: str) -> str:
        """The row's name."""
        return f"{cls.name}: {mark}" if mark else cls.name

    @classmethod
    def summary(cls) -> str:
        """The docstring's first paragraph, on one line."""
        return " ".join((cls.__doc__ or "").partition("\n\n")[0].split())
