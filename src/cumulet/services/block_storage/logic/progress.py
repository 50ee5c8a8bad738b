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
from cumulet.services.block_storage.logic import messages, news
from cumulet.services.block_storage.store import attachments, snapshots, transfers, volumes
from cumulet.services.block_storage.types import AttachStatus, Snapshot, SnapshotStatus, Volume, VolumeStatus

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


def placed(tx: Tx, volume_id: str, host: str) -> None:
    volumes.change(tx, volume_id, host=host)


def made(cloud: Cloud, tx: Tx, volume_id: str, request_id: str) -> None:
    """The content is there. A volume that is being deleted meanwhile stays so."""
    found = volumes.find(tx, volume_id)
    if found is not None and found.status == VolumeStatus.CREATING:
        volumes.change(tx, volume_id, status=VolumeStatus.AVAILABLE)
        news.volume(cloud, tx, events.CREATE, events.END, volume_id, request_id)


def not_made(tx: Tx, volume_id: str, request_id: str, detail: str) -> None:
    found = volumes.find(tx, volume_id)
    if found is not None and found.status == VolumeStatus.CREATING:
        volumes.change(tx, volume_id, status=VolumeStatus.ERROR)
        messages.tell(tx, found.project_id, request_id, "VOLUME", volume_id, messages.VOLUME_CREATE, detail)


def extended(cloud: Cloud, tx: Tx, volume_id: str, size: int, request_id: str) -> None:
    """The disk is `size` GiB large."""
    found = volumes.find(tx, volume_id)
    if found is not None:
        values: dict[str, Any] = {"size": max(size, found.size), "extending_to": None}
        if found.status == VolumeStatus.EXTENDING:
            values["status"] = found.previous_status or VolumeStatus.AVAILABLE
        volumes.change(tx, volume_id, **values)
        news.volume(cloud, tx, events.RESIZE, events.END, volume_id, request_id)


def not_extended(tx: Tx, volume_id: str, request_id: str) -> None:
    found = volumes.find(tx, volume_id)
    if found is None:
        return
    if found.status == VolumeStatus.EXTENDING:
        volumes.change(tx, volume_id, status=VolumeStatus.ERROR_EXTENDING)
        detail = messages.DRIVER_FAILED_EXTEND
        messages.tell(tx, found.project_id, request_id, "VOLUME", volume_id, messages.EXTEND, detail)
    volumes.change(tx, volume_id, extending_to=None)


def uploaded(tx: Tx, volume_id: str) -> None:
    """The image is made, or never will be: the volume is what it was before."""
    found = volumes.find(tx, volume_id)
    if found is not None and found.status == VolumeStatus.UPLOADING:
        volumes.change(tx, volume_id, status=found.previous_status or VolumeStatus.AVAILABLE)


def deleted(cloud: Cloud, tx: Tx, volume_id: str, request_id: str) -> None:
    """Nothing of the volume and its snapshots is left."""
    for one in snapshots.of_volume(tx, volume_id):
        snapshot_deleted(cloud, tx, one.id, request_id)
    attachments.remove_all(tx, volume_id)
    transfers.remove_of_volume(tx, volume_id)
    news.volume(cloud, tx, events.DELETE, events.END, volume_id, request_id)
    volumes.remove(tx, volume_id)


def not_deleted(tx: Tx, volume_id: str, request_id: str) -> None:
    found = volumes.find(tx, volume_id)
    if found is None:
        return
    volumes.change(tx, volume_id, status=VolumeStatus.ERROR_DELETING)
    for one in snapshots.of_volume(tx, volume_id):
        snapshots.change(tx, one.id, status=SnapshotStatus.ERROR_DELETING)
    detail = messages.DRIVER_FAILED_DELETE
    messages.tell(tx, found.project_id, request_id, "VOLUME", volume_id, messages.VOLUME_DELETE, detail)


def snapshot_made(cloud: Cloud, tx: Tx, snapshot_id: str, request_id: str) -> None:
    found = snapshots.find(tx, snapshot_id)
    if found is not None and found.status == SnapshotStatus.CREATING:
        snapshots.change(tx, snapshot_id, status=SnapshotStatus.AVAILABLE, progress=100)
        news.snapshot(cloud, tx, events.SNAPSHOT_CREATE, events.END, snapshot_id, request_id)


def snapshot_failed(tx: Tx, snapshot_id: str, request_id: str, action: str, status: SnapshotStatus) -> None:
    found = snapshots.find(tx, snapshot_id)
    if found is not None and found.status in (SnapshotStatus.CREATING, SnapshotStatus.DELETING):
        if found.status == SnapshotStatus.DELETING and status == SnapshotStatus.ERROR:
            return
        snapshots.change(tx, snapshot_id, status=status)
        messages.tell(tx, found.project_id, request_id, "VOLUME_SNAPSHOT", snapshot_id, action, messages.UNKNOWN)


def snapshot_deleted(cloud: Cloud, tx: Tx, snapshot_id: str, request_id: str) -> None:
    news.snapshot(cloud, tx, events.SNAPSHOT_DELETE, events.END, snapshot_id, request_id, deleted=True)
    snapshots.remove(tx, snapshot_id)
