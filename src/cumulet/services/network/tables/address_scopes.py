# SPDX-License-Identifier: Apache-2.0
"""Address scopes."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, Index, Integer, String, Table

from cumulet.services.network.tables.base import metadata

address_scope = Table(
    "network_address_scope",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("ip_version", Integer, nullable=False),
    Column("shared", Boolean, nullable=False),
    Column("granted", Boolean, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Index("network_address_scope_project", "project_id"),
)
