# SPDX-License-Identifier: Apache-2.0
"""Routers on several hosts."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table

from cumulet.services.network.tables.base import metadata

router_place = Table(
    "network_router_place",
    metadata,
    Column("router_id", String(36), ForeignKey("network_router.id", ondelete="CASCADE"), primary_key=True),
    Column("host", String(255), primary_key=True),
    Column("rank", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Index("network_router_place_host", "host"),
)

router_reach = Table(
    "network_router_reach",
    metadata,
    Column("network_id", String(36), ForeignKey("network_network.id", ondelete="CASCADE"), primary_key=True),
    Column("router_id", String(36), ForeignKey("network_router.id", ondelete="CASCADE"), primary_key=True),
    Index("network_router_reach_router", "router_id"),
)

ha_network = Table(
    "network_ha_network",
    metadata,
    Column("project_id", String(255), primary_key=True),
    Column("network_id", String(36), ForeignKey("network_network.id", ondelete="CASCADE"), nullable=False),
    Index("network_ha_network_network", "network_id"),
)
