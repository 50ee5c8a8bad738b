# SPDX-License-Identifier: Apache-2.0
"""Address groups."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, String, Table, Text

from cumulet.kernel.db.sql import Json
from cumulet.services.network.tables.base import metadata, revision

address_group = Table(
    "network_address_group",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("addresses", Json, nullable=False),
    Column("description", Text, nullable=False),
    *revision(),
    Column("shared", Boolean, nullable=False),
    Column("granted", Boolean, nullable=False),
    Index("network_address_group_project", "project_id"),
)
