# SPDX-License-Identifier: Apache-2.0
"""Notices when a QEMU ends, and why.

Each server has two monitors: `events`, held here for as long as the agent lives, and `control`, opened for each piece
of work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

from cumulet.kernel.loop import Loop
from cumulet.kernel.qmp import Event, Monitor, QmpGoneError

GUEST, KILLED = "guest", "killed"


class Watch:
    """Holds the events monitor of one QEMU for as long as that lives.

    When QEMU ends, `tell` is called once, in a thread, with the reason: "guest" where the guest switched itself off,
    "killed" for everything else; not after `expect_end` or `close`.
    """

    def __init__(self, loop: Loop, monitor: Monitor, tell: Callable[[str], None]) -> None:
        self._loop = loop
        self._monitor = monitor
        self._tell: Callable[[str], None] | None = tell
        self.stalled = False  # whether the guest is held since a disk has no room for what it writes
        self._work = loop.start(self._follow())

    @classmethod
    def open(cls, loop: Loop, path: Path, tell: Callable[[str], None]) -> Self:
        """Take up the monitor at `path`, waiting until QEMU is ready. Raises QmpGoneError."""
        return cls(loop, loop.wait(Monitor.connect(path)), tell)

    @property
    def ended(self) -> bool:
        return self._monitor.gone.is_set()

    def expect_end(self) -> None:
        """The agent ends this server itself: that is no news."""
        self._tell = None

    def close(self) -> None:
        """Stop watching; QEMU goes on."""
        self._tell = None
        self._loop.wait(self._monitor.close())

    async def _follow(self) -> None:
        reason = KILLED
        try:
            while True:
                event = await self._monitor.wait(lambda _event: True, timeout=10**9)
                reason = _reason(event, reason)
                self.stalled = _stalls(event, self.stalled)
        except QmpGoneError:
            tell = self._tell
            if tell is not None:
                threading.Thread(target=tell, args=(reason,), name="server-ended", daemon=True).start()


def _stalls(event: Event, so_far: bool) -> bool:
    """QEMU's own policy: of what goes wrong with writes, only a disk without room holds the guest."""
    if event["event"] == "BLOCK_IO_ERROR":
        return so_far or event["data"].get("action") == "stop"
    return so_far and event["event"] != "RESUME"


def _reason(event: Event, so_far: str) -> str:
    if event["event"] == "SHUTDOWN":
        return GUEST if event["data"].get("guest") else KILLED
    return so_far
