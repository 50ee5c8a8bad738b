# SPDX-License-Identifier: Apache-2.0
"""The database as services see it: itself a source of reads, and the one write door."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from cumulet.kernel.db.tx import Tx

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from cumulet.kernel.bus import Bus
    from cumulet.settings import Settings

T = TypeVar("T")

FILE_NAME = "cumulet.db"


class Dialect(Protocol):
    """What differs between database engines; one class each in `dialects/`."""

    name: str
    at_hand: bool  # whether a small read is a matter of microseconds: there is no server between

    def use(self) -> AbstractContextManager[Connection]:
        """A connection for reading, each statement a snapshot of its own."""

    def write(self, fn: Callable[[Tx], T], *, loose: bool = False) -> T:
        """Run `fn` in a durable transaction; see `Database.write`."""

    def alone(self, name: str) -> AbstractContextManager[None]:
        """Hold `name` for the length of the block, which may hold many transactions: no other replica does."""

    def bus(self, run: Path) -> Bus:
        """How those who look after rows are woken on this engine; `run` is where this machine's sockets are."""

    def spelt(self, script: str) -> str:
        """A migration's script, which spells types as SQLite does, in the engine's own spelling."""

    def check(self) -> None:
        """Raise RuntimeError, in words for the operator, where this database cannot hold a cloud."""

    def erase(self) -> None:
        """Remove all tables of the cloud. Raises RuntimeError while another process uses them."""

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

    @classmethod
    def postgres(cls, url: str, *, connections: int = 16, durable: bool = True) -> Database:
        """A database on a server, of which this process takes at most `connections` connections at a time."""
        from cumulet.kernel.db.dialects.postgres import Postgres

        return cls(Postgres(url, connections=connections, durable=durable))

    @classmethod
    def open(cls, settings: Settings) -> Database:
        """The database that `settings` name: by `database.url`, or the file in the state directory."""
        if settings.database.url:
            return cls.postgres(settings.database.url, connections=settings.database.connections)
        return cls.sqlite(settings.state / FILE_NAME)

    @property
    def is_at_hand(self) -> bool:
        """Whether a small read is a matter of microseconds."""
        return self.dialect.at_hand

    def alone(self, name: str) -> AbstractContextManager[None]:
        """Hold `name` for the length of the block, which may hold many transactions: no other replica does."""
        return self.dialect.alone(name)

    def write(self, fn: Callable[[Tx], T], *, loose: bool = False) -> T:
        """Run `fn(tx)`, commit, and return its result once it is durable.

        `fn` holds SQL only: no I/O, no waiting; it may run twice. Whatever it raises undoes its writes and reaches the
        caller. A `write` inside `fn` raises RuntimeError: pass `tx` on instead. `loose` is for statements each of which
        is right whatever others do meanwhile (an update that says whose the row must be): none is judged with the next.
        """
        if getattr(self._writing, "inside", False):
            raise RuntimeError("db.write inside db.write: pass the Tx on instead")

        def guarded(tx: Tx) -> T:
            self._writing.inside = True
            try:
                return fn(tx)
            finally:
                self._writing.inside = False

        return self.dialect.write(guarded, loose=loose)

    def close(self) -> None:
        self.dialect.close()

    def _use(self) -> AbstractContextManager[Connection]:
        if getattr(self._writing, "inside", False):
            raise RuntimeError("a read outside the transaction inside db.write: put the query to the Tx")
        return self.dialect.use()
