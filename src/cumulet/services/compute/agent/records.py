# SPDX-License-Identifier: Apache-2.0
"""The journal of servers: what each is, and whether it should run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal

import msgspec

from cumulet.kernel.errors import NotFound, NotReady
from cumulet.kernel.keyed_locks import KeyedLocks
from cumulet.kernel.link.host import Journal
from cumulet.services.compute.types import ServerSpec, VolumeSpec

Wish = Literal["running", "paused", "shutdown", "suspended"]

LOCK_TIMEOUT = 120.0  # seconds; longer than a graceful stop takes


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A server of this host. `boot_id` is the machine's run in which it was last known to run; "" asks for a start.

    `rebuilt` is the operation by which its disks were last made anew, which then is not done again. `before` is what
    the server was before a resize that nobody confirmed yet. `moving` is what a volume is about to be exchanged for by
    the same one in another place: which of the two a running server has, its hypervisor knows.
    """

    spec: ServerSpec
    wish: Wish
    boot_id: str = ""
    rebuilt: str = ""
    before: ServerSpec | None = None
    moving: VolumeSpec | None = None

    @property
    def disks(self) -> list[VolumeSpec]:
        """All volumes that the server may have open."""
        return [*self.spec.volumes, *([] if self.moving is None else [self.moving])]


class Records:
    """All records, and a lock for each server."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._locks = KeyedLocks()

    def is_locked(self, server_id: str) -> bool:
        """Whether something is done with the server now."""
        return self._locks.is_held(server_id)

    @contextmanager
    def lock(self, server_id: str) -> Iterator[None]:
        """One verb at a time on each server; NotReady where the one before does not end in time."""
        with ExitStack() as held:
            try:
                held.enter_context(self._locks.hold(server_id, LOCK_TIMEOUT))
            except TimeoutError as error:
                raise NotReady(f"server {server_id} is busy", code="InstanceBusy") from error
            yield

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
