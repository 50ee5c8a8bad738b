# SPDX-License-Identifier: Apache-2.0
"""What can be done with snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid, NotFound
from cumulet.services.block_storage import events
from cumulet.services.block_storage.logic import news, quotas, services, volume_types
from cumulet.services.block_storage.logic.refusals import (
    invalid_snapshot,
    invalid_volume,
    snapshot_not_found,
    volume_not_found,
    words,
)
from cumulet.services.block_storage.store import snapshots as store
from cumulet.services.block_storage.store import volumes
from cumulet.services.block_storage.types import (
    SNAPSHOT_ACTIONS,
    VOLUME_ACTIONS,
    Page,
    Snapshot,
    SnapshotStatus,
    Volume,
)


def get(source: Source, ctx: Context, snapshot_id: str) -> Snapshot:
    """A snapshot that the caller may see."""
    found = store.find_visible(source, ctx, snapshot_id)
    if found is None:
        raise snapshot_not_found(snapshot_id)
    return found


def of_image(source: Source, ctx: Context, snapshot_id: str) -> Snapshot:
    """The snapshot that an image of a server stands for (`images.boot_snapshot`)."""
    found = store.find_visible(source, ctx, snapshot_id)
    if found is None:
        raise NotFound(f"Nova specific image is found, but boot volume snapshot id:{snapshot_id} not found.")
    return found


def find_page(
    source: Source,
    ctx: Context,
    page: Page,
    exact: Mapping[str, Any],
    metadata: Mapping[str, str],
    *,
    everywhere: bool,
) -> list[Snapshot]:
    """A part of the list; NotFound where the marker is not there."""
    try:
        return store.find_page(source, ctx, page, exact, metadata, everywhere=everywhere)
    except LookupError as error:
        raise snapshot_not_found(str(error.args[0])) from error


def count(
    source: Source, ctx: Context, exact: Mapping[str, Any], metadata: Mapping[str, str], *, everywhere: bool
) -> int:
    return store.count(source, ctx, exact, metadata, everywhere=everywhere)


def create(
    cloud: Cloud,
    tx: Tx,
    ctx: Context,
    volume_id: str,
    name: str | None,
    description: str | None,
    metadata: dict[str, str],
    *,
    in_use: bool,
) -> Snapshot:
    """Begin a snapshot; `in_use` says that the volume may be attached."""
    volume = volumes.find_visible(tx, ctx, volume_id)
    if volume is None:
        raise volume_not_found(volume_id)
    services.check_not_frozen(tx, volume.host, volume.backend)
    if volume.is_migrating:
        raise invalid_volume("Snapshot cannot be created while volume is migrating.")
    allowed = VOLUME_ACTIONS["snapshot_forced" if in_use else "snapshot"]
    if volume.status not in allowed:
        raise invalid_volume(
            f"Volume {volume_id} status must be {words(sorted(allowed))}, but current status is: {volume.status}."
        )
    quotas.check_snapshot(tx, volume.project_id, volume.size, volume_types.names(tx).get(volume.volume_type_id, ""))
    snapshot = add(cloud, tx, ctx, volume, name, description, metadata)
    cloud.sagas.start(tx, "block_storage.snapshot", snapshot.id, {}, ctx.request_id)
    return snapshot


def add(
    cloud: Cloud,
    tx: Tx,
    ctx: Context,
    volume: Volume,
    name: str | None,
    description: str | None,
    metadata: dict[str, str],
    *,
    group_snapshot_id: str | None = None,
    told: str = events.SNAPSHOT_CREATE,
) -> Snapshot:
    """The row of a snapshot that is being made; `told` names the event that says so."""
    snapshot = Snapshot(
        id=ids.new_uuid(),
        volume_id=volume.id,
        project_id=volume.project_id,
        user_id=ctx.user_id,
        name=name,
        description=description,
        size=volume.size,
        status=SnapshotStatus.CREATING,
        progress=0,
        volume_type_id=volume.volume_type_id,
        host=volume.host,
        metadata=metadata,
        created_at=clock.utcnow(),
        updated_at=None,
        backend=volume.backend,
        group_snapshot_id=group_snapshot_id,
        encryption_key_id=volume.encryption_key_id,
    )
    store.add(tx, snapshot)
    news.this_snapshot(cloud, tx, told, events.START, snapshot, ctx.request_id)
    return snapshot


def update(tx: Tx, ctx: Context, snapshot_id: str, changes: dict[str, Any]) -> Snapshot:
    """Change `name` or `description`."""
    get(tx, ctx, snapshot_id)
    store.change(tx, snapshot_id, **changes)
    return get(tx, ctx, snapshot_id)


def set_metadata(tx: Tx, ctx: Context, snapshot_id: str, metadata: dict[str, str], *, replace: bool) -> dict[str, str]:
    """Add to a snapshot's metadata, or replace it; returns what is there now."""
    snapshot = get(tx, ctx, snapshot_id)
    merged = dict(metadata) if replace else {**snapshot.metadata, **metadata}
    store.change(tx, snapshot_id, metadata=merged)
    return merged


def remove_metadata(tx: Tx, ctx: Context, snapshot_id: str, key: str) -> None:
    snapshot = get(tx, ctx, snapshot_id)
    if key not in snapshot.metadata:
        raise NotFound(f"Snapshot {snapshot_id} has no metadata with key {key}.", code="SnapshotMetadataNotFound")
    store.change(tx, snapshot_id, metadata={name: value for name, value in snapshot.metadata.items() if name != key})


def reset_status(cloud: Cloud, tx: Tx, ctx: Context, snapshot_id: str, status: str) -> None:
    """An administrator says what the snapshot is."""
    get(tx, ctx, snapshot_id)
    news.snapshot(cloud, tx, events.SNAPSHOT_RESET_STATUS, events.START, snapshot_id, ctx.request_id)
    store.change(tx, snapshot_id, status=status)
    news.snapshot(cloud, tx, events.SNAPSHOT_RESET_STATUS, events.END, snapshot_id, ctx.request_id)


def update_status(tx: Tx, ctx: Context, snapshot_id: str, status: str, progress: int | None) -> None:
    """Compute says how a snapshot that it takes gets on: from creating to available or error, or the reverse way."""
    snapshot = get(tx, ctx, snapshot_id)
    ways = {
        SnapshotStatus.CREATING: {SnapshotStatus.CREATING, SnapshotStatus.AVAILABLE, SnapshotStatus.ERROR},
        SnapshotStatus.DELETING: {SnapshotStatus.DELETING, SnapshotStatus.ERROR_DELETING},
    }
    allowed = ways.get(SnapshotStatus(snapshot.status)) if snapshot.status in ways else None
    if allowed is None:
        raise Invalid(f"Snapshot status {snapshot.status} not allowed for update_snapshot_status")
    if status not in allowed:
        raise invalid_snapshot(
            f"Provided snapshot status {status} not allowed for snapshot with status {snapshot.status}."
        )
    store.change(tx, snapshot_id, status=status, progress=snapshot.progress if progress is None else progress)


def delete(cloud: Cloud, tx: Tx, ctx: Context, snapshot_id: str, *, force: bool = False) -> None:
    """Begin to delete."""
    snapshot = get(tx, ctx, snapshot_id)
    services.check_not_frozen(tx, snapshot.host, snapshot.backend)
    _begin_delete(cloud, tx, check_deletable(tx, ctx, snapshot_id, force=force).id, ctx.request_id)


def check_deletable(tx: Tx, ctx: Context, snapshot_id: str, *, force: bool = False) -> Snapshot:
    """The snapshot, which may leave the service's care now; Invalid for another."""
    snapshot = get(tx, ctx, snapshot_id)
    allowed = SNAPSHOT_ACTIONS["delete"]
    if snapshot.group_snapshot_id is not None and force:
        raise invalid_snapshot("Snapshot  must not be part of a group.")
    if snapshot.group_snapshot_id is not None or (snapshot.status not in allowed and not force):
        raise invalid_snapshot(f"Snapshot status must be {words(sorted(allowed))} and must not be part of a group.")
    return snapshot


def drop(cloud: Cloud, tx: Tx, snapshot_id: str, request_id: str) -> None:
    """Begin to delete, whatever it is and whoever owns it; nothing happens where that is under way already."""
    found = store.find(tx, snapshot_id)
    if found is not None and found.status != SnapshotStatus.DELETING:
        _begin_delete(cloud, tx, snapshot_id, request_id)


def _begin_delete(cloud: Cloud, tx: Tx, snapshot_id: str, request_id: str) -> None:
    cloud.sagas.cancel(tx, snapshot_id)
    store.change(tx, snapshot_id, status=SnapshotStatus.DELETING)
    news.snapshot(cloud, tx, events.SNAPSHOT_DELETE, events.START, snapshot_id, request_id)
    cloud.sagas.start(tx, "block_storage.delete_snapshot", snapshot_id, {}, request_id)
