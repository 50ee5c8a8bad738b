# SPDX-License-Identifier: Apache-2.0
"""What was concluded from the state of identity, remembered until that changes: until the epoch grows."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Conclusions by their subject, all of one epoch, `MOST` of them at the most; safe in any thread.

    Whoever concludes reads the epoch first (`revocations.epoch_now`), and the state after it.
    """

    MOST = 128

    def __init__(self) -> None:
        self._epoch = -1
        self._known: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, epoch: int, subject: K) -> V | None:
        """What was concluded about `subject` in `epoch`, if it is remembered."""
        with self._lock:
            if epoch != self._epoch:
                self._known.clear()
                self._epoch = epoch
            return self._known.get(subject)

    def put(self, epoch: int, subject: K, conclusion: V) -> None:
        """Remember what was concluded from reads that began in `epoch`."""
        with self._lock:
            if epoch == self._epoch:
                self._known[subject] = conclusion
                if len(self._known) > self.MOST:
                    self._known.popitem(last=False)
