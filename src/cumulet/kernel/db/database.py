# SPDX-License-Identifier: Apache-2.0
"""The database as services see it: itself a source of reads, and the one write door."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from cumulet.kernel.db.tx import Tx

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")


class Dialect(Protocol):
    """What differs between database engines; one class each in `dialects/`."""

    name: str

    def reader(self) -> Connection:
        """The calling thread's own connection, each statement a snapshot of its own."""

    def write(self, fn: Callable[[Tx], T]) -> T:
        """Run `fn` in a durable transaction; see `Database.write`."""

    def close(self) -> None:
        """Finish what was asked for and let go of every connection."""


class Database:
    """Reads are put to the object itself (it is a `Source`); writes go through `write`."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._writing = threading.local()

    @classmethod
    def sqlite(cls, path: Path, *, durable: bool = True) -> Database:
        """A database in the file `path`; `durable=False` (tests) trades power-loss safety for speed."""
        from cumulet.kernel.db.dialects.sqlite import Sqlite

        return cls(Sqlite(path, durable=durable))

    def write(self, fn: Callable[[Tx], T]) -> T:
        """Run `fn(tx)`, commit, and return its result once it is durable.

        `fn` holds SQL only: no I/O, no waiting; it may run twice. Whatever it raises undoes its writes and reaches the
        caller. A `write` inside `fn` raises RuntimeError: pass `tx` on instead.
        """
        if getattr(self._writing, "inside", False):
            raise RuntimeError("db.write inside db.write: pass the Tx on instead")

        def guarded(tx: Tx) -> T:
            self._writing.inside = True
            try:
                return fn(tx)
            finally:
                self._writing.inside = False

        return self.dialect.write(guarded)

    def close(self) -> None:
        self.dialect.close()

    def _connection(self) -> Connection:
        if getattr(self._writing, "inside", False):
            raise RuntimeError("a read outside the transaction inside db.write: put the query to the Tx")
        return self.dialect.reader()
