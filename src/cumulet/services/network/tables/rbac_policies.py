# SPDX-License-Identifier: Apache-2.0
"""RBAC policies, of all types of objects."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Index, String, Table

from cumulet.services.network.tables.base import metadata

rbac_policy = Table(
    "network_rbac_policy",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("object_type", String(32), nullable=False),
    Column("object_id", String(36), nullable=False),
    Column("action", String(32), nullable=False),
    Column("target_project", String(255), nullable=False),
    Column("created_at", DateTime, nullable=False),
    Index("network_rbac_policy_project", "project_id"),
    Index("network_rbac_policy_target", "target_project"),
    Index("network_rbac_policy_object", "object_id", "action", "target_project", unique=True),
)
