# SPDX-License-Identifier: Apache-2.0
"""A thread for what follows from what others hear: these must not wait, and it may take a while."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

LOG = logging.getLogger(__name__)


class Errands:
    """Calls `work` with all ids that were added since it was called before."""

    def __init__(self, name: str, work: Callable[[set[str]], None]) -> None:
        self._name = name
        self._work = work
        self._changed = threading.Condition()
        self._ids: set[str] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def add(self, ids: Iterable[str]) -> None:
        """May be called from any thread, and returns at once."""
        with self._changed:
            self._ids |= set(ids)
            self._changed.notify()

    def close(self, patience: float = 5.0) -> None:
        """What was not begun is left undone."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(patience)

    def _serve(self) -> None:
        while (ids := self._next()) is not None:
            try:
                self._work(ids)
            except Exception:
                LOG.exception("%s: what follows for %s could not be done", self._name, " ".join(sorted(ids)))

    def _next(self) -> set[str] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._ids or self._closed)
            ids, self._ids = self._ids, set()
            return None if self._closed else ids
