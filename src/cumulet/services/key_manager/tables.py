# SPDX-License-Identifier: Apache-2.0
"""The tables of the key manager, columns named and ordered as the fields in `types`.

Payloads stand apart from their secrets, so that lists do not read them.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from cumulet.kernel.db.sql import Json

metadata = MetaData()


def _of(table: str) -> ForeignKey:
    return ForeignKey(f"key_manager_{table}.id", ondelete="CASCADE")


key = Table(
    "key_manager_key",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("retired_at", DateTime),
    Index("key_manager_key_project", "project_id"),
)

payload = Table(
    "key_manager_payload",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("key_id", String(36), ForeignKey("key_manager_key.id"), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Index("key_manager_payload_key", "key_id"),
)

secret = Table(
    "key_manager_secret",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("creator_id", String(64), nullable=False),
    Column("name", String(255)),
    Column("secret_type", String(80), nullable=False),
    Column("expiration", DateTime),
    Column("algorithm", String(255)),
    Column("bit_length", Integer),
    Column("mode", String(255)),
    Column("content_type", String(255)),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime, nullable=False),
    Index("key_manager_secret_project", "project_id", "created_at"),
)

secret_metadatum = Table(
    "key_manager_secret_metadatum",
    metadata,
    Column("secret_id", String(36), _of("secret"), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("value", Text, nullable=False),
)

secret_consumer = Table(
    "key_manager_secret_consumer",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("secret_id", String(36), _of("secret"), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("service", String(255), nullable=False),
    Column("resource_type", String(255), nullable=False),
    Column("resource_id", String(255), nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime, nullable=False),
    UniqueConstraint("secret_id", "service", "resource_type", "resource_id"),
    Index("key_manager_secret_consumer_project", "project_id"),
)

container = Table(
    "key_manager_container",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("creator_id", String(64), nullable=False),
    Column("name", String(255)),
    Column("type", String(20), nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime, nullable=False),
    Index("key_manager_container_project", "project_id", "created_at"),
)

container_secret = Table(
    "key_manager_container_secret",
    metadata,
    Column("container_id", String(36), _of("container"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("secret_id", String(36), _of("secret"), nullable=False),
    Column("name", String(255)),
    Index("key_manager_container_secret_secret", "secret_id"),
)

container_consumer = Table(
    "key_manager_container_consumer",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("container_id", String(36), _of("container"), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("name", String(36), nullable=False),
    Column("url", String(255), nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime, nullable=False),
    UniqueConstraint("container_id", "name", "url"),
    Index("key_manager_container_consumer_project", "project_id"),
)

order = Table(
    "key_manager_order",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("creator_id", String(64), nullable=False),
    Column("type", String(20), nullable=False),
    Column("status", String(20), nullable=False),
    Column("meta", Json, nullable=False),
    Column("secret_id", String(36)),
    Column("container_id", String(36)),
    Column("error_status_code", String(16)),
    Column("error_reason", String(255)),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime, nullable=False),
    Index("key_manager_order_project", "project_id", "created_at"),
)

acl = Table(
    "key_manager_acl",
    metadata,
    Column("owner_id", String(36), primary_key=True),
    Column("project_access", Boolean, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime, nullable=False),
)

acl_user = Table(
    "key_manager_acl_user",
    metadata,
    Column("owner_id", String(36), ForeignKey("key_manager_acl.owner_id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", String(255), primary_key=True),
    Index("key_manager_acl_user_user", "user_id"),
)

project_quota = Table(
    "key_manager_project_quota",
    metadata,
    Column("project_id", String(255), primary_key=True),
    Column("secrets", Integer),
    Column("orders", Integer),
    Column("containers", Integer),
    Column("consumers", Integer),
    Column("cas", Integer),
    Column("created_at", DateTime, nullable=False),
)

preferred_store = Table(
    "key_manager_preferred_store",
    metadata,
    Column("project_id", String(64), primary_key=True),
    Column("store_id", String(36), nullable=False),
)
