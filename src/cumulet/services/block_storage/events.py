# SPDX-License-Identifier: Apache-2.0
"""What the block storage service tells others: Cinder's notifications by name and payload."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cumulet.services.block_storage.types import Attachment, Snapshot, Volume
from cumulet.services.block_storage.types.backups import Backup
from cumulet.services.block_storage.types.groups import Group, GroupSnapshot, GroupType

CREATE, DELETE, UPDATE = "volume.create", "volume.delete", "volume.update"
ATTACH, DETACH, RESIZE = "volume.attach", "volume.detach", "volume.resize"
REVERT, SNAPSHOT_REVERT = "volume.revert", "snapshot.revert"
RETYPE = "volume.retype"
UNMANAGE, MANAGE, SNAPSHOT_MANAGE = "volume.unmanage", "volume.manage_existing", "snapshot.manage_existing_snapshot"
RESET_STATUS, SNAPSHOT_RESET_STATUS = "volume.reset_status", "snapshot.reset_status"
TRANSFER_CREATE, TRANSFER_ACCEPT, TRANSFER_DELETE = (
    "volume.transfer.create",
    "volume.transfer.accept",
    "volume.transfer.delete",
)
SNAPSHOT_CREATE, SNAPSHOT_DELETE, SNAPSHOT_UPDATE = "snapshot.create", "snapshot.delete", "snapshot.update"
GROUP_CREATE, GROUP_DELETE, GROUP_UPDATE = "group.create", "group.delete", "group.update"
GROUP_SNAPSHOT_CREATE, GROUP_SNAPSHOT_DELETE = "group_snapshot.create", "group_snapshot.delete"
GROUP_TYPE, GROUP_TYPE_SPECS = "group_type", "group_type_specs"
GROUP_STATUS, GROUP_SNAPSHOT_STATUS = "groups.reset_status", "groupsnapshots.reset_status"
BACKUP_CREATE, BACKUP_DELETE, BACKUP_RESTORE = "backup.create", "backup.delete", "backup.restore"
BACKUP_RESET = "backup.reset_status"

START, END = "start", "end"


def volume(one: Volume, claims: list[Attachment]) -> dict[str, Any]:
    """The payload of every event of a volume."""
    payload = {
        "tenant_id": one.project_id,
        "host": one.pool,
        "user_id": one.user_id,
        "availability_zone": one.availability_zone,
        "volume_id": one.id,
        "volume_type": one.volume_type_id,
        "display_name": one.name,
        "launched_at": _iso(one.created_at),
        "created_at": _iso(one.created_at),
        "status": one.status,
        "snapshot_id": one.snapshot_id,
        "size": one.size,
        "replication_status": None,
        "replication_extended_status": None,
        "replication_driver_data": None,
        "metadata": [{"key": key, "value": value} for key, value in one.metadata.items()],
        "volume_attachment": [_claim(claim) for claim in claims],
    }
    if one.image_metadata:
        payload["glance_metadata"] = [{"key": key, "value": value} for key, value in one.image_metadata.items()]
    return payload


def snapshot(one: Snapshot, zone: str, *, deleted: bool = False) -> dict[str, Any]:
    """The payload of every event of a snapshot; `zone` is its volume's."""
    return {
        "tenant_id": one.project_id,
        "user_id": one.user_id,
        "availability_zone": zone,
        "volume_id": one.volume_id,
        "volume_size": one.size,
        "snapshot_id": one.id,
        "display_name": one.name,
        "created_at": _iso(one.created_at),
        "status": one.status,
        "deleted": str(deleted),
        "metadata": str(one.metadata),
    }


def group(one: Group) -> dict[str, Any]:
    """The payload of every event of a group."""
    return {
        "tenant_id": one.project_id,
        "user_id": one.user_id,
        "availability_zone": one.availability_zone,
        "group_id": one.id,
        "group_type": one.group_type_id,
        "name": one.name,
        "created_at": _iso(one.created_at),
        "status": one.status,
    }


def group_snapshot(one: GroupSnapshot) -> dict[str, Any]:
    """The payload of every event of a group snapshot."""
    return {
        "tenant_id": one.project_id,
        "user_id": one.user_id,
        "group_snapshot_id": one.id,
        "name": one.name,
        "group_id": one.group_id,
        "group_type": one.group_type_id,
        "created_at": _iso(one.created_at),
        "status": one.status,
    }


def group_type(one: GroupType) -> dict[str, Any]:
    """The payload of every event of a group type."""
    words = {"id": one.id, "name": one.name, "description": one.description, "is_public": one.is_public}
    return {"group_types": {**words, "group_specs": one.group_specs, "created_at": _iso(one.created_at)}}


def backup(one: Backup, dependent: int) -> dict[str, Any]:
    """The payload of every event of a backup; `dependent` backups are built on it."""
    return {
        "tenant_id": one.project_id,
        "user_id": one.user_id,
        "availability_zone": one.availability_zone,
        "backup_id": one.id,
        "host": one.host,
        "display_name": one.name,
        "created_at": _iso(one.created_at),
        "status": one.status,
        "volume_id": one.volume_id,
        "size": one.size,
        "service_metadata": one.service_metadata,
        "service": one.service,
        "fail_reason": one.fail_reason,
        "parent_id": one.parent_id,
        "num_dependent_backups": dependent,
        "snapshot_id": one.snapshot_id,
    }


def _claim(claim: Attachment) -> dict[str, Any]:
    return {
        "id": claim.id,
        "volume_id": claim.volume_id,
        "instance_uuid": claim.server_id,
        "attached_host": claim.host,
        "mountpoint": claim.device,
        "attach_status": claim.status,
        "attach_mode": claim.mode,
        "attach_time": _iso(claim.attached_at) if claim.attached_at else None,
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat()
