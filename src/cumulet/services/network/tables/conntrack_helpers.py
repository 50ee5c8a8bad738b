# SPDX-License-Identifier: Apache-2.0
"""Conntrack helpers of routers."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table

from cumulet.services.network.tables.base import metadata, revision

conntrack_helper = Table(
    "network_conntrack_helper",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("router_id", String(36), ForeignKey("network_router.id", ondelete="CASCADE"), nullable=False),
    Column("protocol", String(40), nullable=False),
    Column("port", Integer, nullable=False),
    Column("helper", String(64), nullable=False),
    *revision(),
    Index("network_conntrack_helper_same", "router_id", "protocol", "port", "helper", unique=True),
)
