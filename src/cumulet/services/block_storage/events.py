# SPDX-License-Identifier: Apache-2.0
"""What the block storage service tells others: Cinder's notifications by name and payload."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cumulet.services.block_storage.types import Attachment, Snapshot, Volume

CREATE, DELETE, UPDATE = "volume.create", "volume.delete", "volume.update"
ATTACH, DETACH, RESIZE = "volume.attach", "volume.detach", "volume.resize"
TRANSFER_CREATE, TRANSFER_ACCEPT, TRANSFER_DELETE = (
    "volume.transfer.create",
    "volume.transfer.accept",
    "volume.transfer.delete",
)
SNAPSHOT_CREATE, SNAPSHOT_DELETE, SNAPSHOT_UPDATE = "snapshot.create", "snapshot.delete", "snapshot.update"

START, END = "start", "end"


def volume(one: Volume, claims: list[Attachment]) -> dict[str, Any]:
    """The payload of every event of a volume."""
    payload = {
        "tenant_id": one.project_id,
        "host": one.host,
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
