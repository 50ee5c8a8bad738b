# SPDX-License-Identifier: Apache-2.0
"""Groups of volumes, their types and their snapshots: rows, statuses, and what a host is told of a snapshot of many."""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec

from cumulet.services.block_storage.types import SnapshotSpec


class GroupStatus(enum.StrEnum):
    """What a group or its snapshot is, in Cinder's words; an administrator may set others."""

    CREATING = "creating"
    AVAILABLE = "available"
    DELETING = "deleting"
    ERROR = "error"


# From which statuses a group, or a snapshot of one, may be deleted.
DELETABLE = frozenset({GroupStatus.AVAILABLE, GroupStatus.ERROR})
# Statuses in which some saga owns it.
GROUP_BUSY = frozenset({GroupStatus.CREATING, GroupStatus.DELETING})


class GroupType(msgspec.Struct):
    """A kind of group. One that is not public is for administrators."""

    id: str
    name: str
    description: str | None
    is_public: bool
    group_specs: dict[str, str | None]
    created_at: datetime
    updated_at: datetime | None


class Group(msgspec.Struct):
    """Volumes that belong together, on one `backend` of one `host` ("" until they are chosen).

    `volume_types` are the ids of the types that its volumes may have. At most one of `group_snapshot_id` and
    `source_group_id` says what it was made of.
    """

    id: str
    project_id: str
    user_id: str
    name: str | None
    description: str | None
    status: str
    group_type_id: str
    volume_types: list[str]
    availability_zone: str
    host: str
    backend: str
    group_snapshot_id: str | None
    source_group_id: str | None
    created_at: datetime
    updated_at: datetime | None


class GroupSnapshot(msgspec.Struct):
    """Snapshots of all volumes of a group, as of one moment."""

    id: str
    group_id: str
    project_id: str
    user_id: str
    name: str | None
    description: str | None
    status: str
    group_type_id: str
    created_at: datetime
    updated_at: datetime | None


class GroupSnapshotSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a host is told to copy on the named back end, all as of one and the same moment."""

    backend: str = ""
    snapshots: list[SnapshotSpec]
