# SPDX-License-Identifier: Apache-2.0
"""Wake-ups: after a commit, those who look after such rows are told at once, in this process and in other replicas.

The rows are the truth; a wake-up only carries a topic and a row's id, and may be lost. Whoever listens looks again by
itself every few seconds, so that a lost one costs no more than that time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cumulet.kernel.db.tx import Tx

Hearer = Callable[[str], None]

ANY = ""  # the id of a wake-up that stands for rows not known, such as after a time of deafness


class Bus(Protocol):
    """One implementation a database engine: in this process alone, or between replicas."""

    def tell(self, tx: Tx, topic: str, key: str = ANY) -> None:
        """Wake all who hear `topic` once `tx` has committed. Neither may hold a space."""

    def hear(self, topic: str, fn: Hearer) -> None:
        """Call `fn(key)` at each wake-up; it must be quick, must not raise, and is called in any thread."""

    def start(self) -> None:
        """Hear other replicas from now on."""

    def stop(self) -> None:
        """Hear them no more."""
