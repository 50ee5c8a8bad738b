# SPDX-License-Identifier: Apache-2.0
"""Group types, groups and group snapshots."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, Index, String, Table, Text

from cumulet.kernel.db.sql import Json
from cumulet.services.block_storage.tables.base import metadata

group_type = Table(
    "block_storage_group_type",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("description", Text),
    Column("is_public", Boolean, nullable=False),
    Column("group_specs", Json, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime),
)

group = Table(
    "block_storage_group",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("name", String(255)),
    Column("description", Text),
    Column("status", String(32), nullable=False),
    Column("group_type_id", String(36), nullable=False),
    Column("volume_types", Json, nullable=False),
    Column("availability_zone", String(255), nullable=False),
    Column("host", String(255), nullable=False),
    Column("backend", String(255), nullable=False),
    Column("group_snapshot_id", String(36)),
    Column("source_group_id", String(36)),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime),
    Index("block_storage_group_project", "project_id", "created_at"),
)

group_snapshot = Table(
    "block_storage_group_snapshot",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("group_id", String(36), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("name", String(255)),
    Column("description", Text),
    Column("status", String(32), nullable=False),
    Column("group_type_id", String(36), nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime),
    Index("block_storage_group_snapshot_project", "project_id", "created_at"),
    Index("block_storage_group_snapshot_group", "group_id"),
)
