# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL: serializable transactions of the callers, run again where they met another one.

What is written for one writer at a time stays true: a transaction that saw what another one changed meanwhile is
undone and run anew (`docs/adr/0011-postgresql.md`). `Tx.lock` spares that: whoever needs a name that is taken starts
again once it has it, so that its snapshot is younger than the lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import DataError
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, ExceptionContext, NullPool, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError

from cumulet.kernel import clock
from cumulet.kernel.bus import Bus
from cumulet.kernel.bus.pgnotify import PgNotify
from cumulet.kernel.db.dialects.pool import Pool
from cumulet.kernel.db.tx import Away, Busy, Tx
from cumulet.kernel.errors import Invalid
from cumulet.kernel.metrics import Counter

LOG = logging.getLogger(__name__)

CONFLICTS = Counter("cumulet_database_conflicts_total", "Transactions that met another one and ran again")

T = TypeVar("T")

ALONE = 300  # seconds that `alone` may last
SKEW = 5.0  # seconds that the clocks of replicas may differ, for leases are a matter of time
OLDEST = 140000  # the first server version that ends idle sessions by itself
PATIENCE = 30.0  # seconds that one write is run again and again
LINE_UP = 4  # attempts after which a write waits its turn among those that were refused as often
AT_THE_HEAD = 20  # times that a write is run again before it gives up its place in the line
LONGEST_PAUSE = 0.1  # seconds between two attempts
UNIQUE_AGAIN = 2  # times that a row which is there already is taken for one that came meanwhile
TURNSTILE = "kernel:write"
RECONNECTS = 2  # times that a write is run again because its connection broke
SAY_AGAIN = 10.0  # seconds between two lines in the log on one absence
# Scans of whole tables are avoided: whoever has read a table that way has met everybody who writes in it.
_STRICT = "BEGIN ISOLATION LEVEL SERIALIZABLE; SET LOCAL enable_seqscan = off"
_LOOSE = "BEGIN ISOLATION LEVEL READ COMMITTED"
_TOO_SLOW = "57014"
# Serialization failure, deadlock, lock not available: run again.
_CONFLICTS = frozenset({"40001", "40P01", "55P03"})
# A frozen process must not hold what others wait for: the server ends its sessions. What a scan that is to be avoided
# is said to cost would have the server compile the query, for a tenth of a second or more; ours are all short.
_OPTIONS = {
    "jit": "off",
    "idle_in_transaction_session_timeout": "10s",
    "idle_session_timeout": "10s",
    "lock_timeout": "30s",
    "statement_timeout": "60s",
    "timezone": "UTC",
}
_OTHER_USERS = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'cumulet' AND pid != pg_backend_pid()"
)
_TABLES = (
    "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = current_schema() "
    "AND EXISTS (SELECT FROM kernel_migration WHERE starts_with(tablename, service || '_')) ORDER BY 1"
)
_FUNCTIONS = (
    "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = current_schema()::regnamespace "
    "AND EXISTS (SELECT FROM kernel_migration WHERE starts_with(proname, service || '_')) ORDER BY 1"
)
# Types as migrations spell them, which is SQLite's way, and as this engine does.
_SPELLING = {
    "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT": "BIGSERIAL PRIMARY KEY",
    "DATETIME": "TIMESTAMP",
    "BLOB": "BYTEA",
}
# A server that is gone without a word is noticed in some 20 seconds.
_CONNECT: dict[str, Any] = {
    "application_name": "cumulet",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


class _Taken(BaseException):
    """A name is locked by somebody else; not an Exception, for no code between may swallow it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class _Conflict(Exception):
    """The transaction met another one and is undone."""


class _Doubtful(Away):
    """The connection broke at the commit: it may be done or not, so it must not be run again."""


class Postgres:
    """One database on a server; `url` as libpq knows it (`postgresql://user@host/name`)."""

    name = "postgres"
    at_hand = False

    def __init__(self, url: str, *, connections: int, durable: bool) -> None:
        self.url = url
        self._engine = _engine(url, {} if durable else {"synchronous_commit": "off"})
        self._said = -SAY_AGAIN
        self._unhurried = False
        self._pool = Pool(self._engine, connections)
        event.listen(self._engine, "handle_error", self._translate, retval=True)

    def use(self) -> AbstractContextManager[Connection]:
        """A connection for one statement."""
        return self._pool.lend()

    def write(self, fn: Callable[[Tx], T], *, loose: bool = False) -> T:
        """Run `fn` until it got through. Raises Busy where others were in its way for 30 seconds."""
        begin = _LOOSE if loose else _STRICT
        names: set[str] = set()
        end = time.monotonic() + PATIENCE
        attempt = broken = 0
        while True:
            attempt += 1
            try:
                return self._attempt(fn, begin, names, attempt)
            except _Taken as taken:
                names.add(taken.name)
            except _Conflict as conflict:
                if time.monotonic() > end:
                    raise Busy() from conflict
                if attempt >= LINE_UP:
                    names.add(TURNSTILE)
                time.sleep(random.uniform(0, min(0.002 * 2**attempt, LONGEST_PAUSE)))  # noqa: S311 - no secret
            except _Doubtful:
                raise
            except Away:
                broken += 1
                if broken > RECONNECTS:
                    raise

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Hold `name`, on a connection of its own, which the server ends at last if this process has frozen."""
        with self._engine.connect() as connection:
            for option, seconds in (("idle_session_timeout", ALONE), ("lock_timeout", 0), ("statement_timeout", 0)):
                connection.exec_driver_sql(f"SET {option} = '{seconds}s'")
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({_number(name)})")
            self._unhurried = True  # a migration may take its time
            try:
                yield
            finally:
                self._unhurried = False

    def bus(self, run: Path) -> Bus:
        """Wake-ups by NOTIFY, between replicas on whatever machines."""
        return PgNotify(self._listener, self._notify)

    def spelt(self, script: str) -> str:
        for theirs, ours in _SPELLING.items():
            script = re.sub(rf"\b{theirs}\b", ours, script)
        return script

    def check(self) -> None:
        """Raise RuntimeError, in words for the operator, where this database cannot hold a cloud."""
        with self.use() as connection:
            version = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one())
            query = "SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database"
            encoding, *locale = connection.exec_driver_sql(f"{query} WHERE datname = current_database()").one()
            theirs = connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar_one()
        if version < OLDEST:
            raise RuntimeError("the database server is too old: PostgreSQL 14 is the oldest that will do")
        if abs(float(theirs) - clock.now()) > SKEW:
            raise RuntimeError("this machine's clock and the database server's differ by more than 5 seconds")
        if encoding != "UTF8" or not {*locale} <= {"C", "POSIX"}:
            raise RuntimeError(
                f"the database has the encoding {encoding} and the locale {', '.join(locale)}, but lists need the "
                "order of bytes; create it with TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
            )

    def erase(self) -> None:
        """Remove the cloud's tables, and what works on them, whatever else the database holds."""
        with self.use() as connection:
            users = connection.exec_driver_sql(_OTHER_USERS).scalar_one()
            if users:
                raise RuntimeError(
                    f"{users} connections of other processes use the database; stop those replicas first"
                )
            if connection.exec_driver_sql("SELECT to_regclass('kernel_migration')").scalar_one() is None:
                return
            functions = connection.exec_driver_sql(_FUNCTIONS).scalars().all()
            tables = connection.exec_driver_sql(_TABLES).scalars().all()
            connection.exec_driver_sql(f"DROP TABLE {', '.join(tables)} CASCADE")
            if functions:
                connection.exec_driver_sql(f"DROP FUNCTION {', '.join(functions)}")

    def close(self) -> None:
        self._pool.close()
        self._engine.dispose()

    def _listener(self) -> psycopg.Connection[Any]:
        conninfo = make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)
        return psycopg.connect(conninfo, autocommit=True, **_CONNECT)

    def _notify(self, channel: str, payloads: list[str]) -> None:
        with self.use() as connection:
            connection.exec_driver_sql(
                "SELECT pg_notify(%s, word) FROM unnest(%s::text[]) AS word", (channel, payloads)
            )

    def _attempt(self, fn: Callable[[Tx], T], begin: str, names: set[str], attempt: int) -> T:
        with self._pool.lend() as connection:
            held = frozenset(names)
            try:
                if held:
                    _lock_all(connection, held)
                # Whoever has come to the head of the line stays there until it is through.
                for further in range(AT_THE_HEAD if TURNSTILE in held else 1):
                    done = self._transact(connection, fn, begin, held, names, attempt + further)
                    if done is not None:
                        break
                    CONFLICTS.inc()
                else:
                    raise _Conflict
                result, hooks = done
            except DBAPIError as error:
                if _is_conflict(error, attempt):
                    raise _Conflict from error
                raise
            finally:
                if held and not connection.invalidated:
                    connection.exec_driver_sql("SELECT pg_advisory_unlock_all()")
        for hook in hooks:
            hook()
        return result

    def _transact(
        self,
        connection: Connection,
        fn: Callable[[Tx], T],
        begin: str,
        held: frozenset[str],
        names: set[str],
        attempt: int,
    ) -> tuple[T, list[Callable[[], None]]] | None:
        """Run `fn` in a transaction, and tell what is to be done after; None where it met another one.

        `held` are the locks held already, and `names` grows by those asked for.
        """

        def lock(_: Connection, name: str) -> None:
            if name in held:
                return
            names.add(name)
            if not connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({_number(name)})").scalar_one():
                raise _Taken(name)

        connection.exec_driver_sql(begin)
        if self._unhurried:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        tx = Tx(connection, lock)
        try:
            result = fn(tx)
            hooks = tx._end()
            if _status(connection) == TransactionStatus.INERROR:  # `fn` took no notice of a statement that failed
                _roll_back(connection)
                return None
        except BaseException as error:
            tx._end()
            _roll_back(connection)
            if isinstance(error, DBAPIError) and _is_conflict(error, attempt):
                return None
            raise
        try:
            connection.exec_driver_sql("COMMIT")
        except Away as away:
            raise _Doubtful from away
        except DBAPIError as error:
            _roll_back(connection)
            if _is_conflict(error, attempt):
                return None
            raise
        return result, hooks

    def _translate(self, context: ExceptionContext) -> Exception | None:
        """The engine's errors in the kernel's words."""
        error = context.original_exception
        state = str(getattr(error, "sqlstate", None) or "")
        if context.is_disconnect or context.connection is None:
            self._pool.forget()
            if time.monotonic() - self._said > SAY_AGAIN:
                self._said = time.monotonic()
                LOG.warning("the database is away: %s", error)
            return Away()
        if state == _TOO_SLOW:
            LOG.warning("the database took too long: %s", context.statement)
            return Busy()
        if isinstance(error, DataError):
            LOG.warning("the database refuses a value: %s", error)
            return Invalid("A value in the request cannot be stored.", code="ValueRefused")
        return None


def _lock_all(connection: Connection, names: frozenset[str]) -> None:
    """Wait for all of `names`, in an order that is the same for everybody."""
    numbers = sorted((name != TURNSTILE, _number(name)) for name in names)
    connection.exec_driver_sql("SELECT " + ", ".join(f"pg_advisory_lock({number})" for _, number in numbers))


def _number(name: str) -> int:
    """The 64 bits that stand for a lock's name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)


def _is_conflict(error: DBAPIError, attempt: int) -> bool:
    if isinstance(error, IntegrityError):
        # Whoever looked and found nothing may have been overtaken; the next look tells.
        return attempt <= UNIQUE_AGAIN
    return getattr(error.orig, "sqlstate", None) in _CONFLICTS


def _status(connection: Connection) -> TransactionStatus:
    if connection.invalidated:
        return TransactionStatus.UNKNOWN
    status: TransactionStatus = connection.connection.dbapi_connection.info.transaction_status  # type: ignore[union-attr]
    return status


def _roll_back(connection: Connection) -> None:
    if not connection.invalidated:
        with contextlib.suppress(Away):
            connection.exec_driver_sql("ROLLBACK")


def _engine(url: str, more: dict[str, str]) -> Engine:
    options = " ".join(f"-c {name}={value}" for name, value in {**_OPTIONS, **more}.items())
    return create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        use_native_hstore=False,  # it would cost a question at each connect
        connect_args={**_CONNECT, "options": options},
    )
