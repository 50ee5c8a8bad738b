# SPDX-License-Identifier: Apache-2.0
"""Servers that ran when the machine went down, and cannot start yet: nobody is there to be asked for their keys."""

from __future__ import annotations

import threading
from collections.abc import Callable

FIRST_PAUSE = 0.5  # seconds until it is tried again, doubled up to LAST_PAUSE
LAST_PAUSE = 30.0


class Latecomers:
    """Tries `settle(server id)` in a thread of its own until it says that there is nothing to wait for any more."""

    def __init__(self, settle: Callable[[str], bool]) -> None:
        self._settle = settle
        self._waiting: set[str] = set()
        self._guard = threading.Lock()
        self._leaving = threading.Event()

    def add(self, server_id: str) -> None:
        with self._guard:
            is_first = not self._waiting
            self._waiting.add(server_id)
        if is_first:
            threading.Thread(target=self._run, name="latecomers", daemon=True).start()

    def has(self, server_id: str) -> bool:
        with self._guard:
            return server_id in self._waiting

    def stop(self) -> None:
        """The agent is leaving; the next one begins anew."""
        self._leaving.set()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._leaving.wait(pause):
            with self._guard:
                waiting = sorted(self._waiting)
            settled = {each for each in waiting if not self._leaving.is_set() and self._settle(each)}
            with self._guard:
                self._waiting -= settled
                if not self._waiting:
                    return
            pause = FIRST_PAUSE if settled else min(2 * pause, LAST_PAUSE)
