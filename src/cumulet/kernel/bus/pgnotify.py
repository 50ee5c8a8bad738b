# SPDX-License-Identifier: Apache-2.0
"""Wake-ups between replicas by PostgreSQL's NOTIFY.

A NOTIFY inside of a transaction makes all commits of the database wait for each other, so it is sent after the commit,
by a thread that puts what has gathered into one statement. Another thread listens; when its connection breaks it makes
a new one and wakes everybody once, for what it may have missed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import psycopg

from cumulet.kernel import ids
from cumulet.kernel.bus import ANY, Hearer
from cumulet.kernel.bus.gatherer import Gatherer
from cumulet.kernel.bus.memory import Memory
from cumulet.kernel.db.tx import Tx

LOG = logging.getLogger(__name__)

CHANNEL = "cumulet"
RECONNECT = 0.5  # seconds between attempts to listen
LOOK = 1.0  # seconds between two looks whether to stop

Connect = Callable[[], "psycopg.Connection[Any]"]
Send = Callable[[str, list[str]], None]


class PgNotify:
    """See `kernel.bus.Bus`. `connect` opens a connection for listening; `send(channel, payloads)` notifies."""

    def __init__(self, connect: Connect, send: Send) -> None:
        self._connect = connect
        self._here = Memory()
        self._elsewhere = Gatherer(lambda words: send(CHANNEL, words))
        self._name = ids.new_hex()[:12]  # marks our own words when they come back
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._listen_loop, name="bus-listen", daemon=True)

    def tell(self, tx: Tx, topic: str, key: str = ANY) -> None:
        tx.after_commit(lambda: self._told(topic, key))

    def hear(self, topic: str, fn: Hearer) -> None:
        self._here.hear(topic, fn)

    def start(self) -> None:
        self._thread.start()
        self._elsewhere.start()

    def stop(self) -> None:
        self._elsewhere.stop()
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(LOOK + 5)

    def _told(self, topic: str, key: str) -> None:
        self._here.wake(topic, key)
        self._elsewhere.say(f"{self._name} {topic} {key}")

    def _listen_loop(self) -> None:
        while not self._stopped.is_set():
            try:
                with self._connect() as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._here.wake_all()
                    self._listen(connection)
            except psycopg.Error as error:
                LOG.warning("other replicas are not heard for the moment: %s", error)
                self._stopped.wait(RECONNECT)

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        while not self._stopped.is_set():
            for heard in connection.notifies(timeout=LOOK):
                name, topic, key = heard.payload.split(" ", 2)
                if name != self._name:
                    self._here.wake(topic, key)
