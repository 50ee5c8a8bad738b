# SPDX-License-Identifier: Apache-2.0
"""What can be done with volumes, from their making to their end."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Forbidden, Invalid, NotFound
from cumulet.services.block_storage import events
from cumulet.services.block_storage.logic import (
    encryption,
    images,
    keys,
    news,
    quotas,
    services,
    snapshots,
    volume_types,
    zones,
)
from cumulet.services.block_storage.logic.refusals import (
    backup_not_found,
    group_not_found,
    invalid_backup,
    invalid_group,
    invalid_input,
    invalid_snapshot,
    invalid_volume,
    volume_not_found,
    words,
)
from cumulet.services.block_storage.store import attachments, groups
from cumulet.services.block_storage.store import backups as backup_store
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
    VolumeType,
    Wanted,
)
from cumulet.services.block_storage.types.backups import BACKUP_ACTIONS, Backup, BackupStatus
from cumulet.services.block_storage.types.groups import Group, GroupStatus
from cumulet.services.image.contract import ImageInfo, NewImage

SHARE = "volume:multiattach"
_DELETABLE = ("available", "error", "error_restoring", "error_extending", "error_managing")
NO_METADATA: dict[str, str] = {}


class NewVolume(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for; `size` in GiB, the type by name or id, at most one source. `host` "" leaves the place open."""

    name: str | None = None
    description: str | None = None
    size: int | None = None
    snapshot_id: str | None = None
    source_volume_id: str | None = None
    backup_id: str | None = None
    image: str | None = None
    volume_type: str | None = None
    availability_zone: str | None = None
    metadata: dict[str, str] = {}
    host: str = ""
    group_id: str | None = None
    hints: dict[str, Any] = {}


class _Origin(msgspec.Struct, kw_only=True):
    """What a source gives to the volume that is made of it."""

    least: int = 0
    host: str = ""
    backend: str = ""
    zone: str = ""
    bootable: bool = False
    volume_type_id: str | None = None
    image_id: str | None = None
    image_metadata: dict[str, str] | None = None
    image: ImageInfo | None = None
    encryption_key_id: str | None = None
    spec: dict[str, Any] = {}
    backup: Backup | None = None


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


def summary(source: Source, ctx: Context, *, everywhere: bool, metadata: bool) -> tuple[int, int, dict[str, list[str]]]:
    """Number and GiB of all volumes and, where `metadata` is wanted, the different values of each of its keys."""
    words: dict[str, list[str]] = {}
    for one in store.metadata(source, ctx, everywhere=everywhere) if metadata else ():
        for key, value in one.items():
            if value not in words.setdefault(key, []):
                words[key].append(value)
    return *store.total(source, ctx, everywhere=everywhere), words


def attachments_of(source: Source, volume_ids: list[str]) -> dict[str, list[Attachment]]:
    """The attachments of each volume, oldest first."""
    found: dict[str, list[Attachment]] = {volume_id: [] for volume_id in volume_ids}
    for one in attachments.of_volumes(source, volume_ids):
        found[one.volume_id].append(one)
    return found


def without_server_image(cloud: Cloud, source: Source, ctx: Context, new: NewVolume) -> NewVolume:
    """An image of a server that runs from a volume has no content: it stands for a snapshot, which takes its place."""
    if new.image is None or new.snapshot_id is not None:
        return new
    snapshot_id = images.boot_snapshot(images.get(cloud, source, ctx, new.image))
    if snapshot_id is None:
        return new
    return msgspec.structs.replace(new, image=None, snapshot_id=snapshots.of_image(source, ctx, snapshot_id).id)


def key_for(cloud: Cloud, ctx: Context, new: NewVolume) -> keys.Sealed:
    """What `create` needs for a volume whose disk is encrypted, nothing for others; not in a commit."""
    origin, size = _origin(cloud, cloud.db, ctx, new)
    need = _key_needed(_kind(cloud.db, ctx, new, origin), origin, size)
    return () if need is None else ((need, keys.seal(cloud, ctx, need)),)


def create(
    cloud: Cloud, tx: Tx, ctx: Context, new: NewVolume, ready: keys.Ready | None = None, made_with: Group | None = None
) -> Volume:
    """Write the row, count it against the quota, and begin to make it.

    Raises KeyNeeded where the disk is to be encrypted and no key is `ready` (see `keys.write`). `made_with` is a group
    that is made together with its volumes, of another one's.
    """
    origin, size = _origin(cloud, tx, ctx, new)
    kind = _kind(tx, ctx, new, origin)
    group = made_with or _group(tx, ctx, new, kind, origin)
    settings, what = cloud.settings.block_storage, "snapshot" if new.snapshot_id is not None else "source volume"
    wanted = group.availability_zone if group is not None else new.availability_zone or None
    places = zones.chosen(tx, settings, wanted, kind.extra_specs, origin.zone, what)
    shared = volume_types.is_multiattach(kind)
    if shared:
        check_may_share(cloud, ctx)
    need = _key_needed(kind, origin, size)
    if shared and need is not None:
        raise invalid_volume("Multiattach cannot be used with encrypted volumes.")
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
        availability_zone=places[0] if len(places) == 1 else "",
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
        group_id=group.id if group is not None else None,
        encryption_key_id=keys.store(cloud, tx, need, ready),
    )
    store.add(tx, volume)
    news.new_volume(cloud, tx, volume, ctx.request_id)
    where = {"zones": places, "hints": dict(new.hints)}
    if origin.backup is not None:
        begin_restore(cloud, tx, origin.backup, volume.id, ctx.request_id, where)
        return volume
    # What comes with a key is in a container already.
    fresh = need is not None and need.same_as is None
    args = {"host": origin.host or new.host, "backend": origin.backend, "spec": origin.spec, "fresh": fresh, **where}
    cloud.sagas.start(tx, "block_storage.create", volume.id, args, ctx.request_id)
    return volume


def begin_restore(
    cloud: Cloud,
    tx: Tx,
    backup: Backup,
    volume_id: str,
    request_id: str,
    where: dict[str, Any] | None = None,
    key_id: str | None = None,
) -> None:
    """Begin to write a whole backup over a volume, or to make a new one of it: `where` that may be.

    The key takes the place of the volume's once that holds the backup.
    """
    backup_store.change(tx, backup.id, status=BackupStatus.RESTORING, restore_volume_id=volume_id)
    news.backup(cloud, tx, events.BACKUP_RESTORE, events.START, backup.id, request_id)
    args = {"backup_id": backup.id, "new": where is not None, "key_id": key_id, **(where or {})}
    cloud.sagas.start(tx, "block_storage.restore_backup", volume_id, args, request_id)


def update(cloud: Cloud, tx: Tx, ctx: Context, volume_id: str, changes: dict[str, Any]) -> Volume:
    """Change `name`, `description` or `metadata` (which is added to what is there)."""
    volume = get(tx, ctx, volume_id)
    check_not_maintained(volume, "cannot be updated during maintenance")
    if "metadata" in changes:
        changes = {**changes, "metadata": {**volume.metadata, **changes["metadata"]}}
    news.volume(cloud, tx, events.UPDATE, events.START, volume_id, ctx.request_id)
    store.change(tx, volume_id, **changes)
    news.volume(cloud, tx, events.UPDATE, events.END, volume_id, ctx.request_id)
    return get(tx, ctx, volume_id)


def check_not_maintained(volume: Volume, what: str) -> None:
    """Raise Invalid while the volume is in maintenance: what that means is `what`."""
    if volume.status == VolumeStatus.MAINTENANCE:
        raise invalid_volume(f"The volume {what}.")


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
        raise NotFound(
            f"Glance metadata for volume/snapshot {volume_id} cannot be found.", code="GlanceMetadataNotFound"
        )
    store.change(tx, volume_id, image_metadata={name: value for name, value in have.items() if name != key})


def delete(cloud: Cloud, tx: Tx, ctx: Context, volume_id: str, *, cascade: bool = False, force: bool = False) -> None:
    """Begin to delete; Invalid while attached or with snapshots (which `cascade` deletes as well)."""
    volume = get(tx, ctx, volume_id)
    services.check_not_frozen(tx, volume.host, volume.backend)
    begin_delete(cloud, tx, check_deletable(tx, ctx, volume_id, cascade=cascade, force=force), ctx.request_id)


def check_deletable(tx: Tx, ctx: Context, volume_id: str, *, cascade: bool = False, force: bool = False) -> Volume:
    """The volume, which may leave the service's care now, with its snapshots where `cascade`; Invalid for another."""
    volume = get(tx, ctx, volume_id)
    claims = attachments.of_volumes(tx, [volume_id])
    opened = any(one.status == AttachStatus.ATTACHED for one in claims) or volume.is_migrating
    allowed = VOLUME_ACTIONS["force_delete" if force else "delete"]
    kept = snapshot_store.of_volume(tx, volume_id)
    held = opened or volume.group_id is not None
    if volume.status not in allowed or held or (claims and not force) or (kept and not cascade):
        states = "" if force else f"status must be {' or '.join(_DELETABLE)} and"
        raise invalid_volume(
            f"Volume {states} must not be migrating, attached, belong to a group, have snapshots, awaiting a transfer, "
            "or be disassociated from snapshots after volume transfer."
        )
    if any(one.group_snapshot_id is not None for one in kept):
        raise invalid_volume("Failed to update snapshot.")
    if any(one.status not in SNAPSHOT_ACTIONS["delete"] for one in kept) and not force:
        raise invalid_volume("Volume has snapshots that cannot be deleted now.")
    return volume


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
    if volume.status == VolumeStatus.IN_USE and volume.is_migrating:
        raise invalid_volume(f"Volume {volume_id} is migrating, and cannot be extended in its server.")
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


def upload(
    cloud: Cloud, tx: Tx, ctx: Context, volume_id: str, new: NewImage, ready: keys.Ready | None = None, *, force: bool
) -> str:
    """Begin to make an image of the volume, with `force` of an attached one too; the image's id.

    That of an encrypted volume is its container, and has a key of its own: KeyNeeded is raised where none is `ready`.
    """
    volume = get(tx, ctx, volume_id)
    allowed = VOLUME_ACTIONS["upload_forced" if force else "upload"]
    if volume.status not in allowed:
        raise invalid_volume(f"Volume {volume_id} status must be {words(sorted(allowed))}")
    if volume.encryption_key_id is not None:
        key_id = keys.store(cloud, tx, encryption.Need(same_as=volume.encryption_key_id), ready)
        more = {encryption.IMAGE_KEY: str(key_id), encryption.IMAGE_KEY_POLICY: encryption.WITH_IMAGE}
        new = msgspec.structs.replace(new, properties={**new.properties, **more})
    image_id = images.begin_upload(cloud, tx, ctx, volume, new)
    store.change(tx, volume_id, status=VolumeStatus.UPLOADING, previous_status=volume.status)
    args = {"image_id": image_id, "format": new.disk_format}
    cloud.sagas.start(tx, "block_storage.upload", volume_id, args, ctx.request_id)
    return image_id


def _origin(cloud: Cloud, tx: Source, ctx: Context, new: NewVolume) -> tuple[_Origin, int]:
    """What the source gives, and the size that the volume gets; Invalid where there are several sources."""
    if sum(one is not None for one in (new.snapshot_id, new.source_volume_id, new.image, new.backup_id)) > 1:
        raise invalid_input("May specify only one of snapshot, imageRef or source volume")
    if new.snapshot_id is not None:
        origin, what = _of_snapshot(tx, ctx, new.snapshot_id), "the snapshot"
    elif new.source_volume_id is not None:
        origin, what = _of_volume(tx, ctx, new.source_volume_id), "original volume"
    elif new.backup_id is not None:
        return _of_backup(tx, ctx, new)
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


def _group(tx: Tx, ctx: Context, new: NewVolume, kind: VolumeType, origin: _Origin) -> Group | None:
    """The group that the volume is made in; Invalid where that is not one for it."""
    if new.group_id is None:
        return None
    group = groups.find_visible(tx, ctx, new.group_id)
    if group is None:
        raise group_not_found(new.group_id)
    if not new.volume_type:
        raise invalid_input("volume_type must be provided when creating a volume in a group.")
    if kind.id not in group.volume_types:
        raise invalid_input(
            f"Invalid volume_type provided: {kind.id} (requested type must be supported by this group)."
        )
    if group.status not in (GroupStatus.AVAILABLE, GroupStatus.CREATING):
        raise invalid_group("Originating group status must be one of 'available, creating' values")
    if group.project_id != ctx.project_id:
        raise invalid_volume("Volume and group belong to different projects.")
    if origin.host and (origin.host, origin.backend or group.backend) != (group.host, group.backend):
        raise invalid_volume("Volume is not local to this node.")
    return group


def _whole(size: int | None) -> int:
    if size is None:
        raise Invalid(
            "The server could not comply with the request since it is either malformed or otherwise incorrect."
        )
    if size < 1:
        raise invalid_input(f"Volume size '{size}' must be an integer and greater than 0")
    return size


def _of_snapshot(tx: Source, ctx: Context, snapshot_id: str) -> _Origin:
    snapshot = snapshots.get(tx, ctx, snapshot_id)
    if snapshot.status not in SNAPSHOT_ACTIONS["restore"]:
        raise invalid_snapshot("Originating snapshot status must be one of 'available' values")
    parent = store.find(tx, snapshot.volume_id)
    return _Origin(
        least=snapshot.size,
        host=snapshot.host,
        backend=snapshot.backend,
        zone=parent.availability_zone if parent is not None else "",
        bootable=parent is not None and parent.bootable,
        volume_type_id=snapshot.volume_type_id,
        image_metadata=parent.image_metadata if parent is not None else None,
        encryption_key_id=snapshot.encryption_key_id,
        spec={"snapshot_id": snapshot_id},
    )


def _of_volume(tx: Source, ctx: Context, volume_id: str) -> _Origin:
    volume = get(tx, ctx, volume_id)
    if volume.status not in VOLUME_ACTIONS["clone"]:
        raise invalid_volume("Originating source volume status must be one of 'available', 'in-use' values")
    if volume.is_migrating:
        raise invalid_volume(f"Originating source volume {volume_id} is migrating.")
    return _Origin(
        least=volume.size,
        host=volume.host,
        backend=volume.backend,
        zone=volume.availability_zone,
        bootable=volume.bootable,
        volume_type_id=volume.volume_type_id,
        image_metadata=volume.image_metadata,
        encryption_key_id=volume.encryption_key_id,
        spec={"source_volume_id": volume_id},
    )


def _of_backup(tx: Source, ctx: Context, new: NewVolume) -> tuple[_Origin, int]:
    backup = backup_store.find_visible(tx, ctx, new.backup_id or "")
    if backup is None:
        raise backup_not_found(new.backup_id or "")
    if backup.status not in BACKUP_ACTIONS["restore"]:
        raise invalid_backup("Originating backup status must be one of 'available' values")
    size = backup.size if new.size is None else _whole(new.size)
    if size < backup.size:
        raise invalid_input(
            f"Volume size {size}GB cannot be smaller than the backup size {backup.size}GB. It must be >= backup size."
        )
    if backup.encryption_key_id is None:
        return _Origin(backup=backup), size
    source = store.find(tx, backup.volume_id)
    kind = source.volume_type_id if source is not None else None
    return _Origin(backup=backup, volume_type_id=kind, encryption_key_id=backup.encryption_key_id), size


def _of_image(cloud: Cloud, tx: Source, ctx: Context, reference: str, size: int) -> tuple[_Origin, int]:
    image = images.get(cloud, tx, ctx, reference)
    images.check(image, size)
    spec = {"image_id": image.id, "image_format": image.disk_format}
    words = images.metadata(image)
    return _Origin(bootable=True, image_id=image.id, image_metadata=words, image=image, spec=spec), size


def _key_needed(kind: VolumeType, origin: _Origin, size: int) -> encryption.Need | None:
    if origin.backup is not None and (kind.encryption is None) != (origin.encryption_key_id is None):
        raise invalid_input("Encrypted backups are restored to encrypted volumes, and others to others.")
    return encryption.need(kind, origin.encryption_key_id, origin.image, size)


def _kind(tx: Source, ctx: Context, new: NewVolume, origin: _Origin) -> VolumeType:
    if not new.volume_type:
        if origin.volume_type_id is not None:
            return volume_types.get(tx, ctx, origin.volume_type_id)
        return volume_types.default(tx, ctx)
    kind = volume_types.find(tx, ctx, new.volume_type)
    if origin.volume_type_id not in (None, kind.id):
        have = volume_types.find_any(tx, str(origin.volume_type_id))
        if encryption.differs(have, kind):
            other = "either match source volume, or omit" if new.source_volume_id else "recommend omitting the"
            words = (
                f"Invalid volume_type provided: {kind.id} (requested type is not compatible; {other} type argument)."
            )
            raise invalid_input(words)
    return kind
