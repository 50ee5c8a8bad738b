# SPDX-License-Identifier: Apache-2.0
"""NDP proxies of routers."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text

from cumulet.services.network.tables.base import metadata, revision

ndp_proxy = Table(
    "network_ndp_proxy",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("router_id", String(36), ForeignKey("network_router.id", ondelete="CASCADE"), nullable=False),
    Column("port_id", String(36), ForeignKey("network_port.id", ondelete="CASCADE"), nullable=False),
    Column("ip_address", String(64), nullable=False),
    Column("description", Text, nullable=False),
    *revision(),
    Index("network_ndp_proxy_address", "router_id", "ip_address", unique=True),
    Index("network_ndp_proxy_port", "port_id"),
    Index("network_ndp_proxy_project", "project_id"),
)
