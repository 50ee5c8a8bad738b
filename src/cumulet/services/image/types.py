# SPDX-License-Identifier: Apache-2.0
"""The rows of the image service, the states of an image, and the formats that it may have."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

HASH_ALGORITHM = "sha512"

CONTAINER_FORMATS = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")
DISK_FORMATS = ("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop")
# Properties of this beginning belong to the service itself.
RESERVED_PREFIX = "os_glance"
# The id of the task that an import works on an image by: nobody else may while it is there.
IMPORT_LOCK = "os_glance_import_task"
# Stores, between commas, that an import has yet to fill, and those that it could not.
IMPORTING_TO = "os_glance_importing_to_stores"
FAILED_TO = "os_glance_failed_import"


class ImageStatus(StrEnum):
    """Where an image stands. `uploading` is Glance's word for data that are staged, or wait for their import then."""

    QUEUED = "queued"
    SAVING = "saving"
    UPLOADING = "uploading"
    IMPORTING = "importing"
    ACTIVE = "active"
    DEACTIVATED = "deactivated"


TRANSITIONS = {
    ImageStatus.QUEUED: frozenset({ImageStatus.SAVING, ImageStatus.UPLOADING, ImageStatus.IMPORTING}),
    ImageStatus.SAVING: frozenset({ImageStatus.ACTIVE, ImageStatus.QUEUED}),
    ImageStatus.UPLOADING: frozenset({ImageStatus.IMPORTING, ImageStatus.QUEUED}),
    ImageStatus.IMPORTING: frozenset({ImageStatus.ACTIVE, ImageStatus.QUEUED}),
    ImageStatus.ACTIVE: frozenset({ImageStatus.DEACTIVATED}),
    ImageStatus.DEACTIVATED: frozenset({ImageStatus.ACTIVE}),
}
WITH_DATA = frozenset({ImageStatus.ACTIVE, ImageStatus.DEACTIVATED})


class Visibility(StrEnum):
    """Who sees an image: all, all who ask for it, its members, or its owner alone."""

    PUBLIC = "public"
    COMMUNITY = "community"
    SHARED = "shared"
    PRIVATE = "private"


class MemberStatus(StrEnum):
    """What a member says to an image that is shared with it."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class TaskStatus(StrEnum):
    """How far an import is."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILURE = "failure"


class Image(msgspec.Struct, frozen=True):
    """An image. `size` and `virtual_size` are in bytes, `min_disk` in GiB, `min_ram` in MiB; times are naive UTC.

    `owner` is a project's id, or None. Size and sums are None until there is data. `checksum` is MD5, for old
    clients; `os_hash_value` is what counts.
    """

    id: str
    name: str | None
    owner: str | None
    status: ImageStatus
    visibility: Visibility
    disk_format: str | None
    container_format: str | None
    min_disk: int
    min_ram: int
    protected: bool
    os_hidden: bool
    size: int | None
    virtual_size: int | None
    checksum: str | None
    os_hash_algo: str | None
    os_hash_value: str | None
    created_at: datetime
    updated_at: datetime


class Property(msgspec.Struct, frozen=True):
    """A word that a user, or compute, wrote on an image."""

    image_id: str
    name: str
    value: str


class Tag(msgspec.Struct, frozen=True):
    """One tag of an image."""

    image_id: str
    value: str


class Member(msgspec.Struct, frozen=True):
    """A project with which a shared image is shared."""

    image_id: str
    member_id: str
    status: MemberStatus
    created_at: datetime
    updated_at: datetime


class Task(msgspec.Struct, frozen=True):
    """An import, as the tasks interface shows it. `image_id` is empty where there is no image yet."""

    id: str
    type: str
    status: TaskStatus
    owner: str | None
    image_id: str
    user_id: str
    request_id: str
    input: dict[str, Any]
    result: dict[str, Any] | None
    message: str
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime


class Location(msgspec.Struct, frozen=True):
    """Where an image's data are: in the store of id `store` under the name `key`, an image's own data under its id.

    `position` is its place among the image's locations, from 0. `metadata` is what users wrote beside it.
    """

    image_id: str
    position: int
    store: str
    key: str
    metadata: dict[str, Any]


class CacheState(StrEnum):
    """Whether a machine has its copy of an image, or is to fetch it."""

    QUEUED = "queued"
    CACHED = "cached"


class Cached(msgspec.Struct, frozen=True):
    """A copy of an image's data beside the data process of `node`; `size` in bytes, times are naive UTC."""

    image_id: str
    node: str
    state: CacheState
    size: int
    hits: int
    accessed_at: datetime
    changed_at: datetime


class Record(msgspec.Struct, frozen=True):
    """An image with its words and its tags."""

    image: Image
    properties: dict[str, str]
    tags: list[str]
    locations: list[Location] = []


class Described(msgspec.Struct, frozen=True):
    """What a host must know of an image before it fetches it: `size` in bytes, `sha512` in hexadecimal digits.

    `disk_format` is what it must find the bytes to be (empty: a release that does not tell).
    """

    size: int
    sha512: str
    disk_format: str = ""


class Namespace(msgspec.Struct, frozen=True):
    """A namespace of metadata definitions: words that may be written on things, with their meaning and form.

    `visibility` is `public` or `private` (the owner's project alone); nothing of a `protected` one can be removed.
    """

    id: str
    namespace: str
    display_name: str | None
    description: str | None
    visibility: str
    protected: bool
    owner: str | None
    created_at: datetime
    updated_at: datetime


class MetadefObject(msgspec.Struct, frozen=True):
    """Properties of a namespace that belong together, as JSON schemas by their names."""

    namespace_id: str
    name: str
    description: str | None
    required: list[str]
    properties: dict[str, dict[str, Any]]
    created_at: datetime
    updated_at: datetime


class MetadefProperty(msgspec.Struct, frozen=True):
    """One property of a namespace, as a JSON schema."""

    namespace_id: str
    name: str
    schema: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class MetadefTag(msgspec.Struct, frozen=True):
    """A tag that a namespace proposes."""

    namespace_id: str
    name: str
    created_at: datetime
    updated_at: datetime


class Association(msgspec.Struct, frozen=True):
    """That a namespace is meant for a type of resources, `name`.

    Its properties are written there with `prefix`, among the words that `properties_target` names (a volume's `image`).
    """

    namespace_id: str
    name: str
    prefix: str | None
    properties_target: str | None
    created_at: datetime
    updated_at: datetime


class ResourceType(msgspec.Struct, frozen=True):
    """A type of resources that some namespace was meant for once: `OS::Nova::Flavor`."""

    name: str
    created_at: datetime
    updated_at: datetime
