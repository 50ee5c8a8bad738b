# SPDX-License-Identifier: Apache-2.0
"""What can be done with volumes, from their making to their end."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Forbidden, Invalid, NotFound, Unsupported
from cumulet.services.block_storage import events
from cumulet.services.block_storage.logic import backends, images, news, quotas, snapshots, volume_types
from cumulet.services.block_storage.logic.refusals import (
    invalid_input,
    invalid_snapshot,
    invalid_volume,
    volume_not_found,
    words,
)
from cumulet.services.block_storage.store import attachments
from cumulet.services.block_storage.store import snapshots as snapshot_store
from cumulet.services.block_storage.store import volumes as store
from cumulet.services.block_storage.types import (
    SNAPSHOT_ACTIONS,
    VOLUME_ACTIONS,
    VOLUME_BUSY,
    Attachment,
    AttachStatus,
    Page,
    SnapshotStatus,
    Volume,
    VolumeStatus,
    Wanted,
)
from cumulet.services.image.contract import NewImage

SHARE = "volume:multiattach"
NO_METADATA: dict[str, str] = {}


class NewVolume(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for; `size` in GiB, the type by name or id, at most one source. `host` "" leaves the place open."""

    name: str | None = None
    description: str | None = None
    size: int | None = None
    snapshot_id: str | None = None
    source_volume_id: str | None = None
    image: str | None = None
    volume_type: str | None = None
    availability_zone: str | None = None
    metadata: dict[str, str] = {}
    host: str = ""


class _Origin(msgspec.Struct, kw_only=True):
    """What a source gives to the volume that is made of it."""

    least: int = 0
    host: str = ""
    bootable: bool = False
    volume_type_id: str | None = None
    image_id: str | None = None
    image_metadata: dict[str, str] | None = None
    spec: dict[str, Any] = {}


def get(source: Source, ctx: Context, volume_id: str) -> Volume:
    """A volume that the caller may see."""
    found = store.find_visible(source, ctx, volume_id)
    if found is None:
        raise volume_not_found(volume_id)
    return found


def find(source: Source, volume_id: str) -> Volume | None:
    """Whoever owns it."""
    return store.find(source, volume_id)


def find_page(source: Source, ctx: Context, wanted: Wanted, page: Page) -> list[Volume]:
    """A part of the list; Invalid where the marker is not there."""
    try:
        return store.find_page(source, ctx, wanted, page)
    except LookupError as error:
        raise volume_not_found(str(error.args[0])) from error


def count(source: Source, ctx: Context, wanted: Wanted) -> int:
    return store.count(source, ctx, wanted)


def attachments_of(source: Source, volume_ids: list[str]) -> dict[str, list[Attachment]]:
    """The attachments of each volume, oldest first."""
    found: dict[str, list[Attachment]] = {volume_id: [] for volume_id in volume_ids}
    for one in attachments.of_volumes(source, volume_ids):
        found[one.volume_id].append(one)
    return found


def create(cloud: Cloud, tx: Tx, ctx: Context, new: NewVolume) -> Volume:
    """Write the row, count it against the quota, and begin to make it."""
    if sum(one is not None for one in (new.snapshot_id, new.source_volume_id, new.image)) > 1:
        raise invalid_input("May specify only one of snapshot, imageRef or source volume")
    if new.availability_zone not in (None, "", backends.ZONE):
        raise Invalid(f"Availability zone '{new.availability_zone}' is invalid.", code="InvalidAvailabilityZone")
    origin, size = _origin(cloud, tx, ctx, new)
    kind = _kind(tx, ctx, new, origin)
    shared = volume_types.is_multiattach(kind)
    if shared:
        check_may_share(cloud, ctx)
    quotas.check_volume(tx, ctx.project_id or "", size, kind.name)
    volume = Volume(
        id=ids.new_uuid(),
        project_id=ctx.project_id or "",
        user_id=ctx.user_id,
        name=new.name,
        description=new.description,
        size=size,
        status=VolumeStatus.CREATING,
        previous_status=None,
        extending_to=None,
        bootable=origin.bootable,
        read_only=None,
        volume_type_id=kind.id,
        availability_zone=backends.ZONE,
        host="",
        snapshot_id=new.snapshot_id,
        source_volume_id=new.source_volume_id,
        image_id=origin.image_id,
        image_metadata=origin.image_metadata,
        metadata=dict(new.metadata),
        generation=0,
        created_at=clock.utcnow(),
        updated_at=None,
        multiattach=shared,
    )
    store.add(tx, volume)
    news.volume(cloud, tx, events.CREATE, events.START, volume.id, ctx.request_id)
    args = {"host": origin.host or new.host, "spec": origin.spec}
    cloud.sagas.start(tx, "block_storage.create", volume.id, args, ctx.request_id)
    return volume


def update(cloud: Cloud, tx: Tx, ctx: Context, volume_id: str, changes: dict[str, Any]) -> Volume:
    """Change `name`, `description` or `metadata` (which is added to what is there)."""
    volume = get(tx, ctx, volume_id)
    if "metadata" in changes:
        changes = {**changes, "metadata": {**volume.metadata, **changes["metadata"]}}
    news.volume(cloud, tx, events.UPDATE, events.START, volume_id, ctx.request_id)
    store.change(tx, volume_id, **changes)
    news.volume(cloud, tx, events.UPDATE, events.END, volume_id, ctx.request_id)
    return get(tx, ctx, volume_id)


def set_metadata(tx: Tx, ctx: Context, volume_id: str, metadata: dict[str, str], *, replace: bool) -> dict[str, str]:
    """Add to a volume's metadata, or replace it; returns what is there now."""
    volume = get(tx, ctx, volume_id)
    if volume.status in (VolumeStatus.MAINTENANCE, VolumeStatus.DELETING):
        raise invalid_volume(f"Updating volume {volume_id} metadata is not allowed for its status {volume.status}.")
    merged = dict(metadata) if replace else {**volume.metadata, **metadata}
    store.change(tx, volume_id, metadata=merged)
    return merged


def remove_metadata(tx: Tx, ctx: Context, volume_id: str, key: str) -> None:
    volume = get(tx, ctx, volume_id)
    if key not in volume.metadata:
        raise NotFound(f"Volume {volume_id} has no metadata with key {key}.", code="VolumeMetadataNotFound")
    store.change(tx, volume_id, metadata={name: value for name, value in volume.metadata.items() if name != key})


def set_image_metadata(tx: Tx, ctx: Context, volume_id: str, metadata: dict[str, str]) -> dict[str, str]:
    volume = get(tx, ctx, volume_id)
    merged = {**(volume.image_metadata or NO_METADATA), **metadata}
    store.change(tx, volume_id, image_metadata=merged)
    return merged


def remove_image_metadata(tx: Tx, ctx: Context, volume_id: str, key: str) -> None:
    volume = get(tx, ctx, volume_id)
    have = volume.image_metadata or NO_METADATA
    if key not in have:
        raise NotFound("Metadata item was not found", code="GlanceMetadataNotFound")
    store.change(tx, volume_id, image_metadata={name: value for name, value in have.items() if name != key})


def delete(cloud: Cloud, tx: Tx, ctx: Context, volume_id: str, *, cascade: bool = False, force: bool = False) -> None:
    """Begin to delete; Invalid while attached or with snapshots (which `cascade` deletes as well)."""
    volume = get(tx, ctx, volume_id)
    claims = attachments.of_volumes(tx, [volume_id])
    opened = any(one.status == AttachStatus.ATTACHED for one in claims)
    allowed = VOLUME_ACTIONS["force_delete" if force else "delete"]
    kept = snapshot_store.of_volume(tx, volume_id)
    if volume.status not in allowed or opened or (claims and not force) or (kept and not (cascade or force)):
        raise invalid_volume(
            "Volume status must be available or error or error_restoring or error_extending or error_managing and must "
            "not be migrating, attached, belong to a group, have snapshots, awaiting a transfer, or be disassociated "
            "from snapshots after volume transfer."
        )
    if any(one.status not in SNAPSHOT_ACTIONS["delete"] for one in kept) and not force:
        raise invalid_volume("Volume has snapshots that cannot be deleted now.")
    begin_delete(cloud, tx, volume, ctx.request_id)


def begin_delete(cloud: Cloud, tx: Tx, volume: Volume, request_id: str) -> None:
    """Delete the volume and its snapshots whatever its status; claims on it are forgotten."""
    if volume.status in VOLUME_BUSY:
        cloud.sagas.cancel(tx, volume.id)
    attachments.remove_all(tx, volume.id)
    for one in snapshot_store.of_volume(tx, volume.id):
        cloud.sagas.cancel(tx, one.id)
        snapshot_store.change(tx, one.id, status=SnapshotStatus.DELETING)
    store.change(tx, volume.id, status=VolumeStatus.DELETING, previous_status=volume.status)
    news.volume(cloud, tx, events.DELETE, events.START, volume.id, request_id)
    cloud.sagas.start(tx, "block_storage.delete", volume.id, {}, request_id)


def extend(cloud: Cloud, tx: Tx, ctx: Context, volume_id: str, size: int, *, attached: bool) -> None:
    """Begin to make the volume `size` GiB large; `attached` says that a volume in use may be extended."""
    volume = get(tx, ctx, volume_id)
    if size <= volume.size:
        raise invalid_input(
            f"New size for extend must be greater than current size. (current: {volume.size}, extended: {size})."
        )
    allowed = VOLUME_ACTIONS["extend_attached" if attached else "extend"]
    if volume.status not in allowed:
        raise invalid_volume(
            f"Volume {volume_id} status must be '{words(sorted(allowed))}' to extend, currently {volume.status}."
        )
    type_name = volume_types.names(tx).get(volume.volume_type_id, "")
    quotas.check_volume(tx, volume.project_id, size, type_name, number=0, more=size - volume.size)
    store.change(tx, volume_id, status=VolumeStatus.EXTENDING, previous_status=volume.status, extending_to=size)
    news.volume(cloud, tx, events.RESIZE, events.START, volume_id, ctx.request_id)
    cloud.sagas.start(tx, "block_storage.extend", volume_id, {"size": size}, ctx.request_id)


def check_may_share(cloud: Cloud, ctx: Context, volume: Volume | None = None) -> None:
    """Forbidden where the caller may have no volumes for several servers."""
    target = None if volume is None else {"project_id": volume.project_id, "user_id": volume.user_id}
    if not cloud.allows("block_storage", SHARE, ctx, target):
        raise Forbidden(f"Policy doesn't allow {SHARE} to be performed.", code="PolicyNotAuthorized", rule=SHARE)


def retype(cloud: Cloud, tx: Tx, ctx: Context, volume_id: str, name_or_id: str) -> None:
    """Give the volume another type that its host satisfies; Unsupported where it would have to move."""
    volume = get(tx, ctx, volume_id)
    kind = volume_types.find(tx, ctx, name_or_id)
    allowed = VOLUME_ACTIONS["retype"]
    if volume.status not in allowed:
        raise invalid_volume(
            f"Unable to update type due to incorrect status: {volume.status} on volume: {volume_id}. Volume status "
            f"must be {words(sorted(allowed))}."
        )
    if kind.id == volume.volume_type_id:
        raise invalid_input(f"New volume_type same as original: {kind.name}.")
    if not backends.satisfies(backends.get(tx, volume.host), kind.extra_specs):
        raise Unsupported(f"Volume {volume_id} would have to move to another back end.")
    shared = volume_types.is_multiattach(kind)
    if shared != volume.multiattach and volume.status != VolumeStatus.AVAILABLE:
        raise invalid_input(
            "Invalid volume_type passed, retypes affecting multiattach are only allowed on available volumes, the "
            f"specified volume however currently has a status of: {volume.status}."
        )
    if shared and not volume.multiattach:
        check_may_share(cloud, ctx, volume)
    quotas.check_retype(tx, volume.project_id, volume.size, kind.name)
    store.change(tx, volume_id, volume_type_id=kind.id, multiattach=shared)


def upload(cloud: Cloud, tx: Tx, ctx: Context, volume_id: str, new: NewImage, *, force: bool) -> str:
    """Begin to make an image of the volume, with `force` of an attached one too; the image's id."""
    volume = get(tx, ctx, volume_id)
    allowed = VOLUME_ACTIONS["upload_forced" if force else "upload"]
    if volume.status not in allowed:
        raise invalid_volume(f"Volume {volume_id} status must be {words(sorted(allowed))}")
    image_id = images.begin_upload(cloud, tx, ctx, volume, new)
    store.change(tx, volume_id, status=VolumeStatus.UPLOADING, previous_status=volume.status)
    args = {"image_id": image_id, "format": new.disk_format}
    cloud.sagas.start(tx, "block_storage.upload", volume_id, args, ctx.request_id)
    return image_id


def _origin(cloud: Cloud, tx: Tx, ctx: Context, new: NewVolume) -> tuple[_Origin, int]:
    """What the source gives, and the size that the volume gets."""
    if new.snapshot_id is not None:
        origin, what = _of_snapshot(tx, ctx, new.snapshot_id), "the snapshot"
    elif new.source_volume_id is not None:
        origin, what = _of_volume(tx, ctx, new.source_volume_id), "original volume"
    elif new.image is not None:
        return _of_image(cloud, tx, ctx, new.image, _whole(new.size))
    else:
        return _Origin(), _whole(new.size)
    size = origin.least if new.size is None else _whole(new.size)
    if size < origin.least:
        raise invalid_input(
            f"Volume size '{size}'GB cannot be smaller than {what} size {origin.least}GB. "
            f"They must be >= {'original snapshot' if new.snapshot_id else 'original volume'} size."
        )
    return origin, size


def _whole(size: int | None) -> int:
    if size is None:
        raise Invalid(
            "The server could not comply with the request since it is either malformed or otherwise incorrect."
        )
    if size < 1:
        raise invalid_input(f"Volume size '{size}' must be an integer and greater than 0")
    return size


def _of_snapshot(tx: Tx, ctx: Context, snapshot_id: str) -> _Origin:
    snapshot = snapshots.get(tx, ctx, snapshot_id)
    if snapshot.status not in SNAPSHOT_ACTIONS["restore"]:
        raise invalid_snapshot("Originating snapshot status must be one of 'available' values")
    parent = store.find(tx, snapshot.volume_id)
    return _Origin(
        least=snapshot.size,
        host=snapshot.host,
        bootable=parent is not None and parent.bootable,
        volume_type_id=snapshot.volume_type_id,
        image_metadata=parent.image_metadata if parent is not None else None,
        spec={"snapshot_id": snapshot_id},
    )


def _of_volume(tx: Tx, ctx: Context, volume_id: str) -> _Origin:
    volume = get(tx, ctx, volume_id)
    if volume.status not in VOLUME_ACTIONS["clone"]:
        raise invalid_volume("Originating source volume status must be one of 'available', 'in-use' values")
    return _Origin(
        least=volume.size,
        host=volume.host,
        bootable=volume.bootable,
        volume_type_id=volume.volume_type_id,
        image_metadata=volume.image_metadata,
        spec={"source_volume_id": volume_id},
    )


def _of_image(cloud: Cloud, tx: Tx, ctx: Context, reference: str, size: int) -> tuple[_Origin, int]:
    image = images.get(cloud, tx, ctx, reference)
    images.check(image, size)
    spec = {"image_id": image.id, "image_format": image.disk_format}
    return _Origin(bootable=True, image_id=image.id, image_metadata=images.metadata(image), spec=spec), size


def _kind(tx: Tx, ctx: Context, new: NewVolume, origin: _Origin) -> Any:
    if new.volume_type:
        return volume_types.find(tx, ctx, new.volume_type)
    if origin.volume_type_id is not None:
        return volume_types.get(tx, ctx, origin.volume_type_id)
    return volume_types.default(tx, ctx)
