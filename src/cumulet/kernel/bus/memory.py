# SPDX-License-Identifier: Apache-2.0
"""Wake-ups within one process."""

from __future__ import annotations

from collections import defaultdict

from cumulet.kernel.bus import ANY, Hearer
from cumulet.kernel.db.tx import Tx


class Memory:
    """See `kernel.bus.Bus`."""

    def __init__(self) -> None:
        self._hearers: dict[str, list[Hearer]] = defaultdict(list)

    def tell(self, tx: Tx, topic: str, key: str = ANY) -> None:
        tx.after_commit(lambda: self.wake(topic, key))

    def hear(self, topic: str, fn: Hearer) -> None:
        self._hearers[topic].append(fn)

    def start(self) -> None:
        """There is nobody else to hear."""

    def stop(self) -> None:
        """There was nobody else to hear."""

    def wake(self, topic: str, key: str) -> None:
        """Call those who hear `topic` here."""
        for fn in self._hearers[topic]:
            fn(key)

    def wake_all(self) -> None:
        """Call everybody: something may have happened unheard."""
        for topic in list(self._hearers):
            self.wake(topic, ANY)
