# SPDX-License-Identifier: Apache-2.0
"""What a process's main thread waits for: signals, and the word of other threads.

A handler that sets a `threading.Event` can interrupt the very `wait` that holds the event's lock, and the process hangs
for ever. A `SimpleQueue` may be put to from a handler.
"""

from __future__ import annotations

import signal
from queue import Empty, SimpleQueue


class Bell:
    """Rung by anybody, waited for by the main thread; several rings are heard as one."""

    def __init__(self) -> None:
        self._rings: SimpleQueue[None] = SimpleQueue()

    def ring_at(self, *numbers: signal.Signals) -> None:
        """Ring whenever one of these signals comes."""
        for number in numbers:
            signal.signal(number, lambda *_: self.ring())

    def ring(self) -> None:
        """May be called from any thread and from a signal handler."""
        self._rings.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it rang within `timeout` seconds (None: wait for ever)."""
        try:
            self._rings.get(timeout=timeout)
        except Empty:
            return False
        while not self._rings.empty():
            self._rings.get()
        return True
