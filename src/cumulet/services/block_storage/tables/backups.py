# SPDX-License-Identifier: Apache-2.0
"""Backups, and the services that make them."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Index, Integer, String, Table, Text

from cumulet.kernel.db.sql import Json
from cumulet.services.block_storage.tables.base import metadata

backup = Table(
    "block_storage_backup",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("name", String(255)),
    Column("description", Text),
    Column("volume_id", String(36), nullable=False),
    Column("snapshot_id", String(36)),
    Column("parent_id", String(36)),
    Column("status", String(32), nullable=False),
    Column("fail_reason", String(255)),
    Column("size", Integer, nullable=False),
    Column("object_count", Integer, nullable=False),
    Column("container", String(255)),
    Column("availability_zone", String(255)),
    Column("host", String(255), nullable=False),
    Column("service", String(255)),
    Column("service_metadata", String(255)),
    Column("encryption_key_id", String(36)),
    Column("restore_volume_id", String(36)),
    Column("metadata", Json, nullable=False),
    Column("data_timestamp", DateTime, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime),
    Index("block_storage_backup_project", "project_id", "created_at"),
    Index("block_storage_backup_volume", "volume_id"),
    Index("block_storage_backup_parent", "parent_id"),
)

backup_service = Table(
    "block_storage_backup_service",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("disabled_reason", String(255)),
    Column("updated_at", DateTime, nullable=False),
)
