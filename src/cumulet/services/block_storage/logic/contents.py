# SPDX-License-Identifier: Apache-2.0
"""A volume's content put there anew: from its latest snapshot, or from an image."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict, Forbidden, Invalid
from cumulet.kernel.saga import Run
from cumulet.services.block_storage import events
from cumulet.services.block_storage.logic import encryption, images, messages, news, volumes
from cumulet.services.block_storage.logic.refusals import invalid_volume
from cumulet.services.block_storage.logic.snapshots import of_image
from cumulet.services.block_storage.store import attachments, snapshots
from cumulet.services.block_storage.store import volumes as store
from cumulet.services.block_storage.types import VOLUME_ACTIONS, Snapshot, SnapshotStatus, Volume, VolumeStatus

RESERVED = "volume:reimage_reserved"


def operation(run: Run) -> str:
    """The name of a piece of work that a host does once."""
    return f"{run.id}:{run.request_id}"


def revert(cloud: Cloud, tx: Tx, ctx: Context, volume_id: str, snapshot_id: str | None) -> None:
    """Begin to make the volume what it was at its latest snapshot, which must be of its size."""
    volume = volumes.get(tx, ctx, volume_id)
    snapshot = _latest(tx, volume, snapshot_id)
    refusal = (
        f"Can't revert volume {volume_id} to its latest snapshot {snapshot.id}. {{}}'s status must be 'available'."
    )
    if volume.status not in VOLUME_ACTIONS["revert"]:
        raise Conflict(f"Invalid volume: {refusal.format('Volume')}", code="InvalidVolume")
    if snapshot.status != SnapshotStatus.AVAILABLE:
        raise Conflict(f"Invalid snapshot: {refusal.format('Snapshot')}", code="InvalidSnapshot")
    store.change(tx, volume_id, status=VolumeStatus.REVERTING, previous_status=volume.status)
    snapshots.change(tx, snapshot.id, status=SnapshotStatus.RESTORING)
    _tell(cloud, tx, volume_id, snapshot.id, events.START, ctx.request_id)
    cloud.sagas.start(tx, "block_storage.revert", volume_id, {"snapshot_id": snapshot.id}, ctx.request_id)


def reverted(cloud: Cloud, tx: Tx, volume_id: str, snapshot_id: str, request_id: str, *, failed: bool = False) -> None:
    """The volume is what it was at the snapshot, or what it was before."""
    volume, snapshot = store.find(tx, volume_id), snapshots.find(tx, snapshot_id)
    if snapshot is not None and snapshot.status == SnapshotStatus.RESTORING:
        snapshots.change(tx, snapshot_id, status=SnapshotStatus.AVAILABLE)
    if volume is not None and volume.status == VolumeStatus.REVERTING:
        store.change(tx, volume_id, status=VolumeStatus.ERROR if failed else VolumeStatus.AVAILABLE)
    _tell(cloud, tx, volume_id, snapshot_id, events.END, request_id)


def reimage(cloud: Cloud, tx: Tx, ctx: Context, volume_id: str, image_id: str, *, reserved: bool) -> None:
    """Begin to write the image over the volume; `reserved` says that a server may have it reserved."""
    volume = volumes.get(tx, ctx, volume_id)
    target = {"project_id": volume.project_id, "user_id": volume.user_id}
    if volume.status == VolumeStatus.RESERVED and not cloud.allows("block_storage", RESERVED, ctx, target):
        raise Forbidden(f"Policy doesn't allow {RESERVED} to be performed.", code="PolicyNotAuthorized", rule=RESERVED)
    image = images.existing(cloud, tx, ctx, image_id)
    if len(attachments.of_volumes(tx, [volume_id])) > 1:
        raise Conflict("Cannot re-image a volume which is attached to more than one server.")
    allowed = VOLUME_ACTIONS["reimage_reserved" if reserved else "reimage"]
    if volume.status not in allowed:
        raise invalid_volume(
            f"Volume {volume_id} status must be {' or '.join(sorted(allowed))}, but current status is {volume.status}."
        )
    if not volume.host:
        raise invalid_volume(f"Volume {volume_id} has no content.")
    snapshot_id = images.boot_snapshot(image)
    if snapshot_id is not None:
        _check_snapshot(tx, ctx, volume, snapshot_id)
    else:
        images.check(image, volume.size)
        encryption.check_content(volume, image)
    store.change(tx, volume_id, status=VolumeStatus.DOWNLOADING, previous_status=volume.status)
    args = {"image_id": image.id, "image_format": image.disk_format, "metadata": images.metadata(image)}
    args["snapshot_id"] = snapshot_id
    cloud.sagas.start(tx, "block_storage.reimage", volume_id, args, ctx.request_id)


def reimaged(tx: Tx, volume_id: str, image_id: str, metadata: dict[str, Any]) -> None:
    """The volume holds the image's system, and is what it was before."""
    volume = store.find(tx, volume_id)
    if volume is None:
        return
    values: dict[str, Any] = {"bootable": True, "image_id": image_id, "image_metadata": metadata}
    if volume.status == VolumeStatus.DOWNLOADING:
        values["status"] = volume.previous_status
    store.change(tx, volume_id, **values)


def not_reimaged(tx: Tx, volume_id: str, request_id: str) -> None:
    volume = store.find(tx, volume_id)
    if volume is not None and volume.status == VolumeStatus.DOWNLOADING:
        store.change(tx, volume_id, status=VolumeStatus.ERROR, previous_status=volume.status)
        messages.tell(
            tx, volume.project_id, request_id, "VOLUME", volume_id, messages.REIMAGE, messages.UNKNOWN
        )  # fmt: skip


def _check_snapshot(tx: Tx, ctx: Context, volume: Volume, snapshot_id: str) -> None:
    """NotFound or Invalid unless the volume can be made anew of the snapshot."""
    snapshot = of_image(tx, ctx, snapshot_id)
    if snapshot.encryption_key_id != volume.encryption_key_id:
        raise invalid_volume(f"Snapshot {snapshot_id} of the image is encrypted with another key than the volume.")
    if snapshot.size > volume.size:
        raise Invalid(
            f"Volume size must be greater than the image size. (Image: {snapshot.size}, Volume: {volume.size})."
        )
    if snapshot.host != volume.host:
        raise invalid_volume(f"Snapshot {snapshot_id} of the image is on another host than volume {volume.id}.")


def _latest(tx: Tx, volume: Volume, snapshot_id: str | None) -> Snapshot:
    """The volume's latest snapshot; Invalid where that is not the one that is asked for, or has another size."""
    taken = snapshots.of_volume(tx, volume.id)
    if not taken:
        raise Invalid(f"Volume {volume.id} doesn't have any snapshots.")
    latest = taken[-1]
    if snapshot_id != latest.id:
        raise Invalid(f"Specified snapshot {snapshot_id} is None or not the latest one of volume {volume.id}.")
    if latest.size != volume.size:
        raise Invalid(
            f"Can't revert volume {volume.id} to its latest snapshot {snapshot_id}. The volume size must be equal to "
            "the snapshot size."
        )
    return latest


def _tell(cloud: Cloud, tx: Tx, volume_id: str, snapshot_id: str, moment: str, request_id: str) -> None:
    news.volume(cloud, tx, events.REVERT, moment, volume_id, request_id)
    news.snapshot(cloud, tx, events.SNAPSHOT_REVERT, moment, snapshot_id, request_id)
