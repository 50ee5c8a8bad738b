# SPDX-License-Identifier: Apache-2.0
"""Threads that run many short statements, one thread after the other.

SQLite's module lets go of the interpreter's lock around each statement. Several threads that do so at once hand it to
one another at every statement, which costs more than what they execute. So one that is to wait sleeps on, until the
one before it wakes it.
"""

from __future__ import annotations

import threading
import time
from collections import deque

WAIT = 0.05  # seconds


class Turn:
    """Of one thread, which has one at a time."""

    def __init__(self) -> None:
        self._begins = threading.Lock()
        self._begins.acquire()

    def begin(self) -> None:
        self._begins.release()

    def wait(self) -> None:
        """Until it begins."""
        self._begins.acquire()


class Turns:
    """A courtesy, no lock: a turn that is not over after `WAIT` seconds, maybe for a disk that hangs, is waited for no
    more.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[Turn] = deque()
        self._running: Turn | None = None
        self._begun = 0  # turns so far
        self._watched = False

    def ask(self, turn: Turn) -> None:
        """Have it begin, behind those that were asked for before."""
        with self._guard:
            self._waiting.append(turn)
            if self._running is None:
                self._next()
            elif not self._watched:
                self._watched = True
                threading.Thread(target=self._watch, name="turns", daemon=True).start()

    def over(self, turn: Turn) -> None:
        with self._guard:
            if turn is self._running:
                self._next()

    def _next(self) -> None:
        self._running = self._waiting.popleft() if self._waiting else None
        if self._running is not None:
            self._begun += 1
            self._running.begin()

    def _watch(self) -> None:
        """While somebody waits, or lately has."""
        begun = -1
        while self._watched:
            time.sleep(WAIT)
            with self._guard:
                if begun == self._begun and self._waiting:
                    self._next()
                elif begun == self._begun:
                    self._watched = False
                begun = self._begun
