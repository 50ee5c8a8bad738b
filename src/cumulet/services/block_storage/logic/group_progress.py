# SPDX-License-Identifier: Apache-2.0
"""What becomes of groups and group snapshots while flows work on them: each function belongs into a step's commit.

Nothing is asked for volumes and snapshots that are in no group.
"""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, NotReady
from cumulet.services.block_storage import events
from cumulet.services.block_storage.logic import news
from cumulet.services.block_storage.store import group_snapshots, groups, snapshots, volumes
from cumulet.services.block_storage.types import Backend, Snapshot, Volume, VolumeStatus
from cumulet.services.block_storage.types.groups import Group, GroupStatus


def group(source: Source, group_id: str) -> Group:
    """The group that a flow is about; Conflict where its row is gone."""
    found = groups.find(source, group_id)
    if found is None:
        raise Conflict(f"Group {group_id} is gone.")
    return found


def snapshots_of(source: Source, group_snapshot_id: str) -> list[Snapshot]:
    return snapshots.of_group(source, group_snapshot_id)


def place(source: Source, group_id: str) -> tuple[str, str]:
    """The host and the back end of the group's volumes; NotReady until these are chosen."""
    found = group(source, group_id)
    if not found.host and found.status == GroupStatus.CREATING:
        raise NotReady(f"Group {found.id} is being made.")
    if not found.host:
        raise Conflict(f"Group {found.id} has no host.")
    return found.host, found.backend


def placed(cloud: Cloud, tx: Tx, group_id: str, backend: Backend, request_id: str) -> None:
    """The group has a place: it is ready for volumes."""
    found = groups.find(tx, group_id)
    if found is not None and found.status == GroupStatus.CREATING:
        groups.change(tx, group_id, host=backend.host, backend=backend.name)
        _ready(cloud, tx, group_id, request_id)


def failed(tx: Tx, group_id: str | None) -> None:
    """The group cannot be made or deleted, or one of its volumes cannot."""
    found = groups.find(tx, group_id) if group_id is not None else None
    if found is not None and found.status in (GroupStatus.CREATING, GroupStatus.DELETING):
        groups.change(tx, found.id, status=GroupStatus.ERROR)


def volume_made(cloud: Cloud, tx: Tx, volume: Volume, request_id: str) -> None:
    """A group that is being made is there with its last volume."""
    found = groups.find(tx, volume.group_id) if volume.group_id is not None else None
    if found is None or found.status != GroupStatus.CREATING:
        return
    if all(one.status != VolumeStatus.CREATING for one in volumes.of_group(tx, found.id)):
        _ready(cloud, tx, found.id, request_id)


def volume_deleted(cloud: Cloud, tx: Tx, volume: Volume, request_id: str) -> None:
    """A group that is being deleted goes with its last volume."""
    found = groups.find(tx, volume.group_id) if volume.group_id is not None else None
    if found is None or found.status != GroupStatus.DELETING or volumes.of_group(tx, found.id):
        return
    news.group(cloud, tx, events.GROUP_DELETE, events.END, found.id, request_id)
    groups.remove(tx, found.id)


def taken(cloud: Cloud, tx: Tx, group_snapshot_id: str, request_id: str) -> None:
    """All of its snapshots are there."""
    found = group_snapshots.find(tx, group_snapshot_id)
    if found is not None and found.status == GroupStatus.CREATING:
        group_snapshots.change(tx, group_snapshot_id, status=GroupStatus.AVAILABLE)
        news.group_snapshot(cloud, tx, events.GROUP_SNAPSHOT_CREATE, events.END, group_snapshot_id, request_id)


def not_taken(tx: Tx, group_snapshot_id: str) -> None:
    """None of its snapshots is there."""
    found = group_snapshots.find(tx, group_snapshot_id)
    if found is not None and found.status == GroupStatus.CREATING:
        group_snapshots.change(tx, group_snapshot_id, status=GroupStatus.ERROR)


def snapshot_deleted(cloud: Cloud, tx: Tx, snapshot: Snapshot, request_id: str) -> None:
    """A group snapshot that is being deleted goes with its last snapshot."""
    if snapshot.group_snapshot_id is None:
        return
    found = group_snapshots.find(tx, snapshot.group_snapshot_id)
    if found is None or found.status != GroupStatus.DELETING or snapshots.of_group(tx, found.id):
        return
    news.group_snapshot(cloud, tx, events.GROUP_SNAPSHOT_DELETE, events.END, found.id, request_id)
    group_snapshots.remove(tx, found.id)


def snapshot_not_deleted(tx: Tx, snapshot: Snapshot) -> None:
    found = group_snapshots.find(tx, snapshot.group_snapshot_id) if snapshot.group_snapshot_id is not None else None
    if found is not None and found.status == GroupStatus.DELETING:
        group_snapshots.change(tx, found.id, status=GroupStatus.ERROR)


def _ready(cloud: Cloud, tx: Tx, group_id: str, request_id: str) -> None:
    groups.change(tx, group_id, status=GroupStatus.AVAILABLE)
    news.group(cloud, tx, events.GROUP_CREATE, events.END, group_id, request_id)
