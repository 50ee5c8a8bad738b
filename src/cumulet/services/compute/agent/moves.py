# SPDX-License-Identifier: Apache-2.0
"""Volumes of this host's servers that go to another place: the same volume on another disk, below the same device.

Bodies: `server.move_volume` and `server.place_volume` `{id, volume}` (a VolumeSpec), `server.settle_volume` `{id,
volume_id, generation}`. What is written down in the journal while nobody writes to either disk decides: whatever dies,
the server comes back with the one that has all that was written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from cumulet.kernel.errors import Conflict
from cumulet.kernel.link.host import Body, Verb
from cumulet.services.compute.agent.records import Record, Records
from cumulet.services.compute.drivers.base import Hypervisor
from cumulet.services.compute.types import PowerState, ServerSpec, VolumeSpec

_OPEN = (PowerState.RUNNING, PowerState.PAUSED)


class MovesOnHost:
    """These verbs."""

    def __init__(self, hypervisor: Hypervisor, records: Records, close_volume: Callable[[str], None]) -> None:
        self._hypervisor = hypervisor
        self._records = records
        self._close_volume = close_volume

    @property
    def verbs(self) -> Mapping[str, Verb]:
        return {
            "server.move_volume": self.move,
            "server.place_volume": self.place,
            "server.settle_volume": self.settle,
        }

    def move(self, body: Body) -> Body:
        """Give the running server the disk `volume`, with the content of the one that it has: `done`.

        `done` is False for one that does not run.
        """
        volume = msgspec.convert(body["volume"], VolumeSpec)
        with self._records.lock(body["id"]):
            record = self.settled(self._records.get(body["id"]))
            have = _find(record, volume.volume_id)
            if have.generation == volume.generation:
                return {"done": True}
            if have.generation > volume.generation:
                raise Conflict(f"Volume {volume.volume_id} is attached anew meanwhile.", code="StaleAttachment")
            if not self._is_open(record):
                return {"done": False}
            if volume.encrypted:
                raise Conflict("encrypted volumes are not moved while a server runs", code="UnsupportedHardware")
            moving = msgspec.structs.replace(record, moving=volume)
            self._records.put(moving)
            try:
                self._hypervisor.move_disk(record.spec.id, volume, lambda: self._has(moving, volume))
            finally:
                self.settled(self._records.get(record.spec.id))
            self._hypervisor.limit_disk(record.spec.id, volume)
        return {"done": True}

    def place(self, body: Body) -> Body:
        """A server that does not run has its volume where `volume` says; `done` of one that runs, whether it has."""
        volume = msgspec.convert(body["volume"], VolumeSpec)
        with self._records.lock(body["id"]):
            record = self.settled(self._records.get(body["id"]))
            have = _find(record, volume.volume_id)
            if self._is_open(record):
                return {"done": have.generation == volume.generation}
            self._has(record, volume)
        return {"done": True}

    def settle(self, body: Body) -> Body:
        """End what was interrupted: whether the server has the volume by this generation, and whether it is `open`."""
        with self._records.lock(body["id"]):
            record = self.settled(self._records.get(body["id"]))
            have, opened = _find(record, body["volume_id"]), self._is_open(record)
            if not opened and have.remote is None:
                self._close_volume(have.volume_id)
            return {"done": have.generation == int(body["generation"]), "open": opened}

    def settled(self, record: Record) -> Record:
        """The record without a volume that is about to be exchanged, whose server goes on if it was held for that."""
        volume = record.moving
        if volume is None:
            return record
        runs = self._is_open(record)
        if runs and self._hypervisor.has_moved(record.spec.id, volume):
            record = self._has(record, volume)
        else:
            record = msgspec.structs.replace(record, moving=None)
            self._records.put(record)
        if runs and record.wish == "running" and self._hypervisor.power(record.spec.id) == PowerState.PAUSED:
            self._hypervisor.unpause(record.spec.id)
        return record

    def _has(self, record: Record, volume: VolumeSpec) -> Record:
        """Write down that the server has the volume there, also where a resize is taken back."""
        before = None if record.before is None else _with(record.before, volume)
        changed = msgspec.structs.replace(record, spec=_with(record.spec, volume), before=before, moving=None)
        self._records.put(changed)
        return changed

    def _is_open(self, record: Record) -> bool:
        return self._hypervisor.power(record.spec.id) in _OPEN


def _with(spec: ServerSpec, volume: VolumeSpec) -> ServerSpec:
    volumes = [volume if each.volume_id == volume.volume_id else each for each in spec.volumes]
    return msgspec.structs.replace(spec, volumes=volumes)


def _find(record: Record, volume_id: str) -> VolumeSpec:
    for each in record.spec.volumes:
        if each.volume_id == volume_id:
            return each
    raise Conflict(f"volume {volume_id} is not the server's", code="DiskNotFound")
