# SPDX-License-Identifier: Apache-2.0
"""Volumes, attachments, snapshots, types, transfers, quotas, back ends and messages."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, Index, Integer, String, Table, Text, false

from cumulet.kernel.db.sql import Json
from cumulet.services.block_storage.tables.base import metadata

volume = Table(
    "block_storage_volume",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("name", String(255)),
    Column("description", Text),
    Column("size", Integer, nullable=False),
    Column("status", String(32), nullable=False),
    Column("previous_status", String(32)),
    Column("extending_to", Integer),
    Column("bootable", Boolean, nullable=False),
    Column("read_only", Boolean),
    Column("volume_type_id", String(36), nullable=False),
    Column("availability_zone", String(255), nullable=False),
    Column("host", String(255), nullable=False),
    Column("snapshot_id", String(36)),
    Column("source_volume_id", String(36)),
    Column("image_id", String(36)),
    Column("image_metadata", Json),
    Column("metadata", Json, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime),
    Column("multiattach", Boolean, nullable=False),
    Column("migration_status", String(32)),
    Column("backend", String(255), nullable=False, server_default=""),
    Column("encryption_key_id", String(64)),
    Column("group_id", String(36)),
    Index("block_storage_volume_project", "project_id", "created_at"),
    Index("block_storage_volume_group", "group_id"),
    Index("block_storage_volume_place", "host", "backend", "size", "extending_to"),
)

attachment = Table(
    "block_storage_attachment",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("volume_id", String(36), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("server_id", String(36)),
    Column("host", String(255)),
    Column("device", String(255)),
    Column("status", String(32), nullable=False),
    Column("mode", String(8)),
    Column("connector", Json),
    Column("generation", Integer, nullable=False),
    Column("managed", Boolean, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("attached_at", DateTime),
    Column("detached_at", DateTime),
    Column("key_host", String(255)),
    Index("block_storage_attachment_volume", "volume_id"),
    Index("block_storage_attachment_server", "server_id"),
)

snapshot = Table(
    "block_storage_snapshot",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("volume_id", String(36), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("name", String(255)),
    Column("description", Text),
    Column("size", Integer, nullable=False),
    Column("status", String(32), nullable=False),
    Column("progress", Integer, nullable=False),
    Column("volume_type_id", String(36), nullable=False),
    Column("host", String(255), nullable=False),
    Column("metadata", Json, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime),
    Column("backend", String(255), nullable=False, server_default=""),
    Column("encryption_key_id", String(64)),
    Column("group_snapshot_id", String(36)),
    Index("block_storage_snapshot_project", "project_id", "created_at"),
    Index("block_storage_snapshot_volume", "volume_id"),
    Index("block_storage_snapshot_group", "group_snapshot_id"),
)

volume_type = Table(
    "block_storage_volume_type",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("description", Text),
    Column("is_public", Boolean, nullable=False),
    Column("extra_specs", Json, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime),
    Column("qos_specs_id", String(36)),
    Column("encryption", Json),
)

type_access = Table(
    "block_storage_type_access",
    metadata,
    Column("volume_type_id", String(36), primary_key=True),
    Column("project_id", String(64), primary_key=True),
)

default_type = Table(
    "block_storage_default_type",
    metadata,
    Column("project_id", String(64), primary_key=True),
    Column("volume_type_id", String(36), nullable=False),
)

admission = Table(
    "block_storage_admission",
    metadata,
    Column("volume_id", String(36), primary_key=True),
    Column("initiator", String(255), primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("created_at", DateTime, nullable=False),
)

transfer = Table(
    "block_storage_transfer",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("volume_id", String(36), nullable=False, unique=True),
    Column("project_id", String(64), nullable=False),
    Column("name", String(255)),
    Column("salt", String(64), nullable=False),
    Column("key_hash", String(64), nullable=False),
    Column("no_snapshots", Boolean, nullable=False),
    Column("created_at", DateTime, nullable=False),
)

quota_limit = Table(
    "block_storage_quota_limit",
    metadata,
    Column("project_id", String(300), primary_key=True),
    Column("resource", String(300), primary_key=True),
    Column("limit", Integer, nullable=False),
)

backend = Table(
    "block_storage_backend",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("availability_zone", String(255), nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("disabled_reason", String(255)),
    Column("report", Json, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("heard_at", DateTime, nullable=False),
    Column("name", String(255), primary_key=True, server_default=""),
    Column("frozen", Boolean, nullable=False, server_default=false()),
)

message = Table(
    "block_storage_message",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("resource_type", String(32), nullable=False),
    Column("resource_id", String(36), nullable=False),
    Column("action", String(8), nullable=False),
    Column("detail", String(8), nullable=False),
    Column("level", String(16), nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("expires_at", DateTime, nullable=False),
)
