# SPDX-License-Identifier: Apache-2.0
"""A few connections to a database server, shared by all threads and lent for one statement or one transaction."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from cumulet.kernel.db.tx import Busy

WAIT = 30.0  # seconds that a thread waits for its turn
IDLE = 8.0  # seconds after which an unused connection is left: the server ends it at ten


class Pool:
    """At most `size` connections; the one used last is lent first, so that few are open in a quiet time.

    A thread that parks for long (a saga waiting for a host) holds none meanwhile: `size` need not grow with threads.
    """

    def __init__(self, engine: Engine, size: int) -> None:
        self._engine = engine
        self._turns = threading.Semaphore(size)
        self._idle: list[tuple[Connection, float]] = []
        self._lock = threading.Lock()
        self._era = 0
        self._closed = False

    @contextmanager
    def lend(self) -> Iterator[Connection]:
        """A connection in autocommit. Raises Busy where none comes free in time, else what connecting raises."""
        if not self._turns.acquire(timeout=WAIT):
            raise Busy()
        try:
            connection, era = self._take()
            try:
                yield connection
            finally:
                self._give(connection, era)
        finally:
            self._turns.release()

    def forget(self) -> None:
        """Trust no connection that was opened before now: the server is gone, or was."""
        with self._lock:
            self._era += 1
            old, self._idle = self._idle, []
        for connection, _ in old:
            _close(connection)

    def close(self) -> None:
        self._closed = True
        self.forget()

    def _take(self) -> tuple[Connection, int]:
        if self._closed:
            raise RuntimeError("the database is closed")
        while True:
            with self._lock:
                era = self._era
                if not self._idle:
                    break
                connection, since = self._idle.pop()
            if time.monotonic() - since < IDLE:
                return connection, era
            _close(connection)
        return self._engine.connect(), era

    def _give(self, connection: Connection, era: int) -> None:
        with self._lock:
            if era == self._era and not self._closed and not _is_broken(connection):
                self._idle.append((connection, time.monotonic()))
                return
        _close(connection)


def _is_broken(connection: Connection) -> bool:
    return connection.closed or connection.invalidated


def _close(connection: Connection) -> None:
    with contextlib.suppress(SQLAlchemyError):
        connection.close()
