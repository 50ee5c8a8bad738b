# SPDX-License-Identifier: Apache-2.0
"""Events of volumes, snapshots and groups, published in the commit of the change that they tell of."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.services.block_storage import events
from cumulet.services.block_storage.store import attachments, backups, group_snapshots, groups, snapshots, volumes
from cumulet.services.block_storage.types import Snapshot, Volume


def volume(cloud: Cloud, tx: Tx, name: str, moment: str, volume_id: str, request_id: str) -> None:
    """Tell of the volume as it is now; nothing where it is gone. What is told once has no `moment`."""
    found = volumes.find(tx, volume_id)
    if found is not None:
        this_volume(cloud, tx, name, moment, found, request_id)


def this_volume(cloud: Cloud, tx: Tx, name: str, moment: str, one: Volume, request_id: str) -> None:
    """Tell of a volume whose row is at hand."""
    payload = events.volume(one, attachments.of_volumes(tx, [one.id]))
    cloud.outbox.publish(tx, f"{name}.{moment}" if moment else name, payload, request_id)


def new_volume(cloud: Cloud, tx: Tx, one: Volume, request_id: str) -> None:
    """Tell that a volume begins to be made: nobody can have a claim on it."""
    cloud.outbox.publish(tx, f"{events.CREATE}.{events.START}", events.volume(one, []), request_id)


def snapshot(
    cloud: Cloud, tx: Tx, name: str, moment: str, snapshot_id: str, request_id: str, *, deleted: bool = False
) -> None:
    """Tell of the snapshot as it is now; nothing where it is gone."""
    found = snapshots.find(tx, snapshot_id)
    if found is not None:
        this_snapshot(cloud, tx, name, moment, found, request_id, deleted=deleted)


def this_snapshot(
    cloud: Cloud, tx: Tx, name: str, moment: str, one: Snapshot, request_id: str, *, deleted: bool = False
) -> None:
    """Tell of a snapshot whose row is at hand."""
    parent = volumes.find(tx, one.volume_id)
    payload = events.snapshot(one, parent.availability_zone if parent is not None else "", deleted=deleted)
    cloud.outbox.publish(tx, f"{name}.{moment}", payload, request_id)


def group(cloud: Cloud, tx: Tx, name: str, moment: str, group_id: str, request_id: str) -> None:
    """Tell of the group as it is now; nothing where it is gone."""
    found = groups.find(tx, group_id)
    if found is not None:
        cloud.outbox.publish(tx, f"{name}.{moment}", events.group(found), request_id)


def group_snapshot(cloud: Cloud, tx: Tx, name: str, moment: str, group_snapshot_id: str, request_id: str) -> None:
    """Tell of the group snapshot as it is now; nothing where it is gone."""
    found = group_snapshots.find(tx, group_snapshot_id)
    if found is not None:
        cloud.outbox.publish(tx, f"{name}.{moment}", events.group_snapshot(found), request_id)


def backup(cloud: Cloud, tx: Tx, name: str, moment: str, backup_id: str, request_id: str) -> None:
    """Tell of the backup as it is now; nothing where it is gone."""
    found = backups.find(tx, backup_id)
    if found is not None:
        payload = events.backup(found, backups.children(tx, [backup_id]).get(backup_id, 0))
        cloud.outbox.publish(tx, f"{name}.{moment}", payload, request_id)
