# SPDX-License-Identifier: Apache-2.0
"""QoS policies and their rules."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table

from cumulet.services.network.tables.base import metadata, revision, tail

qos_policy = Table(
    "network_qos_policy",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("shared", Boolean, nullable=False),
    Column("granted", Boolean, nullable=False),
    Column("is_default", Boolean, nullable=False),
    *tail(),
    Index("network_qos_policy_project", "project_id"),
)

qos_rule = Table(
    "network_qos_rule",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("qos_policy_id", String(36), ForeignKey("network_qos_policy.id", ondelete="CASCADE"), nullable=False),
    Column("type", String(32), nullable=False),
    Column("direction", String(8)),
    Column("max_kbps", Integer),
    Column("max_burst_kbps", Integer),
    Column("min_kbps", Integer),
    Column("max_kpps", Integer),
    Column("max_burst_kpps", Integer),
    Column("min_kpps", Integer),
    Column("dscp_mark", Integer),
    *revision(),
    Index("network_qos_rule_policy", "qos_policy_id"),
)
