# SPDX-License-Identifier: Apache-2.0
"""A thread that tells others what has gathered since it told them last, all in one piece."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

LOG = logging.getLogger(__name__)

PATIENCE = 6.0  # seconds that the last words may take to leave


class Gatherer:
    """`send(words)` is called in the thread, with each word once; what it raises is logged, and the words are lost."""

    def __init__(self, send: Callable[[list[str]], None]) -> None:
        self._send = send
        self._waiting: set[str] = set()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._loop, name="bus-send", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def say(self, word: str) -> None:
        """Have `word` sent soon."""
        with self._changed:
            self._waiting.add(word)
            self._changed.notify_all()

    def stop(self) -> None:
        """Send what is left, if it was ever started."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(PATIENCE)

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopped)
                words, self._waiting = sorted(self._waiting), set()
            if words:
                try:
                    self._send(words)
                except Exception as error:
                    LOG.warning("other processes were not woken: %s", error)
            if self._stopped:
                return
