# SPDX-License-Identifier: Apache-2.0
"""What can be done with backups."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.block_storage import events
from cumulet.services.block_storage.logic import (
    backup_services,
    backup_stores,
    encryption,
    keys,
    news,
    quotas,
    sharing,
    snapshots,
    volumes,
)
from cumulet.services.block_storage.logic.refusals import (
    backup_not_found,
    invalid_backup,
    invalid_snapshot,
    invalid_volume,
)
from cumulet.services.block_storage.store import backups as store
from cumulet.services.block_storage.store import snapshots as snapshot_store
from cumulet.services.block_storage.store import volumes as volume_store
from cumulet.services.block_storage.types import (
    SNAPSHOT_ACTIONS,
    VOLUME_ACTIONS,
    Snapshot,
    SnapshotStatus,
    Volume,
    VolumeStatus,
    is_shared,
)
from cumulet.services.block_storage.types.backups import (
    BACKUP_ACTIONS,
    Backup,
    BackupStatus,
    VolumeWords,
    Wanted,
)

NO_PARENT = "No backups available to do an incremental backup."
RESTORED = "auto-created_from_restore_from_backup"


class NewBackup(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for; `in_use` says that the volume may be attached."""

    volume_id: str
    snapshot_id: str | None = None
    name: str | None = None
    description: str | None = None
    container: str | None = None
    availability_zone: str | None = None
    metadata: dict[str, str] = {}
    incremental: bool = False
    in_use: bool = False


def get(source: Source, ctx: Context, backup_id: str) -> Backup:
    """A backup that the caller may see."""
    found = store.find_visible(source, ctx, backup_id)
    if found is None:
        raise backup_not_found(backup_id)
    return found


def find_page(source: Source, ctx: Context, wanted: Wanted) -> list[Backup]:
    """A part of the list; NotFound where the marker is not there."""
    try:
        return store.find_page(source, ctx, wanted)
    except LookupError as error:
        raise backup_not_found(str(error.args[0])) from error


def count(source: Source, ctx: Context, wanted: Wanted) -> int:
    return store.count(source, ctx, wanted)


def children(source: Source, backup_ids: list[str]) -> dict[str, int]:
    """How many backups are built on each."""
    return store.children(source, backup_ids)


def create(cloud: Cloud, tx: Tx, ctx: Context, new: NewBackup, ready: keys.Ready | None = None) -> Backup:
    """Write the row, count it against the quota, and begin to make it.

    What is stored of an encrypted volume is its container, and the backup has a key of its own: KeyNeeded is raised
    where none is `ready`.
    """
    volume = volumes.get(tx, ctx, new.volume_id)
    snapshot = _source(tx, ctx, volume, new)
    quotas.check_backup(tx, ctx.project_id or "", volume.size)
    sealed = snapshot.encryption_key_id if snapshot is not None else volume.encryption_key_id
    need = None if sealed is None else encryption.Need(same_as=sealed)
    now = clock.utcnow()
    moment = snapshot.created_at if snapshot is not None else now
    parent = _parent(tx, ctx, volume, snapshot) if new.incremental else None
    if snapshot is not None:
        snapshot_store.change(tx, snapshot.id, status=SnapshotStatus.BACKING_UP)
    else:
        volume_store.change(tx, volume.id, status=VolumeStatus.BACKING_UP, previous_status=volume.status)
    place = (volume.host, volume.backend) if snapshot is None else (snapshot.host, snapshot.backend)
    backup_id = ids.new_uuid()
    backup = Backup(
        id=backup_id,
        project_id=ctx.project_id or "",
        user_id=ctx.user_id,
        name=new.name,
        description=new.description,
        volume_id=volume.id,
        snapshot_id=new.snapshot_id,
        parent_id=parent.id if parent is not None else None,
        status=BackupStatus.CREATING,
        fail_reason=None,
        size=volume.size,
        object_count=0,
        container=new.container or cloud.settings.volume_backups.container,
        availability_zone=new.availability_zone or None,
        host=sharing.keeper_of(tx, *place),
        service=backup_stores.service(cloud),
        service_metadata=backup_id,
        encryption_key_id=keys.store(cloud, tx, need, ready),
        restore_volume_id=None,
        metadata=dict(new.metadata),
        data_timestamp=moment,
        created_at=now,
        updated_at=None,
    )
    store.add(tx, backup)
    news.backup(cloud, tx, events.BACKUP_CREATE, events.START, backup_id, ctx.request_id)
    args: dict[str, Any] = {"backend": place[1], "about": msgspec.to_builtins(_words(volume))}
    args |= {"place": place[0]} if is_shared(place[0]) else {}
    cloud.sagas.start(tx, "block_storage.backup", backup_id, args, ctx.request_id)
    return backup


def update(tx: Tx, ctx: Context, backup_id: str, changes: dict[str, Any]) -> Backup:
    """Change `name`, `description` or `metadata`, which takes the place of what was there."""
    get(tx, ctx, backup_id)
    if changes:
        store.change(tx, backup_id, **changes)
    return get(tx, ctx, backup_id)


def delete(cloud: Cloud, tx: Tx, ctx: Context, backup_id: str, *, force: bool = False) -> None:
    """Begin to delete; with `force` whatever its status is."""
    backup = get(tx, ctx, backup_id)
    if not force and backup.status not in BACKUP_ACTIONS["delete"]:
        raise invalid_backup("Backup status must be available or error")
    if store.has_children(tx, backup_id):
        raise invalid_backup("Incremental backups exist for this backup.")
    # Any will do: one that asked for a zone in which nothing was made can go.
    backup_services.check(cloud, tx, None)
    cloud.sagas.cancel(tx, backup_id)
    store.change(tx, backup_id, status=BackupStatus.DELETING)
    news.backup(cloud, tx, events.BACKUP_DELETE, events.START, backup_id, ctx.request_id)
    cloud.sagas.start(tx, "block_storage.delete_backup", backup_id, {}, ctx.request_id)


def restore(
    cloud: Cloud, tx: Tx, ctx: Context, backup_id: str, volume_id: str | None, name: str | None, ready: keys.Ready
) -> tuple[Backup, Volume]:
    """Begin to write the backup over the volume, or to make a new one of it where none is named.

    The volume of an encrypted backup has a key of its own: KeyNeeded is raised where none is `ready`.
    """
    backup = get(tx, ctx, backup_id)
    if backup.status not in BACKUP_ACTIONS["restore"]:
        raise invalid_backup("Backup status must be available")
    if volume_id is not None:
        volume = volumes.get(tx, ctx, volume_id)
        if volume.status not in VOLUME_ACTIONS["restore"]:
            raise invalid_volume("Volume to be restored to must be available")
        if (volume.encryption_key_id is None) != (backup.encryption_key_id is None):
            raise invalid_volume("Encrypted backups are restored to encrypted volumes, and others to others.")
        if backup.size > volume.size:
            raise invalid_volume(f"volume size {volume.size} is too small to restore backup of size {backup.size}.")
    backup_services.check(cloud, tx, backup.availability_zone)
    if volume_id is None:
        called = f"restore_backup_{backup_id}" if name is None else name
        words = volumes.NewVolume(name=called, description=RESTORED, size=backup.size, backup_id=backup_id)
        volume = volumes.create(cloud, tx, ctx, words, ready)
        volume_store.change(tx, volume.id, status=VolumeStatus.RESTORING_BACKUP)
    else:
        volume_store.change(tx, volume_id, status=VolumeStatus.RESTORING_BACKUP, previous_status=volume.status)
        need = None if backup.encryption_key_id is None else encryption.Need(same_as=backup.encryption_key_id)
        key_id = keys.store(cloud, tx, need, ready)
        volumes.begin_restore(cloud, tx, backup, volume.id, ctx.request_id, key_id=key_id)
    return backup, volume


def reset_status(cloud: Cloud, tx: Tx, ctx: Context, backup_id: str, status: str) -> None:
    """An administrator says what the backup is."""
    backup = get(tx, ctx, backup_id)
    news.backup(cloud, tx, events.BACKUP_RESET, events.START, backup_id, ctx.request_id)
    backup_services.check(cloud, tx, backup.availability_zone)
    store.change(tx, backup_id, status=status)
    news.backup(cloud, tx, events.BACKUP_RESET, events.END, backup_id, ctx.request_id)


def _source(tx: Tx, ctx: Context, volume: Volume, new: NewBackup) -> Snapshot | None:
    """The snapshot to be backed up, None for the volume itself; Invalid where its status forbids it."""
    if new.snapshot_id:
        snapshot = snapshots.get(tx, ctx, new.snapshot_id)
        if snapshot.volume_id != volume.id:
            raise invalid_volume(f"Volume {volume.id} does not match with snapshot.volume_id {snapshot.volume_id}.")
        if snapshot.status not in SNAPSHOT_ACTIONS["backup"]:
            raise invalid_snapshot(
                f'Snapshot to be backed up must be available, but the current status is "{snapshot.status}".'
            )
        return snapshot
    if volume.status not in VOLUME_ACTIONS["backup_forced"]:
        raise invalid_volume(
            f'Volume to be backed up must be available or in-use, but the current status is "{volume.status}".'
        )
    if volume.is_migrating:
        raise invalid_volume(f"Volume {volume.id} is migrating, and cannot be backed up.")
    if not new.in_use and volume.status not in VOLUME_ACTIONS["backup"]:
        raise invalid_volume("Backing up an in-use volume must use the force flag.")
    return None


def _parent(tx: Tx, ctx: Context, volume: Volume, snapshot: Snapshot | None) -> Backup:
    """The whole backup with the latest data before these; Invalid where there is none."""
    before: datetime | None = snapshot.created_at if snapshot is not None else None
    fit = [
        one
        for one in store.of_volume(tx, volume.id, ctx.project_id or "")
        if one.status == BackupStatus.AVAILABLE and (before is None or one.data_timestamp < before)
    ]
    if not fit:
        raise invalid_backup(NO_PARENT)
    return fit[-1]


def _words(volume: Volume) -> VolumeWords:
    return VolumeWords(
        name=volume.name,
        description=volume.description,
        bootable=volume.bootable,
        metadata=volume.metadata,
        image_metadata=volume.image_metadata,
        volume_type_id=volume.volume_type_id,
    )
