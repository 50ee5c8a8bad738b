# SPDX-License-Identifier: Apache-2.0
"""Periodic work of services, each piece under a lease so that one replica does it at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cumulet.kernel import clock
from cumulet.kernel.db import lease
from cumulet.kernel.db.lease import Lease
from cumulet.kernel.db.tx import Away
from cumulet.kernel.errors import NotReady

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
        self._leases: dict[str, Lease] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="timers", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)
        try:
            lease.drop_all(self._cloud.db, self._owner)
        except NotReady as error:
            LOG.warning("leases are kept until they end: %s", error)

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
        except Away:
            LOG.warning("periodic work %s waits for the database", item.name)
        except Exception:
            LOG.exception("periodic work %s failed", item.name)

    def _hold(self, item: Periodic) -> bool:
        if item.everywhere:
            return True
        if item.name not in self._leases:
            self._leases[item.name] = Lease(self._cloud.db, item.name, self._owner, 3 * item.seconds + 10)
        return self._leases[item.name].hold()
