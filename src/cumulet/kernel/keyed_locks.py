# SPDX-License-Identifier: Apache-2.0
"""A lock for each of the things of one kind: servers, volumes, images."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Lock:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.users = 0  # those who hold it or wait for it


class KeyedLocks:
    """Locks by key, each there while somebody holds it or waits for it; a thread may hold one more than once."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, _Lock] = {}

    def is_held(self, key: str) -> bool:
        """Whether somebody holds the key's lock or waits for it."""
        with self._guard:
            return key in self._locks

    @contextmanager
    def hold(self, key: str, timeout: float = -1) -> Iterator[None]:
        """Be the only thread that holds the key's lock. Raises TimeoutError after so many seconds (-1: never)."""
        with self._guard:
            found = self._locks.setdefault(key, _Lock())
            found.users += 1
        try:
            if not found.lock.acquire(timeout=timeout):
                raise TimeoutError(f"{key} is held by another thread")
            try:
                yield
            finally:
                found.lock.release()
        finally:
            with self._guard:
                found.users -= 1
                if not found.users:
                    del self._locks[key]
