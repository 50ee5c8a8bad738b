# SPDX-License-Identifier: Apache-2.0
"""Bindings of ports to further hosts."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table

from cumulet.kernel.db.sql import Json
from cumulet.services.network.tables.base import metadata

port_binding = Table(
    "network_port_binding",
    metadata,
    Column("port_id", String(36), ForeignKey("network_port.id", ondelete="CASCADE"), primary_key=True),
    Column("host", String(255), primary_key=True),
    Column("vnic_type", String(64), nullable=False),
    Column("profile", Json, nullable=False),
    Column("vif_type", String(64), nullable=False),
    Column("vif_details", Json, nullable=False),
)
