# SPDX-License-Identifier: Apache-2.0
"""Trunks and their subports."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table

from cumulet.services.network.tables.base import metadata, tail

trunk = Table(
    "network_trunk",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("port_id", String(36), ForeignKey("network_port.id", ondelete="CASCADE"), nullable=False),
    Column("admin_state_up", Boolean, nullable=False),
    Column("status", String(16), nullable=False),
    *tail(),
    Index("network_trunk_port", "port_id", unique=True),
    Index("network_trunk_project", "project_id"),
)

subport = Table(
    "network_subport",
    metadata,
    Column("port_id", String(36), ForeignKey("network_port.id", ondelete="CASCADE"), primary_key=True),
    Column("trunk_id", String(36), ForeignKey("network_trunk.id", ondelete="CASCADE"), nullable=False),
    Column("segmentation_type", String(32), nullable=False),
    Column("segmentation_id", Integer, nullable=False),
    Index("network_subport_segment", "trunk_id", "segmentation_type", "segmentation_id", unique=True),
)
