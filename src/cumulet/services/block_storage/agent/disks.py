# SPDX-License-Identifier: Apache-2.0
"""One opener a disk: who may touch a volume's bytes on this host at a given moment.

Either the hypervisor was given the disk (`open`), or it is exported to another host, or block storage works on it
closed (`closed`), never two of them. The hypervisor's own locks are never waited for while a disk is held here, so the
two cannot block each other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cumulet.kernel.contracts import Contracts
from cumulet.kernel.errors import NotReady
from cumulet.services.block_storage.agent.backup import VolumesKeeper
from cumulet.services.block_storage.agent.exports import Exports
from cumulet.services.block_storage.contract import DiskSource, NetworkSource, RemoteDisk
from cumulet.services.block_storage.drivers.base import VolumeBackend
from cumulet.services.compute.contract import HostDisks

OPENING = 10.0  # seconds within which a server that asked for a disk has it open, or never will
PATIENCE = 30.0  # seconds that an opener waits for work on the closed disk


class DisksForServers:
    """`contract.HostVolumes` on this host's back end; `credentials()` is what others' exports are opened with."""

    def __init__(
        self,
        contracts: Contracts,
        backend: VolumeBackend,
        keeper: VolumesKeeper,
        exports: Exports,
        credentials: Callable[[], Path],
    ) -> None:
        self._contracts = contracts
        self._keeper = keeper
        self._backend = backend
        self._exports = exports
        self._credentials = credentials
        self._opening: dict[str, float] = {}
        self._busy: set[str] = set()
        self._changed = threading.Condition()

    def open(
        self, volume_id: str, *, generation: int = 0, remote: RemoteDisk | None = None
    ) -> DiskSource | NetworkSource:
        if remote is not None:
            return NetworkSource(remote=remote, credentials=self._credentials())
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: volume_id not in self._busy, PATIENCE):
                    raise NotReady(f"Volume {volume_id} is being copied.")
                exported = self._exports.find(volume_id)
                if exported is None:
                    source = self._backend.source(volume_id)
                    self._opening[volume_id] = time.monotonic()
                    return source
            if exported.shared or exported.generation >= generation:
                raise NotReady(f"Volume {volume_id} is open on host {exported.client}.")
            self._exports.end(volume_id, generation)

    def close(self, volume_id: str) -> None:
        with self._changed:
            self._opening.pop(volume_id, None)

    def copy_target(self, volume_id: str, into: Path) -> Path | None:
        if self._exports.find(volume_id) is not None:
            return None  # the export is its opener, and is asked for the copy
        return self._keeper.target(volume_id, into)

    def discard_copy(self, volume_id: str, into: Path) -> None:
        self._keeper.discard(volume_id, into)

    @contextmanager
    def closed(self, volume_ids: list[str], *, attached: bool = True) -> Iterator[None]:
        """Hold disks that nobody has open; NotReady where somebody has, or is about to.

        `attached` False says that no server has a claim on them: what was asked for in the past is over.
        """
        if any(self.is_open(volume_id) for volume_id in volume_ids):
            raise NotReady("The disk is open in a server.")
        self._hold(volume_ids, attached)
        try:
            yield
        finally:
            with self._changed:
                self._busy.difference_update(volume_ids)
                self._changed.notify_all()

    def is_open(self, volume_id: str) -> bool:
        """Whether a server, of this host or of another, may have it open now."""
        if self._exports.find(volume_id) is not None:
            return True
        hypervisor = self.hypervisor()
        return hypervisor is not None and hypervisor.is_open(volume_id)

    def hypervisor(self) -> HostDisks | None:
        """Compute's part on this host, None where there is none."""
        if not self._contracts.offers(HostDisks):
            return None
        return self._contracts.use(HostDisks)

    def _hold(self, volume_ids: list[str], attached: bool) -> None:
        with self._changed:
            free = self._changed.wait_for(lambda: self._busy.isdisjoint(volume_ids), PATIENCE)
            if not free:
                raise NotReady("Other work on the disk is under way.")
            for volume_id in volume_ids:
                since = self._opening.get(volume_id)
                if attached and since is not None and time.monotonic() - since < OPENING:
                    raise NotReady("A server is about to open the disk.")
                self._opening.pop(volume_id, None)
            self._busy.update(volume_ids)
