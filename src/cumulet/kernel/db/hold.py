# SPDX-License-Identifier: Apache-2.0
"""A copy of the whole database as of one moment, at which no transaction is under way.

    with hold(settings) as held:      # writers wait from here on
        ...                           # what has to belong to the same moment
        held.release()                # they go on
        held.save(folder)             # the copy, of the moment before the release

From another process than the ones that write, so it works whether the cloud runs or not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cumulet.kernel import run
from cumulet.kernel.db.database import FILE_NAME

if TYPE_CHECKING:
    from cumulet.settings import Settings

WAIT = 30.0  # seconds that a write under way is given to end
DUMP = "database.dump"  # a dump in pg_dump's own format
DUMP_TIME = 4 * 3600.0
_VARIABLES = {"dbname": "PGDATABASE", "connect_timeout": "PGCONNECT_TIMEOUT", "application_name": "PGAPPNAME"}


class Held(Protocol):
    """The database at its moment. `engine` is `sqlite` or `postgres`."""

    engine: str

    def release(self) -> None:
        """Let writers go on."""

    def save(self, folder: Path) -> str:
        """Write the copy into `folder`; the file's name."""


@contextmanager
def hold(settings: Settings) -> Iterator[Held]:
    """The database that `settings` name. Raises RuntimeError where there is none."""
    with ExitStack() as stack:
        if settings.database.url:
            yield _Postgres(settings.database.url, stack)
        else:
            yield _Sqlite(settings.state / FILE_NAME, stack)


def load(settings: Settings, folder: Path) -> None:
    """Fill the empty database on the server with the dump in `folder`, all or nothing. Raises RuntimeError."""
    url = settings.database.url
    with _connect(url) as connection:
        if tables := _tables(connection):
            raise RuntimeError(f"the database is not empty: it has {len(tables)} tables; give an empty one")
    words = _words(url)
    argv: list[run.Arg] = ["pg_restore", "--single-transaction", "--no-owner", "--exit-on-error"]
    run.run([*argv, "--dbname", words["PGDATABASE"], folder / DUMP], env=words, timeout=DUMP_TIME)


class _Sqlite:
    """One connection that writes nothing but keeps others from it, and one whose snapshot is of that moment."""

    engine = "sqlite"

    def __init__(self, path: Path, stack: ExitStack) -> None:
        if not path.is_file():
            raise RuntimeError(f"there is no database at {path}")
        self._writer, self._reader = (_open(path, stack) for _ in range(2))
        self._writer.execute("BEGIN IMMEDIATE")
        self._reader.execute("BEGIN")
        self._reader.execute("SELECT count(*) FROM sqlite_master").fetchone()

    def release(self) -> None:
        self._writer.execute("ROLLBACK")

    def save(self, folder: Path) -> str:
        path = folder / FILE_NAME
        path.touch(mode=0o600)
        copy = sqlite3.connect(path)
        try:
            self._reader.backup(copy)
        finally:
            copy.close()
        return FILE_NAME


class _Postgres:
    """One session that holds all tables against writers, and one whose snapshot pg_dump takes up."""

    engine = "postgres"

    def __init__(self, url: str, stack: ExitStack) -> None:
        self._url = url
        self._writer, self._reader = (stack.enter_context(_connect(url)) for _ in range(2))
        tables = ", ".join(_tables(self._writer))
        if not tables:
            raise RuntimeError("the database is empty")
        self._writer.execute(f"LOCK TABLE {tables} IN SHARE MODE")
        self._reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self._snapshot = str(self._reader.execute("SELECT pg_export_snapshot()").fetchone()[0])

    def release(self) -> None:
        self._writer.rollback()

    def save(self, folder: Path) -> str:
        path = folder / DUMP
        path.touch(mode=0o600)
        argv: list[run.Arg] = ["pg_dump", "--format=custom", f"--snapshot={self._snapshot}", "--no-owner"]
        run.run([*argv, "--file", path], env=_words(self._url), timeout=DUMP_TIME)
        return DUMP


def _open(path: Path, stack: ExitStack) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=WAIT, isolation_level=None)
    stack.callback(connection.close)
    return connection


@contextmanager
def _connect(url: str) -> Iterator[Any]:
    import psycopg

    options = f"-c lock_timeout={int(WAIT * 1000)} -c idle_in_transaction_session_timeout=0"
    with psycopg.connect(url, options=options) as connection:
        yield connection


def _words(url: str) -> dict[str, str]:
    """The url for libpq's programs, in their environment: a command line is for everybody to read."""
    from psycopg.conninfo import conninfo_to_dict

    found = {_VARIABLES.get(name, f"PG{name.upper()}"): str(value) for name, value in conninfo_to_dict(url).items()}
    return {"PGDATABASE": found.get("PGUSER", "postgres"), **found}


def _tables(connection: Any) -> list[str]:
    query = "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = current_schema()"
    return [str(row[0]) for row in connection.execute(query).fetchall()]
