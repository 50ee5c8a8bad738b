# SPDX-License-Identifier: Apache-2.0
"""Block storage's own words: rows, statuses and their allowed transitions, and what a host is told of a volume.

Sizes in rows are GiB, sizes sent to hosts are bytes. Times are naive UTC.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

GIB = 1 << 30


class VolumeStatus(enum.StrEnum):
    """What a volume is, in Cinder's words (`cinder.objects.fields.VolumeStatus`), as far as they occur here."""

    CREATING = "creating"
    AVAILABLE = "available"
    RESERVED = "reserved"
    ATTACHING = "attaching"
    IN_USE = "in-use"
    DETACHING = "detaching"
    DELETING = "deleting"
    DOWNLOADING = "downloading"
    UPLOADING = "uploading"
    EXTENDING = "extending"
    AWAITING_TRANSFER = "awaiting-transfer"
    MAINTENANCE = "maintenance"
    ERROR = "error"
    ERROR_DELETING = "error_deleting"
    ERROR_EXTENDING = "error_extending"


class SnapshotStatus(enum.StrEnum):
    """What a snapshot is."""

    CREATING = "creating"
    AVAILABLE = "available"
    DELETING = "deleting"
    ERROR = "error"
    ERROR_DELETING = "error_deleting"


class AttachStatus(enum.StrEnum):
    """What an attachment is."""

    RESERVED = "reserved"
    ATTACHING = "attaching"
    ATTACHED = "attached"
    DETACHED = "detached"
    ERROR_ATTACHING = "error_attaching"
    ERROR_DETACHING = "error_detaching"


_V = VolumeStatus

# From which statuses an action may begin.
VOLUME_ACTIONS: dict[str, frozenset[VolumeStatus]] = {
    "delete": frozenset({_V.AVAILABLE, _V.ERROR, _V.ERROR_EXTENDING, _V.ERROR_DELETING}),
    "force_delete": frozenset(VolumeStatus),
    "reserve": frozenset({_V.AVAILABLE}),
    "unreserve": frozenset({_V.RESERVED, _V.ATTACHING}),
    "attach": frozenset({_V.AVAILABLE, _V.ATTACHING, _V.RESERVED}),
    "begin_detaching": frozenset({_V.IN_USE}),
    "roll_detaching": frozenset({_V.DETACHING}),
    "extend": frozenset({_V.AVAILABLE}),
    "extend_attached": frozenset({_V.AVAILABLE, _V.IN_USE}),
    "snapshot": frozenset({_V.AVAILABLE}),
    "snapshot_forced": frozenset({_V.AVAILABLE, _V.IN_USE}),
    "clone": frozenset({_V.AVAILABLE, _V.IN_USE}),
    "update_readonly": frozenset({_V.AVAILABLE}),
    "transfer": frozenset({_V.AVAILABLE}),
    "retype": frozenset({_V.AVAILABLE, _V.IN_USE}),
    "upload": frozenset({_V.AVAILABLE}),
    "upload_forced": frozenset({_V.AVAILABLE, _V.IN_USE}),
}
SNAPSHOT_ACTIONS: dict[str, frozenset[SnapshotStatus]] = {
    "delete": frozenset({SnapshotStatus.AVAILABLE, SnapshotStatus.ERROR, SnapshotStatus.ERROR_DELETING}),
    "restore": frozenset({SnapshotStatus.AVAILABLE}),
}
# Statuses of a volume in which some saga owns it.
VOLUME_BUSY = frozenset({_V.CREATING, _V.DOWNLOADING, _V.UPLOADING, _V.DELETING, _V.EXTENDING})


class Volume(msgspec.Struct):
    """A volume. `previous_status` is what `roll_detaching` and the end of an extension go back to.

    `extending_to` is the size that an extension under way will end with, which counts against the quota already.
    `read_only` is None until somebody sets it. `image_metadata` is None for a volume that no image stands behind.
    `generation` counts the attachments ever made. `host` keeps the bytes, "" until it is chosen. `multiattach` says
    that several servers may have it at once. `migration_status` is None unless an administrator has set it.
    """

    id: str
    project_id: str
    user_id: str
    name: str | None
    description: str | None
    size: int
    status: str
    previous_status: str | None
    extending_to: int | None
    bootable: bool
    read_only: bool | None
    volume_type_id: str
    availability_zone: str
    host: str
    snapshot_id: str | None
    source_volume_id: str | None
    image_id: str | None
    image_metadata: dict[str, str] | None
    metadata: dict[str, str]
    generation: int
    created_at: datetime
    updated_at: datetime | None
    multiattach: bool = False
    migration_status: str | None = None


class Attachment(msgspec.Struct):
    """A claim on a volume by a server (or by a host, where `server_id` is None).

    `managed` says that compute made it, and compute alone may end it.
    """

    id: str
    volume_id: str
    project_id: str
    server_id: str | None
    host: str | None
    device: str | None
    status: str
    mode: str | None
    connector: dict[str, Any] | None
    generation: int
    managed: bool
    created_at: datetime
    attached_at: datetime | None
    detached_at: datetime | None


class Snapshot(msgspec.Struct):
    """A copy of a volume at one moment, on the volume's host; `progress` in percent."""

    id: str
    volume_id: str
    project_id: str
    user_id: str
    name: str | None
    description: str | None
    size: int
    status: str
    progress: int
    volume_type_id: str
    host: str
    metadata: dict[str, str]
    created_at: datetime
    updated_at: datetime | None


class VolumeType(msgspec.Struct):
    """A kind of volume."""

    id: str
    name: str
    description: str | None
    is_public: bool
    extra_specs: dict[str, str]
    created_at: datetime
    updated_at: datetime | None


class TypeAccess(msgspec.Struct):
    """A project that may use a type that is not public."""

    volume_type_id: str
    project_id: str


class DefaultType(msgspec.Struct):
    """The type that a project's volumes are of where none is named."""

    project_id: str
    volume_type_id: str


class Transfer(msgspec.Struct):
    """A volume offered to whoever has the key, of which only a salted hash is kept."""

    id: str
    volume_id: str
    project_id: str
    name: str | None
    salt: str
    key_hash: str
    no_snapshots: bool
    created_at: datetime


class QuotaLimit(msgspec.Struct):
    """A limit that differs from the default: of a project, or of a quota class (`project_id` is `class:<name>`)."""

    project_id: str
    resource: str
    limit: int


class Backend(msgspec.Struct):
    """A host's volume service: what it last said of itself (`report`, as `Stats`) and when."""

    host: str
    availability_zone: str
    disabled: bool
    disabled_reason: str | None
    report: dict[str, Any]
    created_at: datetime
    heard_at: datetime


class Message(msgspec.Struct):
    """What a user is told of work that failed after its request was answered."""

    id: str
    project_id: str
    request_id: str
    resource_type: str
    resource_id: str
    action: str
    detail: str
    level: str
    created_at: datetime
    expires_at: datetime


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list is wanted: behind the row `marker`, in the order of `sort` (column, descending or not)."""

    limit: int = 1000
    offset: int = 0
    marker: str | None = None
    sort: tuple[tuple[str, bool], ...] = (("created_at", True),)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of volumes is narrowed to.

    `exact` are columns and their values. `like` is a part of the name. `created` and `updated` are bounds: the
    operator (gt, gte, eq, neq, lt, lte) and the moment. `project_id` None leaves it to who is asking.
    """

    everywhere: bool = False
    project_id: str | None = None
    exact: Mapping[str, Any] = {}
    like: str | None = None
    metadata: Mapping[str, str] = {}
    image_metadata: Mapping[str, str] = {}
    created: tuple[tuple[str, datetime], ...] = ()
    updated: tuple[tuple[str, datetime], ...] = ()


class VolumeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a host is told to make: `size` in bytes, and at most one source.

    `image_format` is the format that the image declares; nothing is ever probed, since the content is a guest's.
    `source_generation` is that of an attachment of the source (0: there is none).
    """

    id: str
    size: int
    image_id: str | None = None
    image_format: str = "raw"
    snapshot_id: str | None = None
    source_volume_id: str | None = None
    source_generation: int = 0


class SnapshotSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a host is told to copy: `attached` says whether a server may have the volume open.

    `generation` is that of the attachment by which it has.
    """

    id: str
    volume_id: str
    attached: bool = False
    generation: int = 0


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """A back end's room, in bytes. `provisioned` is what its volumes promise, `allocated` what they take."""

    total: int
    free: int
    provisioned: int
    allocated: int
