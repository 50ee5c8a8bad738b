# SPDX-License-Identifier: Apache-2.0
"""Packet logs; they go with the security group or the port that they name."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, String, Table, Text

from cumulet.services.network.tables.base import metadata, revision

packet_log = Table(
    "network_packet_log",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("resource_type", String(36), nullable=False),
    Column("resource_id", String(36), ForeignKey("network_security_group.id", ondelete="CASCADE")),
    Column("event", String(16), nullable=False),
    Column("target_id", String(36), ForeignKey("network_port.id", ondelete="CASCADE")),
    Column("enabled", Boolean, nullable=False),
    Column("description", Text, nullable=False),
    *revision(),
    Index("network_packet_log_project", "project_id"),
    Index("network_packet_log_resource", "resource_id"),
    Index("network_packet_log_target", "target_id"),
)
