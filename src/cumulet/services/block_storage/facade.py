# SPDX-License-Identifier: Apache-2.0
"""The contract of the block storage service, implemented."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, NotReady
from cumulet.services.block_storage import contract
from cumulet.services.block_storage.contract import BootVolume, OlderVolumes, VolumeInfo, VolumesContract
from cumulet.services.block_storage.logic import (
    attached_moves,
    backends,
    claims,
    exports,
    keys,
    migrations,
    older,
    progress,
    snapshots,
    volume_types,
    volumes,
)
from cumulet.services.block_storage.logic.refusals import attachment_not_found, volume_not_found
from cumulet.services.block_storage.store import attachments as attachment_store
from cumulet.services.block_storage.store import moves as move_store
from cumulet.services.block_storage.store import snapshots as snapshot_store
from cumulet.services.block_storage.store import volumes as volume_store
from cumulet.services.block_storage.types import Attachment, SnapshotStatus, Volume, VolumeStatus, is_shared

LOG = logging.getLogger(__name__)


def offers(cloud: Cloud) -> dict[type, Callable[[], Any]]:
    """What this service offers: Protocol to maker."""
    return {VolumesContract: lambda: Volumes(cloud), OlderVolumes: lambda: older.Volumes(cloud)}


class Volumes:
    """`contract.VolumesContract` on this service's rows."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def check(self, source: Source, ctx: Context, volume_id: str) -> VolumeInfo:
        volume = volumes.get(source, ctx, volume_id)
        claims.check_shared(self._cloud, ctx, volume)
        claims.require(volume, "reserve", "reserve")
        return _info(volume)

    def info(self, source: Source, volume_ids: list[str]) -> dict[str, VolumeInfo]:
        return {volume.id: _info(volume) for volume in volume_store.find_many(source, volume_ids)}

    def ready(self, source: Source, volume_id: str) -> VolumeInfo:
        volume = self._volume(source, volume_id)
        if volume.status in (VolumeStatus.CREATING, VolumeStatus.DOWNLOADING):
            raise NotReady(f"Volume {volume_id} is being made.")
        if volume.status.startswith("error") or volume.status == VolumeStatus.DELETING:
            raise Conflict(f"Volume {volume_id} is in status {volume.status}.", code="VolumeNotCreated")
        return _info(volume)

    def reserve(self, tx: Tx, ctx: Context, volume_id: str, server_id: str) -> contract.Attachment:
        volume = volumes.get(tx, ctx, volume_id)
        claims.check_shared(self._cloud, ctx, volume)
        return _claim(claims.reserve(tx, volume, server_id, managed=True))

    def attach(self, tx: Tx, attachment_id: str, host: str, device: str, mode: str = "rw") -> contract.Attachment:
        found = attachment_store.find(tx, attachment_id)
        if found is None:
            raise attachment_not_found(attachment_id)
        found.mode = found.mode or mode
        return _claim(claims.complete(self._cloud, tx, found, host, device))

    def begin_detach(self, tx: Tx, ctx: Context, attachment_id: str) -> None:
        volume = self._volume_of(tx, attachment_id)
        claims.mark(tx, volume, "begin_detaching", "detach", VolumeStatus.DETACHING)

    def roll_detach(self, tx: Tx, attachment_id: str) -> None:
        found = attachment_store.find(tx, attachment_id)
        volume = volume_store.find(tx, found.volume_id) if found is not None else None
        if volume is not None:
            claims.roll_detaching(tx, volume)

    def detach(self, tx: Tx, attachment_id: str) -> None:
        found = attachment_store.find(tx, attachment_id)
        if found is not None:
            claims.end(self._cloud, tx, found)

    def release(self, tx: Tx, server_id: str) -> list[str]:
        found = attachment_store.of_servers(tx, [server_id])
        for one in found:
            claims.end(self._cloud, tx, one)
        return [one.volume_id for one in found]

    def attachments_of(self, source: Source, server_ids: list[str]) -> dict[str, list[contract.Attachment]]:
        found: dict[str, list[contract.Attachment]] = {}
        for one in attachment_store.of_servers(source, server_ids):
            found.setdefault(one.server_id or "", []).append(_claim(one))
        return found

    def attachments_on(self, source: Source, volume_id: str) -> list[contract.Attachment]:
        return [_claim(one) for one in claims.of_volume(source, volume_id)]

    def swap_ended(self, tx: Tx, old_volume_id: str, new_volume_id: str, *, failed: bool) -> None:
        # Who moves a volume goes on from here; one that an administrator called moving has arrived.
        volume_store.change(tx, old_volume_id, migration_status="error" if failed else "success")

    def move_make(self, volume_id: str) -> None:
        attached_moves.make(self._cloud, volume_id)

    def move_generation(self, volume_id: str) -> int:
        return attached_moves.generation(self._cloud, volume_id)

    def move_connect(self, volume_id: str, host: str, *, both: bool) -> contract.Connection:
        return attached_moves.connect(self._cloud, volume_id, host, both=both)

    def move_disconnect(self, volume_id: str, *, closed: bool) -> None:
        attached_moves.disconnect(self._cloud, volume_id, closed=closed)

    def move_copy(self, volume_id: str, operation: str) -> None:
        attached_moves.copy(self._cloud, volume_id, operation)

    def move_leave(self, volume_id: str, host: str) -> None:
        attached_moves.leave(self._cloud, volume_id, host)

    def move_drop(self, volume_id: str) -> None:
        attached_moves.drop(self._cloud, volume_id)

    def moved(self, tx: Tx, volume_id: str, request_id: str) -> None:
        move = attached_moves.moved(tx, volume_id)
        place = backends.find(tx, move.host, move.backend)
        if place is None:
            raise NotReady("The target is not there.")
        kind = {} if move.type_id is None else {"type_id": move.type_id, "multiattach": bool(move.multiattach)}
        migrations.arrived(self._cloud, tx, volume_id, place, kind, request_id)

    def move_failed(self, tx: Tx, volume_id: str, request_id: str) -> None:
        if move_store.find(tx, volume_id) is not None:
            migrations.failed(tx, volume_id, request_id, chosen=True)

    def key_for_boot(self, ctx: Context, request: BootVolume) -> Any:
        return volumes.key_for(self._cloud, ctx, _wanted(request))

    def create_for_boot(self, tx: Tx, ctx: Context, request: BootVolume, key: Any = ()) -> VolumeInfo:
        return _info(volumes.create(self._cloud, tx, ctx, _wanted(request), keys.Ready(key)))

    def delete_on_termination(self, tx: Tx, volume_id: str, request_id: str = "") -> None:
        volume = volume_store.find(tx, volume_id)
        if volume is None or volume.status == VolumeStatus.DELETING:
            return
        if attachment_store.of_volumes(tx, [volume_id]):
            LOG.warning("volume %s outlives its server: others have it too", volume_id)
            return
        if volume.group_id is not None:
            LOG.warning("volume %s outlives its server: it is in a group", volume_id)
            return
        if any(each.status != SnapshotStatus.DELETING for each in snapshot_store.of_volume(tx, volume_id)):
            LOG.warning("volume %s outlives its server: it has snapshots", volume_id)
            return
        volumes.begin_delete(self._cloud, tx, volume, request_id)

    def set_bootable(self, tx: Tx, volume_id: str, image_metadata: dict[str, str]) -> None:
        volume_store.change(tx, volume_id, bootable=True, image_metadata=dict(image_metadata))

    def place(self, source: Source, volume_id: str) -> str:
        host = self._volume(source, volume_id).host
        return "" if is_shared(host) else host

    def connect(self, attachment_id: str, host: str) -> contract.Connection:
        return exports.connect(self._cloud, attachment_id, host)

    def disconnect(self, attachment_id: str) -> None:
        exports.disconnect(self._cloud, attachment_id)

    def extended_on_host(self, tx: Tx, volume_id: str, size: int) -> None:
        progress.extended(self._cloud, tx, volume_id, size, "")

    def snapshot_for_image(self, tx: Tx, ctx: Context, volume_id: str, name: str) -> str:
        made = snapshots.create(self._cloud, tx, ctx, volume_id, name, "", {}, in_use=True)
        return made.id

    def snapshot_ready(self, source: Source, snapshot_id: str) -> None:
        found = snapshot_store.find(source, snapshot_id)
        if found is not None and found.status == SnapshotStatus.CREATING:
            raise NotReady(f"Snapshot {snapshot_id} is being made.")
        if found is None or found.status != SnapshotStatus.AVAILABLE:
            raise Conflict(f"Snapshot {snapshot_id} could not be made.")

    def drop_snapshot(self, tx: Tx, snapshot_id: str, request_id: str = "") -> None:
        snapshots.drop(self._cloud, tx, snapshot_id, request_id)

    def snapshot(self, source: Source, ctx: Context, snapshot_id: str) -> contract.SnapshotInfo:
        found = snapshots.get(source, ctx, snapshot_id)
        return contract.SnapshotInfo(id=found.id, volume_id=found.volume_id, size=found.size, status=found.status)

    def volume_type(self, source: Source, ctx: Context, name_or_id: str) -> str:
        return volume_types.find(source, ctx, name_or_id).name

    def _volume(self, source: Source, volume_id: str) -> Volume:
        found = volume_store.find(source, volume_id)
        if found is None:
            raise volume_not_found(volume_id)
        return found

    def _volume_of(self, source: Source, attachment_id: str) -> Volume:
        found = attachment_store.find(source, attachment_id)
        if found is None:
            raise attachment_not_found(attachment_id)
        return self._volume(source, found.volume_id)


def _wanted(request: BootVolume) -> volumes.NewVolume:
    return volumes.NewVolume(
        name=request.name,
        description="",
        size=request.size,
        snapshot_id=request.snapshot_id,
        source_volume_id=request.source_volume_id,
        image=request.image_id,
        volume_type=request.volume_type,
        availability_zone=request.availability_zone,
        host=request.host,
    )


def _info(volume: Volume) -> VolumeInfo:
    return VolumeInfo(
        id=volume.id,
        name=volume.name or "",
        project_id=volume.project_id,
        size=volume.size,
        status=volume.status,
        bootable=volume.bootable,
        host=volume.host,
        availability_zone=volume.availability_zone,
        multiattach=volume.multiattach,
        migration_status=volume.migration_status,
        image_metadata=volume.image_metadata or {},
        encrypted=volume.encryption_key_id is not None,
    )


def _claim(claim: Attachment) -> contract.Attachment:
    return contract.Attachment(
        id=claim.id,
        volume_id=claim.volume_id,
        server_id=claim.server_id or "",
        status=claim.status,
        host=claim.host or "",
        device=claim.device or "",
        generation=claim.generation,
        mode=claim.mode or "rw",
    )
