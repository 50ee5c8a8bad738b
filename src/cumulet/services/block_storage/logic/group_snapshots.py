# SPDX-License-Identifier: Apache-2.0
"""What can be done with group snapshots: snapshots of all volumes of a group, as of one moment."""

from __future__ import annotations

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid
from cumulet.services.block_storage import events
from cumulet.services.block_storage.logic import news, quotas, snapshots, volume_types
from cumulet.services.block_storage.logic.refusals import (
    group_snapshot_not_found,
    invalid_group,
    invalid_volume,
)
from cumulet.services.block_storage.store import group_snapshots as store
from cumulet.services.block_storage.store import groups, volumes
from cumulet.services.block_storage.store import snapshots as snapshot_store
from cumulet.services.block_storage.store.pages import Asked
from cumulet.services.block_storage.types import Page, Volume, VolumeStatus
from cumulet.services.block_storage.types.groups import DELETABLE, Group, GroupSnapshot, GroupStatus


def get(source: Source, ctx: Context, group_snapshot_id: str) -> GroupSnapshot:
    """One that the caller may see."""
    found = store.find_visible(source, ctx, group_snapshot_id)
    if found is None:
        raise group_snapshot_not_found(group_snapshot_id)
    return found


def find_page(
    source: Source, ctx: Context, page: Page, asked: Asked, *, everywhere: bool, without_type: str | None = None
) -> list[GroupSnapshot]:
    """A part of the list; NotFound where the marker is not there."""
    try:
        return store.find_page(source, ctx, page, asked, everywhere=everywhere, without_type=without_type)
    except LookupError as error:
        raise group_snapshot_not_found(str(error.args[0])) from error


def create(
    cloud: Cloud, tx: Tx, ctx: Context, group: Group, name: str | None, description: str | None
) -> GroupSnapshot:
    """Begin to take snapshots of all volumes of the group; Invalid for one that is being deleted."""
    if group.status == GroupStatus.DELETING:
        raise invalid_group(f"Group {group.id} is being deleted.")
    members = volumes.of_group(tx, group.id)
    for one in members:
        _check(one)
    new = GroupSnapshot(
        id=ids.new_uuid(),
        group_id=group.id,
        project_id=ctx.project_id or "",
        user_id=ctx.user_id,
        name=name,
        description=description,
        status=GroupStatus.CREATING,
        group_type_id=group.group_type_id,
        created_at=clock.utcnow(),
        updated_at=None,
    )
    store.add(tx, new)
    kinds = volume_types.names(tx)
    for one in members:
        quotas.check_snapshot(tx, one.project_id, one.size, kinds.get(one.volume_type_id, ""))
        snapshots.add(cloud, tx, ctx, one, name, description, {}, group_snapshot_id=new.id)
    news.group_snapshot(cloud, tx, events.GROUP_SNAPSHOT_CREATE, events.START, new.id, ctx.request_id)
    cloud.sagas.start(tx, "block_storage.group_snapshot", new.id, {}, ctx.request_id)
    return new


def delete(cloud: Cloud, tx: Tx, ctx: Context, group_snapshot_id: str) -> None:
    """Begin to delete it with its snapshots; the last of them settles it (`group_progress`)."""
    found = get(tx, ctx, group_snapshot_id)
    if found.status not in DELETABLE or groups.is_being_made_of(tx, group_snapshot_id=group_snapshot_id):
        raise Invalid(
            "Invalid GroupSnapshot: GroupSnapshot status must be available or error, and no Group can be currently "
            "using it as source for its creation.",
            code="InvalidGroupSnapshot",
        )
    cloud.sagas.cancel(tx, group_snapshot_id)
    store.change(tx, group_snapshot_id, status=GroupStatus.DELETING)
    parts = snapshot_store.of_group(tx, group_snapshot_id)
    news.group_snapshot(cloud, tx, events.GROUP_SNAPSHOT_DELETE, events.START, group_snapshot_id, ctx.request_id)
    for one in parts:
        snapshots.drop(cloud, tx, one.id, ctx.request_id)
    if not parts:
        news.group_snapshot(cloud, tx, events.GROUP_SNAPSHOT_DELETE, events.END, group_snapshot_id, ctx.request_id)
        store.remove(tx, group_snapshot_id)


def reset_status(cloud: Cloud, tx: Tx, ctx: Context, group_snapshot_id: str, status: str) -> None:
    """An administrator says what it is."""
    payload = {"id": group_snapshot_id, "update": status}
    cloud.outbox.publish(tx, f"{events.GROUP_SNAPSHOT_STATUS}.{events.START}", payload, ctx.request_id)
    get(tx, ctx, group_snapshot_id)
    store.change(tx, group_snapshot_id, status=status)
    cloud.outbox.publish(tx, f"{events.GROUP_SNAPSHOT_STATUS}.{events.END}", payload, ctx.request_id)


def _check(volume: Volume) -> None:
    """Whether there is something of the volume to take a snapshot of."""
    if not volume.host or volume.status == VolumeStatus.CREATING:
        raise invalid_volume("The snapshot cannot be created because volume has not been scheduled to any host.")
    if volume.status == VolumeStatus.MAINTENANCE:
        raise invalid_volume("The snapshot cannot be created when the volume is in maintenance mode.")
    if volume.is_migrating:
        raise invalid_volume("Snapshot cannot be created while volume is migrating.")
    if volume.status == VolumeStatus.ERROR:
        raise invalid_volume("The snapshot cannot be created when the volume is in error status.")
