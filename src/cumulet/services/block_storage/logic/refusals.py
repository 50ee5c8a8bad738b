# SPDX-License-Identifier: Apache-2.0
"""How the service says no: Cinder's words for the cases that occur in several places."""

from __future__ import annotations

from collections.abc import Iterable

from cumulet.kernel.errors import Conflict, Invalid, NotFound, OverQuota


def volume_not_found(volume_id: str) -> NotFound:
    return NotFound(f"Volume {volume_id} could not be found.", code="VolumeNotFound")


def snapshot_not_found(snapshot_id: str) -> NotFound:
    return NotFound(f"Snapshot {snapshot_id} could not be found.", code="SnapshotNotFound")


def backup_not_found(backup_id: str) -> NotFound:
    return NotFound(f"Backup {backup_id} could not be found.", code="BackupNotFound")


def attachment_not_found(attachment_id: str) -> NotFound:
    return NotFound(
        f"Volume attachment could not be found with filter: attachment_id = {attachment_id}.",
        code="VolumeAttachmentNotFound",
    )


def type_not_found(type_id: str) -> NotFound:
    return NotFound(f"Volume type {type_id} could not be found.", code="VolumeTypeNotFound")


def group_not_found(group_id: str) -> NotFound:
    return NotFound(f"Group {group_id} could not be found.", code="GroupNotFound")


def group_snapshot_not_found(group_snapshot_id: str) -> NotFound:
    return NotFound(f"GroupSnapshot {group_snapshot_id} could not be found.", code="GroupSnapshotNotFound")


def invalid_group(reason: str) -> Invalid:
    return Invalid(f"Invalid Group: {reason}", code="InvalidGroup")


def invalid_volume(reason: str) -> Invalid:
    return Invalid(f"Invalid volume: {reason}", code="InvalidVolume")


def invalid_snapshot(reason: str) -> Invalid:
    return Invalid(f"Invalid snapshot: {reason}", code="InvalidSnapshot")


def invalid_backup(reason: str) -> Invalid:
    return Invalid(f"Invalid backup: {reason}", code="InvalidBackup")


def invalid_input(reason: str) -> Invalid:
    return Invalid(f"Invalid input received: {reason}", code="InvalidInput")


def used_by_server(server_id: str) -> Conflict:
    return Conflict(
        f"ConflictNovaUsingAttachment: Detach volume from instance {server_id} using the Compute API",
        code="ConflictNovaUsingAttachment",
    )


def over_quota(message: str, code: str) -> OverQuota:
    return OverQuota(message, code=code, headers={"Retry-After": "0"})


def words(values: Iterable[str]) -> str:
    """`available, error or reserved`"""
    *front, last = values
    return f"{', '.join(front)} or {last}" if front else last
