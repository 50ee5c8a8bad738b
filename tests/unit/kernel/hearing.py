# SPDX-License-Identifier: Apache-2.0
"""Who listens on a bus, for tests: what was heard of the topic `things`."""

from __future__ import annotations

import threading

from cumulet.kernel.bus import ANY, Bus


class Heard:
    """Starts `bus`, and keeps the keys that are heard from then on, in their order."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.keys: list[str] = []
        self._changed = threading.Condition()
        self.bus.hear("things", self._hear)
        self.bus.start()
        self.wait_for(ANY)  # listening has begun
        self.keys.clear()

    def wait_for(self, *keys: str) -> None:
        """Return once all of them were heard."""
        with self._changed:
            assert self._changed.wait_for(lambda: set(keys) <= set(self.keys), 30), f"{keys} not in {self.keys}"

    def _hear(self, key: str) -> None:
        with self._changed:
            self.keys.append(key)
            self._changed.notify_all()
