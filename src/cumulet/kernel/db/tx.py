# SPDX-License-Identifier: Apache-2.0
"""The opaque transaction that logic and contracts pass on; only a store can look inside (`kernel.db.sql`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Source(Protocol):
    """What a query can be put to: the database (a fresh snapshot) or a transaction (its own view)."""

    def _connection(self) -> Connection: ...


class Tx:
    """One write transaction. It ends when the function given to `Database.write` returns; keep no reference to it."""

    def __init__(self, connection: Connection, lock: Callable[[Connection, str], None]) -> None:
        self._open: Connection | None = connection
        self._lock = lock
        self._after_commit: list[Callable[[], None]] = []

    def _connection(self) -> Connection:
        if self._open is None:
            raise RuntimeError("this transaction has ended")
        return self._open

    def lock(self, name: str) -> None:
        """Hold `name` alone until the commit: for checks over many rows, such as quotas."""
        self._lock(self._connection(), name)

    def after_commit(self, fn: Callable[[], None]) -> None:
        """Call `fn` once the transaction is durable; it must be quick, and its loss in a crash harmless."""
        self._after_commit.append(fn)

    def _end(self) -> list[Callable[[], None]]:
        self._open = None
        return self._after_commit
