# SPDX-License-Identifier: Apache-2.0
"""Metering labels, their rules, and which reports have been taken."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, String, Table, Text

from cumulet.services.network.tables.base import metadata, revision

metering_label = Table(
    "network_metering_label",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("shared", Boolean, nullable=False),
    Column("description", Text, nullable=False),
    *revision(),
    Index("network_metering_label_project", "project_id"),
)

metering_label_rule = Table(
    "network_metering_label_rule",
    metadata,
    Column("id", String(36), primary_key=True),
    Column(
        "metering_label_id", String(36), ForeignKey("network_metering_label.id", ondelete="CASCADE"), nullable=False
    ),
    Column("direction", String(10), nullable=False),
    Column("excluded", Boolean, nullable=False),
    Column("remote_ip_prefix", String(64)),
    Column("source_ip_prefix", String(64)),
    Column("destination_ip_prefix", String(64)),
    *revision(),
    Index("network_metering_label_rule_label", "metering_label_id"),
)

meter_report = Table(
    "network_meter_report",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("batch", String(36), nullable=False),
)
