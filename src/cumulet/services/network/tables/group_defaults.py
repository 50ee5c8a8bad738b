# SPDX-License-Identifier: Apache-2.0
"""What new security groups are made of."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Integer, String, Table, Text

from cumulet.services.network.tables.base import metadata, revision

default_group_rule = Table(
    "network_default_group_rule",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("direction", String(8), nullable=False),
    Column("ethertype", String(8), nullable=False),
    Column("protocol", String(40)),
    Column("port_range_min", Integer),
    Column("port_range_max", Integer),
    Column("remote_ip_prefix", String(64)),
    Column("remote_group_id", String(36)),
    Column("remote_address_group_id", String(36)),
    Column("description", Text, nullable=False),
    Column("used_in_default_sg", Boolean, nullable=False),
    Column("used_in_non_default_sg", Boolean, nullable=False),
    *revision(),
)

default_statefulness = Table(
    "network_default_statefulness",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), unique=True),
    Column("stateful", Boolean, nullable=False),
    *revision(),
)
