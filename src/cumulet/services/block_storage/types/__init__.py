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

from cumulet.services.block_storage.types.encryption import Container

GIB = 1 << 30
NO_ROOM = "NoRoom"  # the code of a back end's refusal that is full


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
    REVERTING = "reverting"
    RETYPING = "retyping"
    MANAGING = "managing"
    ERROR_MANAGING = "error_managing"
    UNMANAGING = "unmanaging"
    ERROR_UNMANAGING = "error_unmanaging"
    BACKING_UP = "backing-up"
    RESTORING_BACKUP = "restoring-backup"
    ERROR = "error"
    ERROR_DELETING = "error_deleting"
    ERROR_EXTENDING = "error_extending"
    ERROR_RESTORING = "error_restoring"


class SnapshotStatus(enum.StrEnum):
    """What a snapshot is."""

    CREATING = "creating"
    AVAILABLE = "available"
    DELETING = "deleting"
    RESTORING = "restoring"
    UNMANAGING = "unmanaging"
    BACKING_UP = "backing-up"
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

# What the migration status of a volume that does not move may be.
_AT_REST = frozenset({None, "deleting", "error", "success"})
# From which statuses an action may begin.
VOLUME_ACTIONS: dict[str, frozenset[VolumeStatus]] = {
    "delete": frozenset({_V.AVAILABLE, _V.ERROR, _V.ERROR_EXTENDING, _V.ERROR_MANAGING, _V.ERROR_RESTORING}),
    "force_delete": frozenset(VolumeStatus),
    "reserve": frozenset({_V.AVAILABLE}),
    "unreserve": frozenset({_V.ATTACHING}),
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
    "revert": frozenset({_V.AVAILABLE}),
    "reimage": frozenset({_V.AVAILABLE, _V.ERROR}),
    "reimage_reserved": frozenset({_V.AVAILABLE, _V.ERROR, _V.RESERVED}),
    "backup": frozenset({_V.AVAILABLE}),
    "backup_forced": frozenset({_V.AVAILABLE, _V.IN_USE}),
    "restore": frozenset({_V.AVAILABLE}),
    "upload": frozenset({_V.AVAILABLE}),
    "upload_forced": frozenset({_V.AVAILABLE, _V.IN_USE}),
}
SNAPSHOT_ACTIONS: dict[str, frozenset[SnapshotStatus]] = {
    "delete": frozenset({SnapshotStatus.AVAILABLE, SnapshotStatus.ERROR}),
    "restore": frozenset({SnapshotStatus.AVAILABLE}),
    "backup": frozenset({SnapshotStatus.AVAILABLE}),
}
# Statuses of a volume in which some saga owns it.
VOLUME_BUSY = frozenset(
    {
        _V.CREATING,
        _V.DOWNLOADING,
        _V.UPLOADING,
        _V.DELETING,
        _V.EXTENDING,
        _V.REVERTING,
        _V.RETYPING,
        _V.MANAGING,
        _V.UNMANAGING,
        _V.RESTORING_BACKUP,
    }
)


class Volume(msgspec.Struct):
    """A volume. `previous_status` is what `roll_detaching` and the end of an extension go back to.

    `extending_to` is the size that an extension under way will end with, which counts against the quota already.
    `read_only` is None until somebody sets it. `image_metadata` is None for a volume that no image stands behind.
    `generation` counts the attachments ever made. `host` keeps the bytes on its `backend`, both "" until they are
    chosen. `multiattach` says that several servers may have it at once. `migration_status` is None for one that never
    moved, unless an administrator has set it.
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
    backend: str = ""
    encryption_key_id: str | None = None
    group_id: str | None = None

    @property
    def is_migrating(self) -> bool:
        """Whether the volume is on its way to another place."""
        return self.migration_status not in _AT_REST

    @property
    def pool(self) -> str:
        """`host@backend#pool`; "" until it is chosen."""
        return pool_name(self.host, self.backend)


class Attachment(msgspec.Struct):
    """A claim on a volume by a server (or by a host, where `server_id` is None).

    `managed` says that compute made it, and compute alone may end it. `key_host` is the host that may ask for the key
    of an encrypted volume.
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
    key_host: str | None = None

    @property
    def by_action(self) -> bool:
        """Whether it is one of `os-attach`, neither compute's nor of the attachments API."""
        return not self.managed and self.connector is None


class Admission(msgspec.Struct):
    """An initiator outside this cloud that opens a volume though nothing attaches it: `os-initialize_connection`."""

    volume_id: str
    initiator: str
    generation: int
    created_at: datetime


class Snapshot(msgspec.Struct):
    """A copy of a volume at one moment, on the volume's back end; `progress` in percent."""

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
    backend: str = ""
    encryption_key_id: str | None = None
    group_snapshot_id: str | None = None


class VolumeType(msgspec.Struct):
    """A kind of volume."""

    id: str
    name: str
    description: str | None
    is_public: bool
    extra_specs: dict[str, str]
    created_at: datetime
    updated_at: datetime | None
    qos_specs_id: str | None = None
    encryption: dict[str, Any] | None = None


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
    """A back end of a host: what the host last said of it (`report`) and when.

    `report` has `stats` (as `Stats`), `capabilities` (as the driver's), `settings` (what the operator says of it, as
    `agent.backends.said`), and `position` in the host's list; of one that hosts share also these `hosts`, with the
    moment when each was heard, its `keeper` and the `term` of that. A `frozen` one makes and changes nothing.
    """

    host: str
    availability_zone: str
    disabled: bool
    disabled_reason: str | None
    report: dict[str, Any]
    created_at: datetime
    heard_at: datetime
    name: str = ""
    frozen: bool = False

    @property
    def hosts(self) -> list[str]:
        """The hosts that have it."""
        return sorted(self.report.get("hosts", ())) if is_shared(self.host) else [self.host]

    @property
    def keeper(self) -> str:
        """The host that is given orders."""
        return str(self.report["keeper"]) if is_shared(self.host) else self.host

    @property
    def full_name(self) -> str:
        """`host@backend`, as Cinder names a volume service."""
        return f"{self.host}@{self.name}"

    @property
    def pool(self) -> str:
        """`host@backend#pool`, as Cinder names the place of a volume: a back end has one pool of its name."""
        return pool_name(self.host, self.name)


def is_shared(host: str) -> bool:
    """Whether a place is called so that is none of one host's, but `KIND:CLUSTER`."""
    return ":" in host


def pool_name(host: str, backend: str) -> str:
    """`host@backend#pool`; the host alone where its back end is not known."""
    return f"{host}@{backend}#{backend}" if backend else host


def is_place_of(place: str, host: str, backend: str) -> bool:
    """Whether `host`, `host@backend` or `host@backend#pool` means this back end."""
    return place in (host, f"{host}@{backend}", pool_name(host, backend))


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

    @property
    def is_first(self) -> bool:
        """Whether it begins with the first row."""
        return self.marker is None and not self.offset


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of volumes is narrowed to.

    `exact` are columns and their values. `like` is a part of the name. `created` and `updated` are bounds: the
    operator (gt, gte, eq, neq, lt, lte) and the moment. `project_id` None leaves it to who is asking. `place` is
    `host`, `host@backend` or `host@backend#pool`.
    """

    everywhere: bool = False
    project_id: str | None = None
    place: str | None = None
    exact: Mapping[str, Any] = {}
    like: str | None = None
    metadata: Mapping[str, str] = {}
    image_metadata: Mapping[str, str] = {}
    created: tuple[tuple[str, datetime], ...] = ()
    updated: tuple[tuple[str, datetime], ...] = ()


class VolumeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a host is told to make on its `backend` (""; the first): `size` in bytes, and at most one source there.

    `image_format` is the format that the image declares; nothing is ever probed, since the content is a guest's.
    `source_generation` is that of an attachment of the source (0: there is none). With a `container` an empty volume or
    an image is put into it; what comes from a volume or a snapshot is in one already.
    """

    id: str
    size: int
    image_id: str | None = None
    image_format: str = "raw"
    snapshot_id: str | None = None
    source_volume_id: str | None = None
    source_generation: int = 0
    backend: str = ""
    container: Container | None = None


class SnapshotSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a host is told to copy: `attached` says whether a server may have the volume open.

    `generation` is that of the attachment by which it has.
    """

    id: str
    volume_id: str
    attached: bool = False
    generation: int = 0
    backend: str = ""


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """A back end's room, in bytes. `provisioned` is what its volumes promise, `allocated` what they take."""

    total: int
    free: int
    provisioned: int
    allocated: int
