# SPDX-License-Identifier: Apache-2.0
"""Work on volumes that running servers of this host have open, for block storage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cumulet.services.compute.agent.records import Records
from cumulet.services.compute.drivers.base import Hypervisor
from cumulet.services.compute.types import PowerState

_OPEN = (PowerState.RUNNING, PowerState.PAUSED)


class DisksOnHost:
    """`contract.HostDisks` on the hypervisor of this host."""

    def __init__(self, hypervisor: Hypervisor, records: Records) -> None:
        self._hypervisor = hypervisor
        self._records = records

    def is_open(self, volume_id: str) -> bool:
        """Asks no lock: a server that is about to open the volume may be waiting for the asker."""
        return any(self._hypervisor.power(server_id) in _OPEN for server_id in self._users(volume_id))

    def resize(self, volume_id: str, size: int) -> bool:
        return self._on_open(volume_id, lambda server_id: self._hypervisor.resize_disk(server_id, volume_id, size))

    def snapshot(self, volume_id: str, name: str) -> bool:
        return self._on_open(volume_id, lambda server_id: self._hypervisor.snapshot_disk(server_id, volume_id, name))

    def copy(self, volume_id: str, target: Path, target_format: str) -> bool:
        return self._on_open(
            volume_id, lambda server_id: self._hypervisor.copy_disk(server_id, volume_id, target, target_format)
        )

    def _on_open(self, volume_id: str, work: Callable[[str], None]) -> bool:
        """Call `work(server id)` under the server's lock, so that it does not let go of the disk meanwhile."""
        for server_id in self._users(volume_id):
            with self._records.lock(server_id):
                if server_id in self._users(volume_id) and self._hypervisor.power(server_id) in _OPEN:
                    work(server_id)
                    return True
        return False

    def _users(self, volume_id: str) -> list[str]:
        return [
            server_id
            for server_id, record in self._records.all().items()
            if any(volume.volume_id == volume_id for volume in record.spec.volumes)
        ]
