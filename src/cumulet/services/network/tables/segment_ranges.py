# SPDX-License-Identifier: Apache-2.0
"""Ranges of numbers of segments."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, String, Table

from cumulet.services.network.tables.base import metadata, tail

segment_range = Table(
    "network_segment_range",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255)),
    Column("name", String(255), nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("shared", Boolean, nullable=False),
    Column("network_type", String(32), nullable=False),
    Column("physical_network", String(64), nullable=False),
    Column("minimum", BigInteger, nullable=False),
    Column("maximum", BigInteger, nullable=False),
    *tail(),
    Index("network_segment_range_type", "network_type"),
)
