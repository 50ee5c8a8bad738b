# SPDX-License-Identifier: Apache-2.0
"""What hosts have in nobody's care: listed, taken in as volumes and snapshots, and given back."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.block_storage import events
from cumulet.services.block_storage.logic import (
    backends,
    messages,
    news,
    progress,
    quotas,
    sharing,
    volume_types,
    volumes,
    zones,
)
from cumulet.services.block_storage.logic import snapshots as snapshots_logic
from cumulet.services.block_storage.logic.refusals import invalid_volume, volume_not_found
from cumulet.services.block_storage.store import snapshots
from cumulet.services.block_storage.store import volumes as store
from cumulet.services.block_storage.types import GIB, Backend, Snapshot, SnapshotStatus, Volume, VolumeStatus

SUFFIX = ".qcow2"
ASKING = 30.0  # seconds that a host may take to look through its folder
COPYING = 3600.0  # seconds that looking through a file, or copying it, may take


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a host has: `size` in GiB; `reason` why it cannot be managed, for one in our care its `id`."""

    name: str
    size: int
    reason: str | None = None
    id: str | None = None
    source: str | None = None


class NewManaged(msgspec.Struct, frozen=True, kw_only=True):
    """A volume to be made of what a host has: `reference` as Cinder's drivers take them."""

    host: str
    reference: Any
    name: str | None = None
    description: str | None = None
    volume_type: str | None = None
    availability_zone: str | None = None
    metadata: dict[str, str] = {}
    bootable: bool = False


def volume_name(volume_id: str) -> str:
    return f"volume-{volume_id}"


def snapshot_name(snapshot_id: str) -> str:
    return f"snapshot-{snapshot_id}"


def find_all(cloud: Cloud, backend: Backend, kind: str) -> list[Found]:
    """What the host has, and what of that is in our care. Blocks for the host's answer."""
    backends.check_serving(backend)
    body = {"kind": kind, "backend": backend.name}
    answer = cloud.hosts.call(backend.keeper, "volume.strangers", body, timeout=ASKING)
    strange = [
        Found(name=one["name"], size=_whole(one["size"]), reason=one.get("reason") or None) for one in answer["found"]
    ]
    managed = "already managed"
    if kind == "volume":
        ours = [
            Found(name=volume_name(one.id), size=one.size, reason=managed, id=one.id)
            for one in store.on_backend(cloud.db, backend.host, backend.name)
        ]
    else:
        ours = [
            Found(name=snapshot_name(one.id), size=one.size, reason=managed, id=one.id, source=one.volume_id)
            for one in snapshots.on_backend(cloud.db, backend.host, backend.name)
        ]
    return [*strange, *ours]


def manage(cloud: Cloud, tx: Tx, ctx: Context, new: NewManaged) -> Volume:
    """Begin to take in what the reference names: the row now, its size when the host has looked."""
    _check_strange(tx, new.reference)
    kind = _type(tx, ctx, new.volume_type)
    if kind.encryption is not None:
        raise Invalid(
            "Invalid volume type: Managing to an encrypted volume type is not supported.", code="InvalidVolumeType"
        )
    backend = backends.get(tx, new.host)
    backends.check_serving(backend)
    if new.availability_zone not in (None, "", *zones.found(tx)):
        raise Invalid(f"Availability zone '{new.availability_zone}' is invalid.", code="InvalidAvailabilityZone")
    project_id = ctx.project_id or ""
    quotas.check_volume(tx, project_id, 0, kind.name)
    volume = Volume(
        id=ids.new_uuid(),
        project_id=project_id,
        user_id=ctx.user_id,
        name=new.name,
        description=new.description,
        size=0,
        status=VolumeStatus.MANAGING,
        previous_status=None,
        extending_to=None,
        bootable=new.bootable,
        read_only=None,
        volume_type_id=kind.id,
        availability_zone=new.availability_zone or backend.availability_zone,
        host=backend.host,
        backend=backend.name,
        snapshot_id=None,
        source_volume_id=None,
        image_id=None,
        image_metadata=None,
        metadata=dict(new.metadata),
        generation=0,
        created_at=clock.utcnow(),
        updated_at=None,
        multiattach=volume_types.is_multiattach(kind),
    )
    store.add(tx, volume)
    news.volume(cloud, tx, events.MANAGE, events.START, volume.id, ctx.request_id)
    args = {"reference": new.reference}
    cloud.sagas.start(tx, "block_storage.manage", volume.id, args, ctx.request_id)
    return volume


def measured(tx: Tx, volume_id: str, size: int) -> None:
    """The host's file makes a volume of `size` GiB: OverQuota where the project has not so much."""
    volume = progress.volume(tx, volume_id)
    type_name = volume_types.names(tx).get(volume.volume_type_id, "")
    quotas.check_volume(tx, volume.project_id, size, type_name, number=0, more=size)
    store.change(tx, volume_id, size=size)


def managed(cloud: Cloud, tx: Tx, volume_id: str, request_id: str) -> None:
    """The volume has its bytes. One that is being deleted meanwhile stays so."""
    volume = store.find(tx, volume_id)
    if volume is not None and volume.status == VolumeStatus.MANAGING:
        store.change(tx, volume_id, status=VolumeStatus.AVAILABLE)
        news.volume(cloud, tx, events.MANAGE, events.END, volume_id, request_id)


def not_managed(tx: Tx, volume_id: str, request_id: str) -> None:
    volume = store.find(tx, volume_id)
    if volume is not None and volume.status == VolumeStatus.MANAGING:
        store.change(tx, volume_id, status=VolumeStatus.ERROR_MANAGING, size=0)
        action, detail = messages.CREATE, messages.DRIVER_FAILED_CREATE
        messages.tell(tx, volume.project_id, request_id, "VOLUME", volume_id, action, detail)


def unmanage(cloud: Cloud, tx: Tx, ctx: Context, volume_id: str) -> None:
    """Begin to give the volume's bytes back to its host's operator; Invalid where it could not be deleted."""
    volume = volumes.check_deletable(tx, ctx, volume_id)
    if volume.encryption_key_id is not None:
        raise invalid_volume("Unmanaging encrypted volumes is not supported.")
    store.change(tx, volume.id, status=VolumeStatus.UNMANAGING, previous_status=volume.status)
    news.volume(cloud, tx, events.UNMANAGE, events.START, volume.id, ctx.request_id)
    cloud.sagas.start(tx, "block_storage.unmanage", volume.id, {}, ctx.request_id)


def unmanaged(cloud: Cloud, tx: Tx, volume_id: str, request_id: str) -> None:
    news.volume(cloud, tx, events.UNMANAGE, events.END, volume_id, request_id)
    progress.forgotten(cloud, tx, volume_id)


def not_unmanaged(tx: Tx, volume_id: str) -> None:
    volume = store.find(tx, volume_id)
    if volume is not None and volume.status == VolumeStatus.UNMANAGING:
        store.change(tx, volume_id, status=VolumeStatus.ERROR_UNMANAGING)


def manage_snapshot(
    cloud: Cloud,
    tx: Tx,
    ctx: Context,
    volume_id: str,
    reference: Any,
    name: str | None,
    description: str | None,
    metadata: dict[str, str],
) -> Snapshot:
    """Begin to take in what the reference names as a snapshot of the volume, on whose host it is."""
    volume = store.find_visible(tx, ctx, volume_id)
    if volume is None:
        raise volume_not_found(volume_id)
    if not volume.host:
        raise invalid_volume(f"Volume {volume_id} has no host.")
    if volume.status == VolumeStatus.MAINTENANCE:
        raise invalid_volume(f"The snapshot cannot be created when the volume {volume_id} is in maintenance status.")
    backends.check_serving(_backend(tx, volume))
    quotas.check_snapshot(tx, volume.project_id, volume.size, volume_types.names(tx).get(volume.volume_type_id, ""))
    told = events.SNAPSHOT_MANAGE
    snapshot = snapshots_logic.add(cloud, tx, ctx, volume, name, description, metadata, told=told)
    cloud.sagas.start(tx, "block_storage.manage_snapshot", snapshot.id, {"reference": reference}, ctx.request_id)
    return snapshot


def snapshot_measured(tx: Tx, snapshot_id: str, size: int) -> None:
    """The host's file makes a snapshot of `size` GiB; Conflict where it cannot be one of the volume."""
    snapshot = progress.snapshot(tx, snapshot_id)
    if size > snapshot.size:
        raise Conflict(f"Snapshot {snapshot_id} would be larger than its volume.")
    snapshots.change(tx, snapshot_id, size=size)


def unmanage_snapshot(cloud: Cloud, tx: Tx, ctx: Context, snapshot_id: str) -> None:
    """Begin to give the snapshot's bytes back to its host's operator; Invalid where it could not be deleted."""
    snapshot = snapshots_logic.check_deletable(tx, ctx, snapshot_id)
    snapshots.change(tx, snapshot.id, status=SnapshotStatus.UNMANAGING)
    news.snapshot(cloud, tx, events.SNAPSHOT_DELETE, events.START, snapshot.id, ctx.request_id)
    cloud.sagas.start(tx, "block_storage.unmanage_snapshot", snapshot.id, {}, ctx.request_id)


def named(reference: Any, kind: str) -> str:
    """The name that a reference gives: `source-name`, or the `source-id` that the thing had in our care."""
    if isinstance(reference, str):
        return reference
    if isinstance(reference, dict) and isinstance(reference.get("source-name"), str):
        return str(reference["source-name"])
    if isinstance(reference, dict) and isinstance(reference.get("source-id"), str):
        return f"{kind}-{reference['source-id']}"
    raise Invalid("Reference must contain source-name element.", code="ManageExistingInvalidReference")


def look(cloud: Cloud, disk: Volume | Snapshot, reference: Any) -> tuple[str, int]:
    """The whole name and the size in GiB of what a reference names; NotFound, or Invalid for what may not be opened."""
    kind = _kind(disk)
    body = {"kind": kind, "name": named(reference, kind), "backend": disk.backend}
    found = sharing.call(cloud, disk.host, disk.backend, "volume.stranger", body, timeout=ASKING)
    if found.get("reason"):
        raise Invalid(f"{found['name']} cannot be managed: {found['reason']}.", code="ManageExistingInvalidReference")
    return str(found["name"]), _whole(found["size"])


def adopt(cloud: Cloud, disk: Volume | Snapshot, name: str) -> None:
    """Have the host make its file of that name the disk. Blocks until it is."""
    body = {"kind": _kind(disk), "backend": disk.backend, "id": disk.id, "name": name, "size": disk.size * GIB}
    sharing.call(cloud, disk.host, disk.backend, "volume.adopt", body, timeout=COPYING)


def abandon(cloud: Cloud, disk: Volume | Snapshot, name: str | None = None) -> None:
    """Have the host take the disk out of our care, as a file of that name, or of the disk's own. Blocks until it is."""
    name = name or f"{_kind(disk)}-{disk.id}{SUFFIX}"
    body = {"kind": _kind(disk), "backend": disk.backend, "id": disk.id, "name": name}
    sharing.call(cloud, disk.host, disk.backend, "volume.abandon", body)


def check_type(source: Source, volume: Volume) -> None:
    """Conflict where the volume's back end is not what its type asks for."""
    specs = volume_types.extra_specs(source, volume.volume_type_id)
    if not backends.satisfies(_backend(source, volume), specs):
        raise Conflict(
            "Manage existing volume failed due to volume type mismatch: the back end is not of the type.",
            code="ManageExistingVolumeTypeMismatch",
        )


def _check_strange(tx: Tx, reference: Any) -> None:
    """Invalid for what is in our care by the name that is told."""
    name = reference.get("source-name") if isinstance(reference, dict) else reference
    prefix = volume_name("")
    if isinstance(name, str) and name.startswith(prefix):
        volume_id = name.removeprefix(prefix).removesuffix(SUFFIX)
        if store.find(tx, volume_id) is not None:
            raise invalid_volume("Unable to manage existing volume. The volume is already managed")


def _type(tx: Tx, ctx: Context, name: str | None) -> Any:
    if not name:
        return volume_types.default(tx, ctx)
    try:
        return volume_types.find(tx, ctx, name)
    except NotFound as error:
        raise Invalid(
            f"Invalid volume type: Cannot find requested '{name}' volume type", code="InvalidVolumeType"
        ) from error


def _backend(source: Source, volume: Volume) -> Backend:
    found = backends.find(source, volume.host, volume.backend)
    if found is None:
        raise Invalid("Service is unavailable at this time.", code="ServiceUnavailable")
    return found


def _kind(disk: Volume | Snapshot) -> str:
    return "volume" if isinstance(disk, Volume) else "snapshot"


def _whole(size: int) -> int:
    """Bytes as GiB, rounded up."""
    return -(-int(size) // GIB)
