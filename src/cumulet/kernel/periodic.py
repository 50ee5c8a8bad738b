# SPDX-License-Identifier: Apache-2.0
"""Periodic work of services, each piece under a lease so that one replica does it at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, or_, update

from cumulet.kernel import clock
from cumulet.kernel.db import sql, tables
from cumulet.kernel.db.database import Database
from cumulet.kernel.db.tx import Tx

if TYPE_CHECKING:
    from cumulet.kernel.cloud import Cloud

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Periodic:
    """Call `work(cloud)` every `seconds`; what it raises is logged and it goes on.

    One replica does it at a time, or, with `everywhere`, each process for itself.
    """

    name: str
    seconds: float
    work: Callable[[Cloud], None]
    everywhere: bool = False


class Timers:
    """One thread that runs all periodic work of this process in turn."""

    def __init__(self, cloud: Cloud, owner: str, work: list[Periodic]) -> None:
        self._cloud = cloud
        self._owner = owner
        self._due = dict.fromkeys(work, 0.0)
        self._leased: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="timers", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)
        mine = tables.lease.c.owner == self._owner
        self._cloud.db.write(lambda tx: sql.execute(tx, delete(tables.lease).where(mine)))

    def _loop(self) -> None:
        while not self._stop.is_set():
            now = clock.now()
            for item, due in self._due.items():
                if due <= now:
                    self._due[item] = now + item.seconds
                    self._run(item)
            pause = min(self._due.values(), default=now + 1.0) - clock.now()
            self._stop.wait(max(0.05, min(pause, 5.0)))

    def _run(self, item: Periodic) -> None:
        try:
            if self._hold(item):
                item.work(self._cloud)
        except Exception:
            LOG.exception("periodic work %s failed", item.name)

    def _hold(self, item: Periodic) -> bool:
        length = 3 * item.seconds + 10
        if item.everywhere:
            return True
        if self._leased.get(item.name, 0.0) - clock.now() > length / 2:
            return True
        held = take_lease(self._cloud.db, item.name, self._owner, length)
        self._leased[item.name] = clock.now() + length if held else 0.0
        return held


def take_lease(db: Database, name: str, owner: str, seconds: float) -> bool:
    """Hold `name` for `seconds`, newly or again; False while somebody else does."""
    lease = tables.lease

    def take(tx: Tx) -> bool:
        now = clock.now()
        free = or_(lease.c.owner == owner, lease.c.until < now)
        values = {"owner": owner, "until": now + seconds}
        if sql.execute(tx, update(lease).where(lease.c.name == name, free).values(values)):
            return True
        if sql.column(tx, lease.select().where(lease.c.name == name)):
            return False
        sql.execute(tx, lease.insert().values(name=name, **values))
        return True

    return db.write(take)
