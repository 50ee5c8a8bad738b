# SPDX-License-Identifier: Apache-2.0
"""The journal of servers: what each is, and whether it should run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec

from cumulet.kernel.errors import NotFound, NotReady
from cumulet.kernel.link.host import Journal
from cumulet.services.compute.types import ServerSpec

Wish = Literal["running", "paused", "shutdown", "suspended"]

LOCK_TIMEOUT = 120.0  # seconds; longer than a graceful stop takes


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A server of this host. `boot_id` is the machine's run in which it was last known to run; "" asks for a start.

    `rebuilt` is the operation by which its disks were last made anew, which then is not done again. `before` is what
    the server was before a resize that nobody confirmed yet.
    """

    spec: ServerSpec
    wish: Wish
    boot_id: str = ""
    rebuilt: str = ""
    before: ServerSpec | None = None


class Records:
    """All records, and a lock for each server."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._guard = threading.Lock()
        self._locks: dict[str, threading.RLock] = {}

    @contextmanager
    def lock(self, server_id: str) -> Iterator[None]:
        """One verb at a time on each server; NotReady where the one before does not end in time."""
        with self._guard:
            lock = self._locks.setdefault(server_id, threading.RLock())
        if not lock.acquire(timeout=LOCK_TIMEOUT):
            raise NotReady(f"server {server_id} is busy", code="InstanceBusy")
        try:
            yield
        finally:
            lock.release()

    def find(self, server_id: str) -> Record | None:
        found = self._journal.get(server_id)
        return None if found is None else msgspec.convert(found, Record)

    def get(self, server_id: str) -> Record:
        """Raises NotFound."""
        found = self.find(server_id)
        if found is None:
            raise NotFound(f"no server {server_id} on this host", code="InstanceNotFound")
        return found

    def all(self) -> dict[str, Record]:
        return {server_id: msgspec.convert(found, Record) for server_id, found in self._journal.items().items()}

    def put(self, record: Record) -> None:
        self._journal.put(record.spec.id, msgspec.to_builtins(record, builtin_types=(bytes,)))

    def delete(self, server_id: str) -> None:
        self._journal.delete(server_id)
        with self._guard:
            self._locks.pop(server_id, None)
