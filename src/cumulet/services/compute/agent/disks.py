# SPDX-License-Identifier: Apache-2.0
"""Work on volumes that running servers of this host have open, for block storage."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from cumulet.kernel.errors import Conflict, NotReady
from cumulet.kernel.moment import Moment
from cumulet.services.compute.agent.records import Records
from cumulet.services.compute.drivers.base import Hypervisor
from cumulet.services.compute.types import PowerState

_OPEN = (PowerState.RUNNING, PowerState.PAUSED)


class DisksOnHost:
    """`contract.HostDisks` on the hypervisor of this host."""

    def __init__(self, hypervisor: Hypervisor, records: Records) -> None:
        self._hypervisor = hypervisor
        self._records = records

    def is_open(self, volume_id: str, backend: str = "") -> bool:
        """Asks no lock: a server that is about to open the volume may be waiting for the asker."""
        users = [
            server_id
            for server_id, record in self._records.all().items()
            for volume in record.disks
            if volume.volume_id == volume_id
            and (not backend or (volume.remote is None and volume.backend in ("", backend)))
        ]
        return any(self._hypervisor.power(server_id) in _OPEN for server_id in users)

    def may_open(self, volume_id: str) -> bool:
        return any(self._records.is_locked(server_id) for server_id in self._users(volume_id))

    def resize(self, volume_id: str, size: int, *, generation: int = 0) -> bool:
        return self._on_open(
            volume_id, generation, lambda server_id: self._hypervisor.resize_disk(server_id, volume_id, size)
        )

    def snapshot(self, volume_id: str, name: str, *, generation: int = 0) -> bool:
        return self._on_open(
            volume_id, generation, lambda server_id: self._hypervisor.snapshot_disk(server_id, volume_id, name)
        )

    def drop_snapshot(self, volume_id: str, name: str, *, generation: int = 0) -> bool:
        return self._on_open(
            volume_id, generation, lambda server_id: self._hypervisor.drop_disk_snapshot(server_id, volume_id, name)
        )

    def copy(self, volume_id: str, target: Path, target_format: str, *, generation: int = 0) -> bool:
        def work(server_id: str) -> None:
            self._hypervisor.copy_disk(server_id, volume_id, target, target_format)

        return self._on_open(volume_id, generation, work)

    def openers(self, volume_ids: Collection[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for volume_id in volume_ids:
            for server_id in self._users(volume_id):
                if self._hypervisor.power(server_id) in _OPEN:
                    found.setdefault(server_id, []).append(volume_id)
                    break
        return found

    def copy_together(
        self,
        server_id: str,
        targets: Mapping[str, Path],
        target_format: str,
        *,
        generations: Mapping[str, int],
        moment: Moment | None = None,
    ) -> None:
        with self._records.lock(server_id):
            for volume_id in targets:
                opened_by = self._users(volume_id).get(server_id)
                if opened_by is None or self._hypervisor.power(server_id) not in _OPEN:
                    raise NotReady(f"Server {server_id} has let go of volume {volume_id}.")
                if generations.get(volume_id, 0) not in (0, opened_by):
                    raise Conflict(f"Volume {volume_id} is attached anew meanwhile.", code="StaleAttachment")
            self._hypervisor.copy_disks(server_id, targets, target_format, moment)

    def _on_open(self, volume_id: str, generation: int, work: Callable[[str], None]) -> bool:
        """Call `work(server id)` under the server's lock, so that it does not let go of the disk meanwhile.

        Of several servers that share the volume it is the one with the attachment of this generation.
        """
        stale = False
        for server_id in self._users(volume_id):
            with self._records.lock(server_id):
                opened_by = self._users(volume_id).get(server_id)
                if opened_by is not None and self._hypervisor.power(server_id) in _OPEN:
                    if not generation or generation == opened_by:
                        work(server_id)
                        return True
                    stale = True
        if stale:
            raise Conflict(f"Volume {volume_id} is attached anew meanwhile.", code="StaleAttachment")
        return False

    def _users(self, volume_id: str) -> dict[str, int]:
        """The servers that have the volume, with the generation of each one's attachment."""
        return {
            server_id: volume.generation
            for server_id, record in self._records.all().items()
            for volume in record.spec.volumes
            if volume.volume_id == volume_id
        }
