# SPDX-License-Identifier: Apache-2.0
"""The opaque transaction that logic and contracts pass on; only a store can look inside (`kernel.db.sql`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from cumulet.kernel.errors import NotReady

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Away(NotReady):
    """The database does not answer. Users are told no more than that; `__cause__` is the engine's own error."""

    def __init__(self) -> None:
        super().__init__("The database is not available.", code="DatabaseAway")


class Busy(NotReady):
    """The database answers, but could not do this now: too many wanted the same, or it took too long."""

    def __init__(self) -> None:
        super().__init__("The database is too busy.", code="DatabaseBusy")


class Source(Protocol):
    """What a query can be put to: the database (a fresh snapshot) or a transaction (its own view)."""

    def _use(self) -> AbstractContextManager[Connection]:
        """A connection for the length of the block; whatever it returns is read to its end inside."""


class Tx:
    """One write transaction. It ends when the function given to `Database.write` returns; keep no reference to it."""

    def __init__(self, connection: Connection, lock: Callable[[Connection, str], None]) -> None:
        self._open: Connection | None = connection
        self._lock = lock
        self._after_commit: list[Callable[[], None]] = []

    @contextmanager
    def _use(self) -> Iterator[Connection]:
        yield self._connection()

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
