# SPDX-License-Identifier: Apache-2.0
"""Local IPs, and the ports that they mean on their hosts."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text

from cumulet.services.network.tables.base import metadata, revision

local_ip = Table(
    "network_local_ip",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("local_port_id", String(36), ForeignKey("network_port.id", ondelete="CASCADE"), nullable=False),
    Column("network_id", String(36), nullable=False),
    Column("local_ip_address", String(64), nullable=False),
    Column("ip_mode", String(32), nullable=False),
    Column("description", Text, nullable=False),
    *revision(),
    Index("network_local_ip_project", "project_id"),
    Index("network_local_ip_port", "local_port_id"),
)

local_ip_association = Table(
    "network_local_ip_association",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("local_ip_id", String(36), ForeignKey("network_local_ip.id", ondelete="CASCADE"), nullable=False),
    Column("fixed_port_id", String(36), ForeignKey("network_port.id", ondelete="CASCADE"), nullable=False),
    Column("fixed_ip", String(64), nullable=False),
    *revision(),
    Index("network_local_ip_association_same", "local_ip_id", "fixed_port_id", unique=True),
    Index("network_local_ip_association_port", "fixed_port_id"),
)
