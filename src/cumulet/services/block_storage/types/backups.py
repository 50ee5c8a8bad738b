# SPDX-License-Identifier: Apache-2.0
"""Backups: rows, statuses, and what hosts are told of them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from cumulet.services.block_storage.types import Page

# What the records of a backup say of where it is, in the manner of the names of Cinder's drivers.
FILES = "cinder.backup.drivers.cumulet.FilesBackupDriver"
S3 = "cinder.backup.drivers.cumulet.S3BackupDriver"
SWIFT = "cinder.backup.drivers.cumulet.SwiftBackupDriver"


class BackupStatus(enum.StrEnum):
    """What a backup is, in Cinder's words (`cinder.objects.fields.BackupStatus`)."""

    CREATING = "creating"
    AVAILABLE = "available"
    RESTORING = "restoring"
    DELETING = "deleting"
    ERROR = "error"
    ERROR_DELETING = "error_deleting"


# From which statuses an action may begin.
BACKUP_ACTIONS: dict[str, frozenset[BackupStatus]] = {
    "delete": frozenset({BackupStatus.AVAILABLE, BackupStatus.ERROR}),
    "restore": frozenset({BackupStatus.AVAILABLE}),
    "export": frozenset({BackupStatus.AVAILABLE}),
}


class Backup(msgspec.Struct):
    """What a volume, or a snapshot of it, held at `data_timestamp`, in a store.

    `size` in GiB is the volume's. `service_metadata` is the name that it has in the store, below `container`; one that
    was imported keeps the name. `parent_id` is the backup of which it holds but what has changed since. `host` has
    made it. `restore_volume_id` is the volume that it was last restored to. `encryption_key_id` is a key of the
    backup's own, for a volume that is encrypted.
    """

    id: str
    project_id: str
    user_id: str
    name: str | None
    description: str | None
    volume_id: str
    snapshot_id: str | None
    parent_id: str | None
    status: str
    fail_reason: str | None
    size: int
    object_count: int
    container: str | None
    availability_zone: str | None
    host: str
    service: str | None
    service_metadata: str | None
    encryption_key_id: str | None
    restore_volume_id: str | None
    metadata: dict[str, str]
    data_timestamp: datetime
    created_at: datetime
    updated_at: datetime | None


class BackupService(msgspec.Struct):
    """A host's backup service that an administrator has disabled, and why."""

    host: str
    disabled_reason: str | None
    updated_at: datetime


class Wanted(Page, frozen=True, kw_only=True):
    """A part of the list, narrowed: `exact` columns and their values, `like` parts of them, `metadata` pairs."""

    everywhere: bool = False
    exact: Mapping[str, Any] = {}
    like: Mapping[str, str] = {}
    metadata: Mapping[str, str] = {}


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A backup in its store: `name` below `container`."""

    container: str
    name: str


class BackupSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a host is told to put into the store: the content of a snapshot of its own, from part number `part` on.

    With `parent` only blocks that this one has not are stored. `about` is kept beside them (`VolumeWords`). With `drop`
    the snapshot is a copy made for the backup alone, and goes when all is stored.
    """

    stored: Stored
    snapshot_id: str
    volume_id: str
    parent: Stored | None = None
    part: int = 0
    about: dict[str, Any] = {}
    drop: bool = False
    backend: str = ""


class RestoreSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a host is told to restore: a backup to the volume `id` of `size` bytes, from part number `part` on.

    `new` says that the volume has to be made. An `operation` that was done to its end is never done again.
    """

    id: str
    size: int
    stored: Stored
    operation: str
    part: int = 0
    new: bool = False
    backend: str = ""


class VolumeWords(msgspec.Struct, frozen=True, kw_only=True):
    """What is backed up of a volume beside its content."""

    name: str | None = None
    description: str | None = None
    bootable: bool = False
    metadata: dict[str, str] = {}
    image_metadata: dict[str, str] | None = None
    volume_type_id: str = ""
    encryption_key_id: str | None = None
