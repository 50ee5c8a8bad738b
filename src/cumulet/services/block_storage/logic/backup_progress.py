# SPDX-License-Identifier: Apache-2.0
"""What the flows of backups write down: each function belongs into the commit of a step."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel.blob import is_segment
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict
from cumulet.services.block_storage import events
from cumulet.services.block_storage.logic import backup_services, backup_stores, keys, messages, news
from cumulet.services.block_storage.store import attachments, snapshots, volumes
from cumulet.services.block_storage.store import backups as store
from cumulet.services.block_storage.types import GIB, AttachStatus, SnapshotStatus, Volume, VolumeStatus
from cumulet.services.block_storage.types.backups import Backup, BackupStatus, Stored, VolumeWords

RESOURCE = "VOLUME_BACKUP"
ORIGIN = "src_backup_id"  # the metadata that names the backup a volume was restored from
_MOST = 255  # characters of a reason


def backup(source: Source, backup_id: str) -> Backup:
    """The backup that a flow is about; Conflict where its row is gone."""
    found = store.find(source, backup_id)
    if found is None:
        raise Conflict(f"Backup {backup_id} is gone.")
    return found


def find(source: Source, backup_id: str) -> Backup | None:
    return store.find(source, backup_id)


def stored(one: Backup) -> Stored:
    """Where it is in the store; Conflict where nobody knows."""
    if not one.container or not one.service_metadata:
        raise Conflict(f"Backup {one.id} is in no store.")
    return Stored(container=one.container, name=one.service_metadata)


def is_stored(one: Backup) -> bool:
    """Whether anything may be stored of it: records of other clouds may say what no store can have."""
    return bool(one.container and one.service_metadata and is_segment(one.service_metadata))


def is_shared(cloud: Cloud, one: Backup) -> bool:
    """Whether what is stored of it is another's too."""
    return store.is_shared(cloud.db, one, backup_stores.is_each_projects_own(cloud))


def made(cloud: Cloud, tx: Tx, backup_id: str, objects: int, request_id: str) -> None:
    """All of it is stored. One that is being deleted meanwhile stays so."""
    found = store.find(tx, backup_id)
    if found is None:
        return
    _release(tx, found, VolumeStatus.BACKING_UP)
    if found.status == BackupStatus.CREATING:
        zone = found.availability_zone or backup_services.zone_of(tx, found.host)
        store.change(
            tx, backup_id, status=BackupStatus.AVAILABLE, object_count=objects, availability_zone=zone, fail_reason=None
        )
        news.backup(cloud, tx, events.BACKUP_CREATE, events.END, backup_id, request_id)


def not_made(tx: Tx, backup_id: str, reason: str, detail: str, request_id: str) -> None:
    """Nothing of it is stored."""
    found = store.find(tx, backup_id)
    if found is None:
        return
    _release(tx, found, "error_backing-up")
    if found.status == BackupStatus.CREATING:
        store.change(tx, backup_id, status=BackupStatus.ERROR, fail_reason=reason[:_MOST])
        messages.tell(tx, found.project_id, request_id, RESOURCE, backup_id, messages.BACKUP_CREATE, detail)


def restored(
    cloud: Cloud,
    tx: Tx,
    backup_id: str,
    volume_id: str,
    about: dict[str, Any],
    request_id: str,
    *,
    new: bool,
    key_id: str | None = None,
) -> None:
    """The volume holds what was backed up, which the key opens."""
    one, volume = store.find(tx, backup_id), volumes.find(tx, volume_id)
    if volume is not None and volume.status in (VolumeStatus.RESTORING_BACKUP, VolumeStatus.CREATING):
        words = msgspec.convert(about, VolumeWords)
        values = _described(one, volume, words)
        if key_id is not None:
            values["encryption_key_id"] = key_id
            keys.delete(cloud, tx, volume.encryption_key_id)
        volumes.change(tx, volume_id, status=VolumeStatus.AVAILABLE, **values)
        if new:
            news.volume(cloud, tx, events.CREATE, events.END, volume_id, request_id)
    else:
        keys.delete(cloud, tx, key_id)
    if one is not None and one.status == BackupStatus.RESTORING:
        store.change(tx, backup_id, status=BackupStatus.AVAILABLE)
        news.backup(cloud, tx, events.BACKUP_RESTORE, events.END, backup_id, request_id)


def not_restored(
    cloud: Cloud, tx: Tx, backup_id: str, volume_id: str, request_id: str, key_id: str | None = None
) -> None:
    """The volume does not hold it, and the backup is what it was."""
    keys.delete(cloud, tx, key_id)
    one, volume = store.find(tx, backup_id), volumes.find(tx, volume_id)
    if volume is not None and volume.status == VolumeStatus.RESTORING_BACKUP:
        volumes.change(tx, volume_id, status=VolumeStatus.ERROR_RESTORING)
    if volume is not None and volume.status == VolumeStatus.CREATING:
        volumes.change(tx, volume_id, status=VolumeStatus.ERROR)
    if one is not None and one.status == BackupStatus.RESTORING:
        store.change(tx, backup_id, status=BackupStatus.AVAILABLE)
        detail = messages.BACKUP_RESTORE_FAILED
        messages.tell(tx, one.project_id, request_id, RESOURCE, backup_id, messages.BACKUP_RESTORE, detail)


def deleted(cloud: Cloud, tx: Tx, backup_id: str, request_id: str) -> None:
    news.backup(cloud, tx, events.BACKUP_DELETE, events.END, backup_id, request_id)
    found = store.find(tx, backup_id)
    if found is not None:
        keys.delete(cloud, tx, found.encryption_key_id)
    store.remove(tx, backup_id)


def not_deleted(tx: Tx, backup_id: str, reason: str, request_id: str) -> None:
    found = store.find(tx, backup_id)
    if found is not None and found.status == BackupStatus.DELETING:
        store.change(tx, backup_id, status=BackupStatus.ERROR, fail_reason=reason[:_MOST])
        detail = messages.BACKUP_DELETE_FAILED
        messages.tell(tx, found.project_id, request_id, RESOURCE, backup_id, messages.BACKUP_DELETE, detail)


def imported(tx: Tx, backup_id: str, host: str, seen: dict[str, Any]) -> None:
    """The host has found it in the store; `seen` is what is there."""
    found = store.find(tx, backup_id)
    if found is not None and found.status == BackupStatus.CREATING:
        zone = backup_services.zone_of(tx, host)
        size = max(found.size, -(-int(seen["size"]) // GIB))
        values = {"host": host, "availability_zone": zone, "object_count": int(seen["objects"]), "size": size}
        store.change(tx, backup_id, status=BackupStatus.AVAILABLE, fail_reason=None, **values)


def not_imported(tx: Tx, backup_id: str, reason: str) -> None:
    found = store.find(tx, backup_id)
    if found is not None and found.status == BackupStatus.CREATING:
        store.change(tx, backup_id, status=BackupStatus.ERROR, fail_reason=reason[:_MOST])


def _release(tx: Tx, one: Backup, before: str) -> None:
    """What was backed up is free again: a volume is what its claims say."""
    if one.snapshot_id is not None:
        snapshot = snapshots.find(tx, one.snapshot_id)
        if snapshot is not None and snapshot.status == SnapshotStatus.BACKING_UP:
            snapshots.change(tx, snapshot.id, status=SnapshotStatus.AVAILABLE)
        return
    volume = volumes.find(tx, one.volume_id)
    if volume is None or volume.status != VolumeStatus.BACKING_UP:
        return
    claims = attachments.of_volumes(tx, [volume.id])
    is_used = any(each.status == AttachStatus.ATTACHED for each in claims)
    status = VolumeStatus.IN_USE if is_used else VolumeStatus.RESERVED if claims else VolumeStatus.AVAILABLE
    volumes.change(tx, volume.id, status=status, previous_status=before)


def _described(one: Backup | None, volume: Volume, words: VolumeWords) -> dict[str, Any]:
    """What a restored volume is told to be: the words of the one that was backed up, as Cinder restores them."""
    values: dict[str, Any] = {}
    if words.name and (not volume.name or volume.name.startswith("restore_backup_")):
        values |= {"name": words.name, "description": words.description}
    metadata = dict(words.metadata or volume.metadata)
    if one is not None:
        older = volume.metadata.get(ORIGIN)
        if one.volume_id != volume.id or (older and older != one.id):
            metadata[ORIGIN] = one.id
    if metadata != volume.metadata:
        values["metadata"] = metadata
    if words.image_metadata:
        values |= {"image_metadata": words.image_metadata}
    if words.image_metadata or words.bootable:
        values["bootable"] = True
    return values
