# SPDX-License-Identifier: Apache-2.0
"""How volumes and snapshots are shown."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.http import Request
from cumulet.services.block_storage.api.common import links
from cumulet.services.block_storage.types import Attachment, AttachStatus, Snapshot, Volume, VolumeStatus

GROUPS = (3, 13)
PROVIDER_ID = (3, 21)
SHARED_TARGETS = (3, 48)
CLUSTER_NAME = (3, 61)
TYPE_ID = (3, 63)
KEY_ID = (3, 64)
CONSUMES_QUOTA = (3, 65)
GROUP_SNAPSHOTS = (3, 14)
SNAPSHOT_USER = (3, 41)
_ADDED = frozenset(
    {"group_id", "provider_id", "shared_targets", "service_uuid", "cluster_name", "volume_type_id", "consumes_quota"}
)
# Statuses that are shown by the names that they had before there was managing.
_SHOWN: dict[str, str] = {VolumeStatus.MANAGING: VolumeStatus.CREATING, VolumeStatus.ERROR_MANAGING: VolumeStatus.ERROR}


def moment(value: datetime | None) -> str | None:
    return clock.iso_micro(value) if value is not None else None


def summary(request: Request, volume: Volume) -> dict[str, Any]:
    return {"id": volume.id, "name": volume.name, "links": links(request, "volumes", volume.id)}


def detail(
    request: Request,
    volume: Volume,
    claims: list[Attachment],
    kinds: dict[str, str],
    consistent: Collection[str] = (),
) -> dict[str, Any]:
    """What a create answers; `kinds` are the types' names by id, `consistent` the groups of the older API."""
    view: dict[str, Any] = {
        "id": volume.id,
        "status": _SHOWN.get(volume.status, volume.status),
        "size": volume.size,
        "availability_zone": volume.availability_zone,
        "created_at": moment(volume.created_at),
        "updated_at": moment(volume.updated_at),
        "name": volume.name,
        "description": volume.description,
        "volume_type": kinds.get(volume.volume_type_id),
        "snapshot_id": volume.snapshot_id,
        "source_volid": volume.source_volume_id,
        "metadata": _metadata(volume, claims),
        "links": links(request, "volumes", volume.id),
        "user_id": volume.user_id,
        "bootable": str(volume.bootable).lower(),
        "encrypted": volume.encryption_key_id is not None,
        "replication_status": None,
        "consistencygroup_id": volume.group_id if volume.group_id in consistent else None,
        "multiattach": volume.multiattach,
        "attachments": [attached(request, one) for one in claims if one.status == AttachStatus.ATTACHED],
    }
    version = request.version
    if request.ctx.is_admin:
        view["migration_status"] = volume.migration_status
    if version >= GROUPS:
        view["group_id"] = volume.group_id
    if request.ctx.is_admin and version >= PROVIDER_ID:
        view["provider_id"] = None
    if version >= SHARED_TARGETS:
        view |= {"shared_targets": False, "service_uuid": None}
    if request.ctx.is_admin and version >= CLUSTER_NAME:
        view["cluster_name"] = None
    if version >= TYPE_ID:
        view["volume_type_id"] = volume.volume_type_id
    if version >= KEY_ID and volume.encryption_key_id is not None:
        view["encryption_key_id"] = volume.encryption_key_id
    if version >= CONSUMES_QUOTA:
        view["consumes_quota"] = True
    return view


def legacy(request: Request, volume: Volume, kinds: dict[str, str]) -> dict[str, Any]:
    """What the managing of a volume answers: the first version's view, at every version."""
    return {name: value for name, value in detail(request, volume, [], kinds).items() if name not in _ADDED}


@dataclass(frozen=True)
class Sight:
    """What one caller sees of volumes beyond the common view: asked once for a whole list.

    `kinds` are the types' names by id, `consistent` the groups of the older API.
    """

    kinds: dict[str, str]
    consistent: Collection[str]
    tenant: bool
    host: bool
    migration: bool
    image: bool


def sight(request: Request, kinds: dict[str, str], consistent: Collection[str] = ()) -> Sight:
    """What the request's caller sees, by policy."""
    return Sight(
        kinds=kinds,
        consistent=consistent,
        tenant=request.allows("volume_extension:volume_tenant_attribute"),
        host=request.allows("volume_extension:volume_host_attribute"),
        migration=request.allows("volume_extension:volume_mig_status_attribute"),
        image=request.allows("volume_extension:volume_image_metadata:show"),
    )


def extended(request: Request, volume: Volume, claims: list[Attachment], seen: Sight) -> dict[str, Any]:
    """What a show answers: with what Cinder's extensions add."""
    view = detail(request, volume, claims, seen.kinds, seen.consistent)
    if seen.tenant:
        view["os-vol-tenant-attr:tenant_id"] = volume.project_id
    if seen.host:
        view["os-vol-host-attr:host"] = volume.pool or None
    if seen.migration:
        view |= {"os-vol-mig-status-attr:migstat": volume.migration_status, "os-vol-mig-status-attr:name_id": None}
    if seen.image and volume.image_metadata:
        view["volume_image_metadata"] = volume.image_metadata
    return view


def attached(request: Request, claim: Attachment) -> dict[str, Any]:
    """An attachment inside of its volume; the host is for administrators and services."""
    sees_host = request.ctx.is_admin or "service" in request.ctx.roles
    return {
        "id": claim.volume_id,
        "attachment_id": claim.id,
        "volume_id": claim.volume_id,
        "server_id": claim.server_id,
        "host_name": claim.host if sees_host else None,
        "device": claim.device,
        "attached_at": moment(claim.attached_at),
    }


def snapshot(request: Request, one: Snapshot, *, more: bool = True) -> dict[str, Any]:
    """A snapshot; `more` is what a show and a detailed list say beyond a brief one."""
    view: dict[str, Any] = {
        "id": one.id,
        "created_at": moment(one.created_at),
        "updated_at": moment(one.updated_at),
        "name": one.name,
        "description": one.description,
        "volume_id": one.volume_id,
        "status": one.status,
        "size": one.size,
        "metadata": one.metadata,
    }
    if not more:
        return view
    if request.version >= GROUP_SNAPSHOTS:
        view["group_snapshot_id"] = one.group_snapshot_id
    if request.version >= SNAPSHOT_USER:
        view["user_id"] = one.user_id
    if request.version >= CONSUMES_QUOTA:
        view["consumes_quota"] = True
    return view


def extended_snapshots(request: Request, rows: list[Snapshot]) -> list[dict[str, Any]]:
    """What a show and a detailed list answer."""
    views = [snapshot(request, one) for one in rows]
    if request.allows("volume_extension:extended_snapshot_attributes"):
        for view, one in zip(views, rows, strict=True):
            view["os-extended-snapshot-attributes:project_id"] = one.project_id
            view["os-extended-snapshot-attributes:progress"] = f"{one.progress}%"
    return views


def _metadata(volume: Volume, claims: list[Attachment]) -> dict[str, str]:
    """What users and what `os-update_readonly_flag` and `os-attach` have said of the volume."""
    said = {} if volume.read_only is None else {"readonly": str(volume.read_only)}
    modes = [one.mode for one in claims if one.status == AttachStatus.ATTACHED and one.by_action and one.mode]
    return {**volume.metadata, **said, **({"attached_mode": modes[-1]} if modes else {})}
