# SPDX-License-Identifier: Apache-2.0
"""Volumes on their way to another back end."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table

from cumulet.services.block_storage.tables.base import metadata

move = Table(
    "block_storage_move",
    metadata,
    Column("volume_id", String(36), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("size", Integer, nullable=False),
    Column("type_id", String(36)),
    Column("multiattach", Boolean),
    Column("host", String(255), nullable=False),
    Column("backend", String(255), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("attached", Boolean, nullable=False),
    Index("block_storage_move_place", "host", "backend", "size"),
    Index("block_storage_move_project", "project_id"),
)
