# SPDX-License-Identifier: Apache-2.0
"""What the flows write down: each function belongs into the commit of a step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, NotReady
from cumulet.services.block_storage import events
from cumulet.services.block_storage.logic import group_progress, keys, messages, news, targets
from cumulet.services.block_storage.store import admissions, attachments, moves, snapshots, transfers, volumes
from cumulet.services.block_storage.types import AttachStatus, Backend, Snapshot, SnapshotStatus, Volume, VolumeStatus

_SNAPSHOT_BUSY = (SnapshotStatus.CREATING, SnapshotStatus.DELETING, SnapshotStatus.UNMANAGING)
STALE = "StaleAttachment"  # what hosts say to orders for an attachment that is not the disk's


def volume(source: Source, volume_id: str) -> Volume:
    """The volume that a flow is about; Conflict where its row is gone."""
    found = volumes.find(source, volume_id)
    if found is None:
        raise Conflict(f"Volume {volume_id} is gone.")
    return found


def snapshot(source: Source, snapshot_id: str) -> Snapshot:
    """The snapshot that a flow is about; Conflict where its row is gone."""
    found = snapshots.find(source, snapshot_id)
    if found is None:
        raise Conflict(f"Snapshot {snapshot_id} is gone.")
    return found


def find_volume(source: Source, volume_id: str) -> Volume | None:
    return volumes.find(source, volume_id)


def find_snapshot(source: Source, snapshot_id: str) -> Snapshot | None:
    return snapshots.find(source, snapshot_id)


def snapshots_of(source: Source, volume_id: str) -> list[Snapshot]:
    return snapshots.of_volume(source, volume_id)


def opener(source: Source, volume_id: str) -> int:
    """The generation of the attachment by which a server has the volume open, if any has; 0 without a claim."""
    claims = attachments.of_volumes(source, [volume_id])
    attached = [claim for claim in claims if claim.status == AttachStatus.ATTACHED]
    return next((claim.generation for claim in attached or claims), 0)


@contextmanager
def fenced() -> Iterator[None]:
    """An order that a host refuses since the volume is attached anew is given again, for the attachment of then."""
    try:
        yield
    except Conflict as error:
        if error.code != STALE:
            raise
        raise NotReady(error.message) from error


def placed(tx: Tx, volume_id: str, backend: Backend) -> None:
    place = {"host": backend.host, "backend": backend.name, "availability_zone": backend.availability_zone}
    volumes.change(tx, volume_id, **place)


def displaced(tx: Tx, volume_id: str) -> None:
    """Its back end could not make it: another one is looked for."""
    volumes.change(tx, volume_id, host="", backend="")


def made(cloud: Cloud, tx: Tx, volume_id: str, request_id: str) -> None:
    """The content is there. A volume that is being deleted meanwhile stays so."""
    found = volumes.find(tx, volume_id)
    if found is not None and found.status == VolumeStatus.CREATING:
        now = volumes.changed(tx, found, status=VolumeStatus.AVAILABLE)
        news.this_volume(cloud, tx, events.CREATE, events.END, now, request_id)
        group_progress.volume_made(cloud, tx, found, request_id)


def not_made(tx: Tx, volume_id: str, request_id: str, action: str, detail: str) -> None:
    found = volumes.find(tx, volume_id)
    if found is not None and found.status == VolumeStatus.CREATING:
        volumes.change(tx, volume_id, status=VolumeStatus.ERROR)
        messages.tell(tx, found.project_id, request_id, "VOLUME", volume_id, action, detail)
        group_progress.failed(tx, found.group_id)


def extended(cloud: Cloud, tx: Tx, volume_id: str, size: int, request_id: str) -> None:
    """The disk is `size` GiB large."""
    found = volumes.find(tx, volume_id)
    if found is not None:
        values: dict[str, Any] = {"size": max(size, found.size), "extending_to": None}
        if found.status == VolumeStatus.EXTENDING:
            values["status"] = found.previous_status or VolumeStatus.AVAILABLE
        now = volumes.changed(tx, found, **values)
        news.this_volume(cloud, tx, events.RESIZE, events.END, now, request_id)


def not_extended(tx: Tx, volume_id: str, request_id: str) -> None:
    found = volumes.find(tx, volume_id)
    if found is None:
        return
    if found.status == VolumeStatus.EXTENDING:
        volumes.change(tx, volume_id, status=VolumeStatus.ERROR_EXTENDING)
        detail = messages.DRIVER_FAILED_EXTEND
        messages.tell(tx, found.project_id, request_id, "VOLUME", volume_id, messages.EXTEND, detail)
    volumes.change(tx, volume_id, extending_to=None)


def not_grown(tx: Tx, volume_id: str, request_id: str) -> None:
    """Its back end does not take so much: the volume is what it was before."""
    found = volumes.find(tx, volume_id)
    if found is not None and found.status == VolumeStatus.EXTENDING:
        volumes.change(tx, volume_id, status=found.previous_status or VolumeStatus.AVAILABLE, extending_to=None)
        detail = messages.NO_BACKEND
        messages.tell(tx, found.project_id, request_id, "VOLUME", volume_id, messages.EXTEND, detail)


def uploaded(tx: Tx, volume_id: str) -> None:
    """The image is made: the volume is what it was before."""
    found = volumes.find(tx, volume_id)
    if found is not None and found.status == VolumeStatus.UPLOADING:
        volumes.change(tx, volume_id, status=found.previous_status or VolumeStatus.AVAILABLE)


def not_uploaded(tx: Tx, volume_id: str, request_id: str) -> None:
    found = volumes.find(tx, volume_id)
    uploaded(tx, volume_id)
    if found is not None:
        action, detail = messages.UPLOAD, messages.NOT_UPLOADED
        messages.tell(tx, found.project_id, request_id, "VOLUME", volume_id, action, detail)


def deleted(cloud: Cloud, tx: Tx, volume_id: str, request_id: str) -> None:
    """Nothing of the volume and its snapshots is left."""
    for one in snapshots.of_volume(tx, volume_id):
        snapshot_deleted(cloud, tx, one.id, request_id)
    found = volumes.find(tx, volume_id)
    if found is not None:
        news.this_volume(cloud, tx, events.DELETE, events.END, found, request_id)
    forgotten(cloud, tx, volume_id)
    if found is not None:
        # Without its key, what a lost disk still holds is nothing to anybody.
        keys.delete(cloud, tx, found.encryption_key_id)
        group_progress.volume_deleted(cloud, tx, found, request_id)


def forgotten(cloud: Cloud, tx: Tx, volume_id: str) -> None:
    """The volume's row goes, and what hangs on it."""
    attachments.remove_all(tx, volume_id)
    admissions.remove_all(tx, volume_id)
    targets.forget_all(cloud, tx, volume_id)
    transfers.remove_of_volume(tx, volume_id)
    moves.remove(tx, volume_id)
    volumes.remove(tx, volume_id)


def not_deleted(tx: Tx, volume_id: str) -> None:
    """There are no words for this among Cinder's messages to users."""
    volumes.change(tx, volume_id, status=VolumeStatus.ERROR_DELETING)
    for one in snapshots.of_volume(tx, volume_id):
        snapshots.change(tx, one.id, status=SnapshotStatus.ERROR_DELETING)
    found = volumes.find(tx, volume_id)
    group_progress.failed(tx, found.group_id if found is not None else None)


def snapshot_made(
    cloud: Cloud, tx: Tx, snapshot_id: str, request_id: str, *, told: str = events.SNAPSHOT_CREATE
) -> None:
    found = snapshots.find(tx, snapshot_id)
    if found is not None and found.status == SnapshotStatus.CREATING:
        now = snapshots.changed(tx, found, status=SnapshotStatus.AVAILABLE, progress=100)
        news.this_snapshot(cloud, tx, told, events.END, now, request_id)


def snapshot_failed(
    tx: Tx, snapshot_id: str, request_id: str, action: str, detail: str, status: SnapshotStatus
) -> None:
    found = snapshots.find(tx, snapshot_id)
    if found is not None and found.status in _SNAPSHOT_BUSY:
        if found.status != SnapshotStatus.CREATING and status == SnapshotStatus.ERROR:
            return
        snapshots.change(tx, snapshot_id, status=status)
        messages.tell(tx, found.project_id, request_id, "VOLUME_SNAPSHOT", snapshot_id, action, detail)
        if status == SnapshotStatus.ERROR_DELETING:
            group_progress.snapshot_not_deleted(tx, found)


def snapshot_deleted(cloud: Cloud, tx: Tx, snapshot_id: str, request_id: str) -> None:
    found = snapshots.find(tx, snapshot_id)
    if found is not None:
        news.this_snapshot(cloud, tx, events.SNAPSHOT_DELETE, events.END, found, request_id, deleted=True)
    snapshots.remove(tx, snapshot_id)
    if found is not None:
        group_progress.snapshot_deleted(cloud, tx, found, request_id)
