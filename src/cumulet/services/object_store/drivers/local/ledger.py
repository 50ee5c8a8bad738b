# SPDX-License-Identifier: Apache-2.0
"""An SQLite file of a device: one writer, whose commits hold all that came while the last one was being flushed."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from cumulet.services.object_store.drivers.local.turns import Turn, Turns

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

BATCH = 256  # pieces of work in one commit
_PRAGMAS = "PRAGMA journal_mode=WAL; PRAGMA synchronous={}; PRAGMA cache_size=-{}; PRAGMA temp_store=MEMORY;"


_TURNS = Turns()  # of all files that this process has; commits, which flush, go on beside them
_HARMLESS = ("SQLITE_FULL", "SQLITE_BUSY")


def settle(path: Path) -> None:
    """Bring the log of a file that nobody uses into it, and empty the log.

    Where the flush of a log has failed the page cache may have what no disk has, and call it written: behind that
    nothing would be safe. Raises sqlite3.Error.
    """
    if not path.exists():
        return
    with contextlib.closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


class Ledger:
    """The file at `path`, made with `schema` (statements that may run again), whose pages are of `page` bytes.

    `durable` has each commit flushed before it is acknowledged. `cache` is in KiB, for each connection.
    """

    def __init__(self, path: Path, schema: str, *, durable: bool = True, page: int = 4096, cache: int = 2048) -> None:
        self._path = path
        self._pragmas = _PRAGMAS.format("FULL" if durable else "OFF", cache)
        self._idle: deque[sqlite3.Connection] = deque()
        self._jobs: deque[tuple[Work[Any], Future[Any]]] = deque()
        self._guard = threading.Lock()
        self._turn = Turn()
        self._asked = False  # for a turn that does what is in `_jobs`
        self._closed = False
        self.failed = ""  # why nobody knows what is on the disk, once a commit has failed
        self._connection = self._connect("rwc")
        self._connection.execute(f"PRAGMA page_size={page}")
        self._connection.executescript(self._pragmas + schema)
        self._thread = threading.Thread(target=self._work, name=f"ledger-{path.stem}", daemon=True)
        self._thread.start()

    def submit(self, work: Work[T]) -> Future[T]:
        """Have `work` done in the next commit; the answer is there when that is on the disk.

        What it raises undoes its own writes alone. What is cancelled before its turn is not done. RuntimeError when the
        file is closed.
        """
        done: Future[T] = Future()
        with self._guard:
            if self._closed:
                raise RuntimeError(f"{self._path} is closed")
            self._jobs.append((work, done))
            self._ask()
        return done

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees what is committed; one snapshot for each statement.

        Raises sqlite3.OperationalError where the file is away.
        """
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect("rw")
            connection.executescript(f"{self._pragmas}PRAGMA query_only=1;")
        try:
            yield connection
        finally:
            self._idle.append(connection)

    def close(self) -> None:
        """After what was submitted; nobody may be reading."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            self._ask()
        self._thread.join()
        while self._idle:
            self._idle.pop().close()
        self._connection.close()

    def _connect(self, mode: str) -> sqlite3.Connection:
        # Where the disk was unmounted meanwhile, a reader must not make the file anew on the disk below.
        name = f"file:{quote(str(self._path.absolute()))}?mode={mode}"
        return sqlite3.connect(name, uri=True, timeout=10, isolation_level=None, check_same_thread=False)

    def _ask(self) -> None:
        if not self._asked:
            self._asked = True
            _TURNS.ask(self._turn)

    def _work(self) -> None:
        ended = False
        while not ended:
            self._turn.wait()
            with self._guard:
                batch = [self._jobs.popleft() for _ in range(min(BATCH, len(self._jobs)))]
            self._commit(batch)
            with self._guard:
                self._asked = False
                ended = self._closed and not self._jobs
                if self._jobs:
                    self._ask()

    def _commit(self, batch: list[tuple[Work[Any], Future[Any]]]) -> None:
        say = self._connection.execute
        batch = [(work, done) for work, done in batch if done.set_running_or_notify_cancel()]
        alone = len(batch) == 1
        answers: list[tuple[Future[Any], Any]] = []
        try:
            try:
                if batch:
                    say("BEGIN IMMEDIATE")
                for work, done in batch:
                    self._do(work, done, answers, alone=alone)
            finally:
                _TURNS.over(self._turn)
            if self._connection.in_transaction:
                say("COMMIT")
        except BaseException as error:
            if isinstance(error, sqlite3.Error) and error.sqlite_errorname not in _HARMLESS:
                self.failed = self.failed or f"{error.sqlite_errorname}: {error}"
            with contextlib.suppress(sqlite3.Error):
                say("ROLLBACK")
            for _, done in batch:
                if not done.done():
                    done.set_exception(error)
            return
        for done, answer in answers:
            done.set_result(answer)

    def _do(self, work: Work[Any], done: Future[Any], answers: list[tuple[Future[Any], Any]], *, alone: bool) -> None:
        """What a piece wrote is undone where it fails; one that is `alone` needs no savepoint for that."""
        say = self._connection.execute
        if not alone:
            say("SAVEPOINT piece")
        try:
            answers.append((done, work(self._connection)))
        except Exception as error:
            if not self._connection.in_transaction:  # a full disk undoes all of it
                raise
            say("ROLLBACK" if alone else "ROLLBACK TO piece")
            done.set_exception(error)
        if not alone:
            say("RELEASE piece")
