# SPDX-License-Identifier: Apache-2.0
"""SQLite: WAL, a reader a thread, and one writer at a time that commits many functions at once.

Many threads that write on their own starve each other (the engine's busy handler is unfair); a queue to one thread is
fair, and one fsync serves up to 64 functions, so full durability costs next to nothing. Where nobody writes, the caller
does so itself: the way to another thread and back costs more than most writes.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, NullPool, create_engine, event

from cumulet.kernel.bus import Bus
from cumulet.kernel.bus.datagrams import Datagrams
from cumulet.kernel.db import direct
from cumulet.kernel.db.tx import Tx

T = TypeVar("T")

BATCH = 64  # functions in one commit
BUSY_TIMEOUT = 10_000  # milliseconds that a statement waits for another process's write

Job = tuple[Callable[[Tx], Any], "Future[Any]"]


class Sqlite:
    """One database file."""

    name = "sqlite"
    at_hand = True

    def __init__(self, path: Path, *, durable: bool) -> None:
        self._engine = _engine(path, "FULL" if durable else "OFF")
        self._idle: deque[Connection] = deque()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._closed = False
        self._turn = threading.Lock()  # whoever has it is the writer
        self._lined_up = False  # whether the thread waits for it, with something to write: then callers queue too
        self._connection: Connection | None = None  # the writer's
        self._writer = threading.Thread(target=self._write_loop, name="sqlite-writer", daemon=True)
        self._writer.start()

    def use(self) -> AbstractContextManager[Connection]:
        """A connection for one read."""
        return _Lent(self._engine, self._idle)

    def write(self, fn: Callable[[Tx], T], *, loose: bool = False) -> T:
        if self._closed:
            raise RuntimeError("the database is closed")
        if self._jobs.empty() and not self._lined_up and self._turn.acquire(blocking=False):
            try:
                if not self._closed:
                    return self._commit_alone(self._opened(), fn)
            finally:
                self._turn.release()
        done: Future[T] = Future()
        self._jobs.put((fn, done))
        if not self._writer.is_alive():
            self._refuse_rest()
        return done.result()

    def alone(self, name: str) -> AbstractContextManager[None]:
        """There is one control plane to a file, which the lock in the run directory sees to."""
        return nullcontext()

    def bus(self, run: Path) -> Bus:
        """Wake-ups between the processes of this machine."""
        return Datagrams(run / "wake")

    def spelt(self, script: str) -> str:
        return script

    def check(self) -> None:
        """Any file will do."""

    def erase(self) -> None:
        """The file goes with the state directory that it is in."""

    def close(self) -> None:
        self._closed = True
        self._jobs.put(None)
        self._writer.join(30)
        self._refuse_rest()
        with self._turn:
            if self._connection is not None:
                self._connection.close()
        while self._idle:
            self._idle.pop().close()
        self._engine.dispose()

    def _refuse_rest(self) -> None:
        """Answer those who asked while the database was being closed: nobody else will."""
        with contextlib.suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is not None:
                    job[1].set_exception(RuntimeError("the database is closed"))

    def _write_loop(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._lined_up = True
            with self._turn:
                self._lined_up = False
                batch, last = self._gather(job)
                self._commit(self._opened(), batch)
            if last:
                return

    def _opened(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _commit_alone(self, connection: Connection, fn: Callable[[Tx], T]) -> T:
        tx = Tx(connection, _no_lock)
        try:
            _say(connection, "BEGIN IMMEDIATE")
            result = fn(tx)
            after = tx._end()
            _say(connection, "COMMIT")
        except BaseException:
            tx._end()
            _roll_back(connection)
            raise
        for hook in after:
            hook()
        return result

    def _gather(self, first: Job) -> tuple[list[Job], bool]:
        batch = [first]
        while len(batch) < BATCH:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return batch, False
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False

    def _commit(self, connection: Connection, batch: list[Job]) -> None:
        outcomes: list[tuple[Future[Any], Any, list[Callable[[], None]]]] = []
        try:
            _say(connection, "BEGIN IMMEDIATE")
            for fn, done in batch:
                self._run(connection, fn, done, outcomes)
            _say(connection, "COMMIT")
        except BaseException as error:
            self._abandon(connection, batch, error)
            return
        for done, result, after in outcomes:
            for hook in after:
                hook()
            done.set_result(result)

    def _run(
        self,
        connection: Connection,
        fn: Callable[[Tx], Any],
        done: Future[Any],
        outcomes: list[tuple[Future[Any], Any, list[Callable[[], None]]]],
    ) -> None:
        _say(connection, "SAVEPOINT job")
        tx = Tx(connection, _no_lock)
        try:
            result = fn(tx)
        except Exception as error:
            tx._end()
            _say(connection, "ROLLBACK TO job")
            _say(connection, "RELEASE job")
            done.set_exception(error)
        else:
            _say(connection, "RELEASE job")
            outcomes.append((done, result, tx._end()))

    def _abandon(self, connection: Connection, batch: list[Job], error: BaseException) -> None:
        _roll_back(connection)
        for _, done in batch:
            if not done.done():
                done.set_exception(error)


class _Lent:
    """A connection for the length of a block, the one that was given back last if there is one.

    Opening one costs more than most queries; each holds the schema, statements and pages of its own, so there are as
    many as are in use at a time, and not one for each thread.
    """

    __slots__ = ("_connection", "_engine", "_idle")

    def __init__(self, engine: Engine, idle: deque[Connection]) -> None:
        self._engine = engine
        self._idle = idle

    def __enter__(self) -> Connection:
        try:
            self._connection = self._idle.pop()
        except IndexError:
            self._connection = self._engine.connect()
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._idle.append(self._connection)


def _say(connection: Connection, words: str) -> None:
    """Put words about the transaction to the driver itself; what fails is said again, for SQLAlchemy's error."""
    driver: Any = connection.connection.driver_connection
    try:
        driver.execute(words)
    except Exception:
        connection.exec_driver_sql(words)


def _roll_back(connection: Connection) -> None:
    if connection.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]
        _say(connection, "ROLLBACK")


def _no_lock(connection: Connection, name: str) -> None:
    """The writer is alone in the file already."""


def _engine(path: Path, synchronous: str) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        execution_options={direct.DIRECT: True},
        connect_args={"timeout": BUSY_TIMEOUT / 1000, "check_same_thread": False, "cached_statements": 512},
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={synchronous}",
            f"busy_timeout={BUSY_TIMEOUT}",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "case_sensitive_like=ON",
            "cache_size=-8000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine
