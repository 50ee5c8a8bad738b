# SPDX-License-Identifier: Apache-2.0
"""The further agents of hosts, and what was said of them."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, ForeignKey, Index, String, Table

from cumulet.services.network.tables.base import metadata

host_agent = Table(
    "network_host_agent",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("agent_id", String(36), ForeignKey("network_agent.id", ondelete="CASCADE"), nullable=False),
    Column("agent_type", String(32), nullable=False),
    Column("admin_state_up", Boolean, nullable=False),
    Column("description", String(255)),
    Column("created_at", DateTime, nullable=False),
    Index("network_host_agent_kind", "agent_id", "agent_type", unique=True),
)

dhcp_choice = Table(
    "network_dhcp_choice",
    metadata,
    Column("network_id", String(36), ForeignKey("network_network.id", ondelete="CASCADE"), primary_key=True),
    Column("agent_id", String(36), ForeignKey("network_host_agent.id", ondelete="CASCADE"), primary_key=True),
    Column("hosted", Boolean, nullable=False),
    Index("network_dhcp_choice_agent", "agent_id"),
)
