# SPDX-License-Identifier: Apache-2.0
"""Events that leave after commit: written beside the rows that they tell of, delivered in order, at least once."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import bindparam, select

from cumulet.kernel import clock
from cumulet.kernel.bus import Bus
from cumulet.kernel.db import sql, tables
from cumulet.kernel.db.database import Database
from cumulet.kernel.db.lease import Lease
from cumulet.kernel.db.tx import Away, Tx
from cumulet.kernel.errors import NotReady

LOG = logging.getLogger(__name__)

TOPIC = "kernel.outbox"
LEASE = 15.0  # seconds that others wait for a replica that fell silent while it delivered
RESCAN = 5.0  # seconds: how late an event can be whose wake-up was lost
GATHER = 0.1  # seconds for which events are let gather: what belongs together is delivered, and forgotten, at once
BATCH = 200
_PUBLISH = tables.outbox.insert().values(
    {name: bindparam(f"new_{name}") for name in ("topic", "payload", "request_id", "created_at")}
)
_OLDEST = select(tables.outbox).order_by(tables.outbox.c.id).limit(BATCH)


class Event(msgspec.Struct, frozen=True):
    """One event: `topic` is a dotted name (`compute.instance.create.end`), `payload` plain data."""

    id: int
    topic: str
    payload: Any
    request_id: str
    created_at: float


Subscriber = Callable[[Event], None]


class Outbox:
    """Writes events in the transactions that cause them and hands them to subscribers, in one replica for all."""

    def __init__(self, db: Database, bus: Bus, owner: str) -> None:
        self._db = db
        self._bus = bus
        self._lease = Lease(db, TOPIC, owner, LEASE)
        self._subscribers: dict[str, list[Subscriber]] = defaultdict(list)
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def publish(self, tx: Tx, topic: str, payload: Any, request_id: str = "") -> None:
        """Store an event; it is delivered once the transaction has committed."""
        values = {
            "new_topic": topic,
            "new_payload": payload,
            "new_request_id": request_id,
            "new_created_at": clock.now(),
        }
        sql.execute(tx, _PUBLISH, values)
        if self._lease.is_held:
            tx.after_commit(self._wake.set)  # nobody else delivers
        else:
            self._bus.tell(tx, TOPIC)

    def subscribe(self, prefix: str, subscriber: Subscriber) -> None:
        """Hand every event whose topic is `prefix`, or stands below it, to `subscriber`; it must be idempotent."""
        self._subscribers[prefix].append(subscriber)

    def start(self) -> None:
        self._bus.hear(TOPIC, lambda _: self._wake.set())
        self._wake.set()  # for what a former life left behind
        self._thread = threading.Thread(target=self._loop, name="outbox", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(10)
            with contextlib.suppress(NotReady):
                self._lease.drop()

    def deliver(self) -> int:
        """Deliver what is there now; returns how many events were delivered."""
        events = sql.rows(self._db, _OLDEST, Event, {})
        for event in events:
            self._hand_out(event)
        if events:
            done = [event.id for event in events]
            self._db.write(lambda tx: sql.remove(tx, tables.outbox, id=done), loose=True)
        return len(events)

    def _loop(self) -> None:
        while not self._stopping:
            if self._wake.wait(RESCAN) and not self._stopping:
                time.sleep(GATHER)
            self._wake.clear()
            try:
                while not self._stopping and self._lease.hold() and self.deliver() == BATCH:
                    pass
            except Away:
                LOG.warning("events wait for the database")
            except Exception:
                LOG.exception("the outbox could not be read")

    def _hand_out(self, event: Event) -> None:
        for prefix, subscribers in self._subscribers.items():
            if event.topic == prefix or event.topic.startswith(prefix + "."):
                for subscriber in subscribers:
                    try:
                        subscriber(event)
                    except Exception:
                        LOG.exception("a subscriber failed on event %s", event.topic)
