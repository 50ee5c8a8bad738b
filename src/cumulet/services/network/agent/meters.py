# SPDX-License-Identifier: Apache-2.0
"""What routers count, read every so often, added up by label and project, and told to the control plane.

What was read last is on disk with what has been added up, so that an agent that starts again goes on where it was. A
report keeps its name until it is taken: the control plane takes none twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from cumulet.kernel import ids
from cumulet.kernel.errors import CumuletError
from cumulet.kernel.link.host import Journal
from cumulet.services.network.drivers.base import Fabric
from cumulet.services.network.types import RouterState
from cumulet.services.network.types.meters import Metered, MeterReading

LOG = logging.getLogger(__name__)

VERB = "network.meters"
TIMEOUT = 30.0
_RECORD = "book"


class Book(msgspec.Struct):
    """`seen` is what each router said last of each label: the counters' life, packets, bytes. `sums` are what has been
    added up since the last report, by label and project; `batch` names the report that waits to be taken, if one does.
    """

    seen: dict[str, tuple[str, int, int]] = {}
    sums: dict[str, Metered] = {}
    batch: str = ""
    waiting: list[Metered] = []
    reported_at: int = 0


class Meters:
    """Reads every `every` seconds, and reports every `report` seconds, once there is anything to be counted."""

    def __init__(
        self, fabric: Fabric, journal: Journal, call: Callable[..., Any], *, every: float, report: float
    ) -> None:
        self._fabric = fabric
        self._journal = journal
        self._call = call
        self._every = every
        self._report = report
        self._lock = threading.Lock()
        self._routers: list[RouterState] = []
        self._leaving = threading.Event()
        self._thread: threading.Thread | None = None
        record = journal.get(_RECORD)
        self._book = msgspec.convert(record, Book) if record is not None else Book()

    def follow(self, routers: Iterable[RouterState]) -> None:
        """From now on these routers are the host's; called before they become so."""
        wanted = [router for router in routers if router.meters]
        with self._lock:
            if _labels(wanted) != _labels(self._routers):
                self._read_before()
            self._routers = wanted
            if wanted and self._thread is None and not self._leaving.is_set():
                self._thread = threading.Thread(target=self._work, name="network meters", daemon=True)
                self._thread.start()

    def note(self, routers: Iterable[RouterState]) -> None:
        """Read these routers a last time, before they go with all else."""
        with self._lock:
            self._routers = [router for router in routers if router.meters]
            self._read_before()

    def stop(self) -> None:
        self._leaving.set()

    def collect(self) -> None:
        """Read now, and report if it is time to."""
        with self._lock:
            self._collect()
            self._close(int(time.time()))
            batch, waiting = self._book.batch, list(self._book.waiting)
        if batch:
            self._call(VERB, {"batch": batch, "meters": msgspec.to_builtins(waiting)}, timeout=TIMEOUT)
            with self._lock:
                self._book.batch, self._book.waiting = "", []
                self._save()

    def _work(self) -> None:
        while not self._leaving.wait(self._every):
            try:
                self.collect()
            except (CumuletError, TimeoutError) as error:
                LOG.warning("what routers have counted could not be told: %s", error)
            except Exception:
                LOG.exception("what routers have counted could not be read")

    def _read_before(self) -> None:
        """Under the lock: what cannot be read keeps nothing from being changed."""
        try:
            self._collect()
        except Exception:
            LOG.exception("what routers have counted could not be read")

    def _collect(self) -> None:
        """Under the lock. Nothing is read while no router counts."""
        if not self._routers:
            return
        now = int(time.time())
        for reading in self._fabric.meters(self._routers):
            key = _key(reading.router_id, reading.label_id)
            packets, size = _growth(self._book.seen.get(key), reading)
            self._book.seen[key] = (reading.born, reading.packets, reading.bytes)
            self._add(reading, packets, size, now)
        wanted = _labels(self._routers)
        self._book.seen = {key: said for key, said in self._book.seen.items() if key in wanted}
        self._save()

    def _add(self, reading: MeterReading, packets: int, size: int, now: int) -> None:
        key = _key(reading.label_id, reading.project_id)
        found = self._book.sums.get(key)
        if found is None:
            found = Metered(label_id=reading.label_id, project_id=reading.project_id, first_update=now, last_update=now)
            self._book.sums[key] = found
        found.pkts += packets
        found.bytes += size
        found.time += max(0, now - found.last_update)
        found.last_update = now

    def _close(self, now: int) -> None:
        """Under the lock: make a report of the sums if it is time for one, and none waits. What has not been read for
        the time of a report is told for the last time.
        """
        if self._book.batch or now - self._book.reported_at < self._report or not self._book.sums:
            return
        self._book.batch, self._book.waiting = ids.new_uuid(), list(self._book.sums.values())
        self._book.sums = {
            key: msgspec.structs.replace(each, pkts=0, bytes=0, time=0)
            for key, each in self._book.sums.items()
            if each.last_update > now - max(self._report, self._every)
        }
        self._book.reported_at = now
        self._save()

    def _save(self) -> None:
        self._journal.put(_RECORD, msgspec.to_builtins(self._book))


def _key(*words: str) -> str:
    return "/".join(words)


def _labels(routers: Iterable[RouterState]) -> set[str]:
    return {_key(router.id, meter.id) for router in routers for meter in router.meters}


def _growth(before: tuple[str, int, int] | None, reading: MeterReading) -> tuple[int, int]:
    """Packets and bytes since then; all of them where the counters have begun anew."""
    if before is None or before[0] != reading.born or before[1] > reading.packets or before[2] > reading.bytes:
        return reading.packets, reading.bytes
    return reading.packets - before[1], reading.bytes - before[2]
