# SPDX-License-Identifier: Apache-2.0
"""Flavors and service profiles."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, ForeignKey, Index, String, Table, Text

from cumulet.services.network.tables.base import metadata

flavor = Table(
    "network_flavor",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("description", Text),
    Column("service_type", String(36), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", DateTime, nullable=False),
)

service_profile = Table(
    "network_service_profile",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("description", Text),
    Column("driver", Text, nullable=False),
    Column("metainfo", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", DateTime, nullable=False),
)

flavor_profile = Table(
    "network_flavor_profile",
    metadata,
    Column("flavor_id", String(36), ForeignKey("network_flavor.id", ondelete="CASCADE"), primary_key=True),
    Column("service_profile_id", String(36), ForeignKey("network_service_profile.id"), primary_key=True),
    Column("created_at", DateTime, nullable=False),
    Index("network_flavor_profile_profile", "service_profile_id"),
)
