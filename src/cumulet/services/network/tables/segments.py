# SPDX-License-Identifier: Apache-2.0
"""What carries networks."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text

from cumulet.services.network.tables.base import metadata, revision

segment = Table(
    "network_segment",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("network_id", String(36), ForeignKey("network_network.id", ondelete="CASCADE"), nullable=False),
    Column("network_type", String(32), nullable=False),
    Column("physical_network", String(64), nullable=False),
    Column("segmentation_id", BigInteger),
    Column("position", Integer, nullable=False),
    Column("name", String(255)),
    Column("description", Text, nullable=False),
    *revision(),
    Index("network_segment_number", "network_type", "physical_network", "segmentation_id", unique=True),
    Index("network_segment_network", "network_id"),
)
