# SPDX-License-Identifier: Apache-2.0
"""The rows of the key manager: secrets and what seals them, containers, consumers, orders, access lists, quotas.

Times are naive UTC. Words and states are Barbican's.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec


class SecretType(StrEnum):
    """What a secret is; OPAQUE where nobody said."""

    SYMMETRIC = "symmetric"
    PASSPHRASE = "passphrase"  # noqa: S105 - a kind, not a secret
    PRIVATE = "private"
    PUBLIC = "public"
    CERTIFICATE = "certificate"
    OPAQUE = "opaque"


class ContainerType(StrEnum):
    """What a container holds; DSA comes of orders alone."""

    GENERIC = "generic"
    RSA = "rsa"
    DSA = "dsa"
    CERTIFICATE = "certificate"


class OrderType(StrEnum):
    KEY = "key"
    ASYMMETRIC = "asymmetric"


class OrderStatus(StrEnum):
    """PENDING until its saga has ended, then ACTIVE or ERROR for good."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    ERROR = "ERROR"


ACTIVE = "ACTIVE"  # the one status of everything but orders


class Key(msgspec.Struct, frozen=True):
    """A key-encryption key of a project; its bytes are in the vault.

    The one without `retired_at` seals; the others still open what they have sealed.
    """

    id: str
    project_id: str
    created_at: datetime
    retired_at: datetime | None


class Payload(msgspec.Struct, frozen=True):
    """Sealed bytes of the secret (or, until it is carried out, of the order) with the same id."""

    id: str
    key_id: str
    sealed: bytes


class Secret(msgspec.Struct, frozen=True):
    """A secret without its payload; `content_type` is None until there is one."""

    id: str
    project_id: str
    creator_id: str
    name: str | None
    secret_type: str
    expiration: datetime | None
    algorithm: str | None
    bit_length: int | None
    mode: str | None
    content_type: str | None
    created_at: datetime
    updated_at: datetime


class SecretMetadatum(msgspec.Struct, frozen=True):
    """A word of the user's own about a secret."""

    secret_id: str
    key: str
    value: str


class SecretConsumer(msgspec.Struct, frozen=True):
    """A resource of some service that needs a secret; `project_id` is that of who registered it."""

    id: str
    secret_id: str
    project_id: str
    service: str
    resource_type: str
    resource_id: str
    created_at: datetime
    updated_at: datetime


class Container(msgspec.Struct, frozen=True):
    """Named references to secrets that belong together."""

    id: str
    project_id: str
    creator_id: str
    name: str | None
    type: str
    created_at: datetime
    updated_at: datetime


class ContainerSecret(msgspec.Struct, frozen=True):
    """One reference of a container; they are shown in the order of `position`."""

    container_id: str
    position: int
    secret_id: str
    name: str | None


class ContainerConsumer(msgspec.Struct, frozen=True):
    """Somebody who needs a container; `project_id` is that of who registered it."""

    id: str
    container_id: str
    project_id: str
    name: str
    url: str
    created_at: datetime
    updated_at: datetime


class Order(msgspec.Struct, frozen=True):
    """A wish for a key or a pair of keys.

    `meta` is what was asked for, without the passphrase, which is a Payload under the order's id until it is a secret.
    """

    id: str
    project_id: str
    creator_id: str
    type: str
    status: str
    meta: dict[str, Any]
    secret_id: str | None
    container_id: str | None
    error_status_code: str | None
    error_reason: str | None
    created_at: datetime
    updated_at: datetime


class Acl(msgspec.Struct, frozen=True):
    """Who may read a secret or a container (`owner_id`) beside its creator: its project, or its listed users alone."""

    owner_id: str
    project_access: bool
    created_at: datetime
    updated_at: datetime


class AclUser(msgspec.Struct, frozen=True):
    """A user whom an Acl lets read."""

    owner_id: str
    user_id: str


class ProjectQuota(msgspec.Struct, frozen=True):
    """A project's own limits; None: the default, below 0: none."""

    project_id: str
    secrets: int | None
    orders: int | None
    containers: int | None
    consumers: int | None
    cas: int | None
    created_at: datetime


class PreferredStore(msgspec.Struct, frozen=True):
    """The secret store that a project has chosen."""

    project_id: str
    store_id: str


class Page(msgspec.Struct, frozen=True):
    """A part of a list."""

    offset: int
    limit: int
