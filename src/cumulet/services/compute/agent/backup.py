# SPDX-License-Identifier: Apache-2.0
"""Servers of this host in a backup: their records, and their disks with the volumes that they have open."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from cumulet.kernel.contracts import Contracts
from cumulet.kernel.errors import Conflict, NotFound
from cumulet.kernel.link.host import Journal
from cumulet.services.block_storage.contract import HostVolumes
from cumulet.services.compute.agent.records import Record, Records
from cumulet.services.compute.drivers.base import Hypervisor
from cumulet.services.compute.types import PowerState, ServerSpec

FOLDER = "agent/compute"
JOURNAL = "agent/journal/servers"
_OPEN = (PowerState.RUNNING, PowerState.PAUSED)


class ServersKeeper:
    """`kernel.backup.keeper.Keeper`; a server takes no orders while its disks are being copied, but runs on."""

    folders = (FOLDER, JOURNAL, "agent/compute-images")

    def __init__(self, hypervisor: Hypervisor, records: Records, contracts: Contracts) -> None:
        self._hypervisor = hypervisor
        self._records = records
        self._contracts = contracts

    def pin(self, folder: Path) -> list[str]:
        found = self._records.all()
        kept = Journal(folder / "records")
        for server_id, record in found.items():
            # A restored server is not one that ended unseen: it is to be started.
            kept.put(server_id, msgspec.to_builtins(msgspec.structs.replace(record, boot_id="")))
            self._hypervisor.pin(server_id, folder / "disks" / server_id)
        return list(found)

    def copy(self, piece: str, folder: Path, into: Path) -> None:
        Journal(into / JOURNAL).put(piece, Journal(folder / "records").get(piece))
        target = into / FOLDER / "servers" / piece
        with self._records.lock(piece):
            current = self._records.find(piece)
            try:
                if current is not None:
                    self._copy(current, target, into)
                    return
            except NotFound:
                pass  # a record whose server was never made, or is gone already
            self._hypervisor.back_up_pinned(folder / "disks" / piece, target)

    def _copy(self, record: Record, target: Path, into: Path) -> None:
        spec = record.spec
        volumes = self._targets(spec, into) if self._hypervisor.power(spec.id) in _OPEN else {}
        try:
            self._hypervisor.back_up(spec, target, volumes)
        except Conflict:
            # The guest ended just now, so its volumes are closed.
            for volume_id in volumes:
                self._contracts.use(HostVolumes).discard_copy(volume_id, into)
            self._hypervisor.back_up(spec, target, {})

    def _targets(self, spec: ServerSpec, into: Path) -> Mapping[str, Path]:
        if not spec.volumes:
            return {}
        disks = self._contracts.use(HostVolumes)
        found = {volume.volume_id: disks.copy_target(volume.volume_id, into) for volume in spec.volumes}
        return {volume_id: path for volume_id, path in found.items() if path is not None}
