# SPDX-License-Identifier: Apache-2.0
"""What was known of indexes a moment ago: every request for an object asks for its container."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from cumulet.services.object_store.types.indexes import Info, Key

SIZE = 20_000
LIFE = 5.0


class Recent:
    """The last `size` infos, each for `life` seconds.

    A fetch that began before a `drop` keeps nothing: it may have read what was there before.
    """

    def __init__(self, size: int = SIZE, life: float = LIFE, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._life = life
        self._monotonic = monotonic
        self._known: OrderedDict[Key, tuple[float, Info]] = OrderedDict()
        self._drops: dict[Key, int] = {}
        self._fetching: dict[Key, int] = {}

    def get(self, key: Key) -> Info | None:
        found = self._known.get(key)
        if found is None:
            return None
        if found[0] < self._monotonic():
            del self._known[key]
            return None
        return found[1]

    def begin(self, key: Key) -> int:
        """A fetch begins; `end` is told what is returned here."""
        self._fetching[key] = self._fetching.get(key, 0) + 1
        return self._drops.get(key, 0)

    def end(self, key: Key, begun: int, info: Info | None) -> None:
        fresh = self._drops.get(key, 0) == begun
        left = self._fetching[key] - 1
        if left:
            self._fetching[key] = left
        else:
            del self._fetching[key]
            self._drops.pop(key, None)
        if info is None or not fresh:
            return
        self._known[key] = self._monotonic() + self._life, info
        self._known.move_to_end(key)
        if len(self._known) > self._size:
            self._known.popitem(last=False)

    def drop(self, key: Key) -> None:
        self._known.pop(key, None)
        if key in self._fetching:
            self._drops[key] = self._drops.get(key, 0) + 1
