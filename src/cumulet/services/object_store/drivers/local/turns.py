# SPDX-License-Identifier: Apache-2.0
"""Threads that run many short statements, one thread after the other.

SQLite's module lets go of the interpreter's lock around each statement. Several threads that do so at once hand it to
one another at every statement, which costs more than what they execute.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

WAIT = 0.05  # seconds


class Turns:
    """A courtesy, no lock: whoever has waited for `WAIT` seconds goes on, as the other may wait for a disk that hangs.

    Then nobody waits until that one is back.
    """

    def __init__(self) -> None:
        self._taken = threading.Lock()
        self._hangs = False

    @contextmanager
    def take(self) -> Iterator[None]:
        mine = self._taken.acquire(timeout=0 if self._hangs else WAIT)
        self._hangs = not mine
        try:
            yield
        finally:
            if mine:
                self._taken.release()
