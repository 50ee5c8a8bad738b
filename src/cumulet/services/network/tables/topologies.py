# SPDX-License-Identifier: Apache-2.0
"""Auto-allocated topologies."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, String, Table

from cumulet.services.network.tables.base import metadata

topology = Table(
    "network_topology",
    metadata,
    Column("project_id", String(255), primary_key=True),
    Column("network_id", String(36), ForeignKey("network_network.id", ondelete="CASCADE"), nullable=False),
    Column("router_id", String(36), ForeignKey("network_router.id", ondelete="SET NULL")),
    Index("network_topology_network", "network_id"),
    Index("network_topology_router", "router_id"),
)
