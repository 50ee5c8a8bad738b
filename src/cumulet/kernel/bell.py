# SPDX-License-Identifier: Apache-2.0
"""What a process's main thread waits for: signals, and the word of other threads.

A handler that sets a `threading.Event` can interrupt the very `wait` that holds the event's lock, and the process hangs
for ever. And the system may give a signal to any thread (to another one, where the process was frozen a moment ago),
while Python runs handlers in the main thread alone, which nothing wakes from the wait for a lock or a queue. So the
main thread waits for a pipe, into which the interpreter writes in whatever thread the signal came to.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time

RUNG = 0  # what stands in the pipe for a ring that is no signal


class Bell:
    """Rung by anybody, waited for by the main thread; several rings are heard as one."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._heard = {RUNG}
        self._watch = select.poll()
        self._watch.register(self._out, select.POLLIN)

    def ring_at(self, *numbers: signal.Signals) -> None:
        """Ring whenever one of these signals comes; for the one bell of the process, by its main thread."""
        self._heard |= set(numbers)
        signal.set_wakeup_fd(self._in, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, lambda *_: None)

    def ring(self) -> None:
        """May be called from any thread and from a signal handler."""
        with contextlib.suppress(BlockingIOError):  # full of rings that nobody has heard yet
            os.write(self._in, bytes([RUNG]))

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it rang within `timeout` seconds (None: wait for ever)."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if end is None else max(0.0, end - time.monotonic()) * 1000
            if not self._watch.poll(left):
                return False
            if self._heard & set(os.read(self._out, 65536)):
                return True
