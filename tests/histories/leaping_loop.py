# SPDX-License-Identifier: Apache-2.0
"""An event loop whose time passes only while nobody has anything to do: minutes of waiting take no time, and the same
program does the same things in the same order, at the same moments."""

from __future__ import annotations

import asyncio
import selectors


class _Leaping(selectors.DefaultSelector):
    """Instead of waiting it has time go on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits, and for nothing that could come")
        self.now += max(timeout, 0.0)
        return super().select(0)


class LeapingLoop(asyncio.SelectorEventLoop):
    """For work without threads and sockets: what these answer takes no time, so it comes at another moment each run."""

    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)
        # A timer is due when its time has come up to this: what was slept shall be over then.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._leaping.now
