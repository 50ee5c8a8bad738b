# SPDX-License-Identifier: Apache-2.0
"""Port forwardings of floating IPs."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text

from cumulet.services.network.tables.base import metadata, revision

port_forwarding = Table(
    "network_port_forwarding",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("floatingip_id", String(36), ForeignKey("network_floating_ip.id", ondelete="CASCADE"), nullable=False),
    Column("internal_port_id", String(36), ForeignKey("network_port.id", ondelete="CASCADE"), nullable=False),
    Column("internal_ip_address", String(64), nullable=False),
    Column("protocol", String(40), nullable=False),
    Column("external_low", Integer, nullable=False),
    Column("external_high", Integer, nullable=False),
    Column("internal_low", Integer, nullable=False),
    Column("internal_high", Integer, nullable=False),
    Column("description", Text, nullable=False),
    *revision(),
    Index("network_port_forwarding_outside", "floatingip_id", "protocol", "external_low", unique=True),
    Index("network_port_forwarding_port", "internal_port_id"),
)
