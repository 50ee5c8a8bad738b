# SPDX-License-Identifier: Apache-2.0
"""Drafts that one process writes in order, whole parts of them at a time: what is not a part yet waits in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from cumulet.kernel.errors import NotFound, NotReady
from cumulet.services.image.drivers.base import check_name


class Draft:
    """What this process knows of a draft that it writes; who uses it holds its `lock`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting = bytearray()
        self.written = 0
        self.since = time.time()

    def add(self, data: bytes) -> None:
        self.waiting += data
        self.written += len(data)
        self.since = time.time()

    def pad(self, size: int, part: int, send: Callable[[bytes], None]) -> None:
        """Add zeros up to `size`; what is as long as a `part` is sent."""
        while self.written < size:
            more = min(part - len(self.waiting), size - self.written)
            self.waiting += bytes(more)
            self.written += more
            if len(self.waiting) >= part:
                self.send_rest(send)

    def send_parts(self, size: Callable[[], int], send: Callable[[bytes], None]) -> None:
        """Send as many parts of `size` as there are."""
        while len(self.waiting) >= (length := size()):
            send(bytes(self.waiting[:length]))
            del self.waiting[:length]

    def send_rest(self, send: Callable[[bytes], None]) -> None:
        if self.waiting:
            send(bytes(self.waiting))
            self.waiting.clear()


D = TypeVar("D", bound=Draft)


class Drafts(Generic[D]):
    """Those of this process, by name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, D] = {}

    def begin(self, name: str, draft: D) -> None:
        with self._lock:
            self._known[check_name(name)] = draft

    def find(self, name: str) -> D | None:
        with self._lock:
            return self._known.get(check_name(name))

    def get(self, name: str) -> D:
        found = self.find(name)
        if found is None:
            raise NotFound(f"There is no draft {name}.")
        return found

    def to_write(self, name: str, offset: int, make: Callable[[], D]) -> D:
        """The draft, begun here by what is written at its beginning."""
        with self._lock:
            found = self._known.get(check_name(name))
            if found is None:
                if offset:
                    raise NotFound(f"There is no draft {name}.")
                found = self._known[name] = make()
            return found

    def forget(self, name: str) -> D | None:
        with self._lock:
            return self._known.pop(check_name(name), None)

    def all(self) -> dict[str, D]:
        with self._lock:
            return dict(self._known)

    def ages(self) -> dict[str, float]:
        """Seconds since each was added to."""
        return {name: max(0.0, time.time() - each.since) for name, each in self.all().items()}


def out_of_order(name: str, draft: Draft) -> NotReady:
    return NotReady(f"The draft {name} has {draft.written} bytes, and goes on there alone.")
