# SPDX-License-Identifier: Apache-2.0
"""QoS specs."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, String, Table

from cumulet.kernel.db.sql import Json
from cumulet.services.block_storage.tables.base import metadata

qos_specs = Table(
    "block_storage_qos_specs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("consumer", String(16), nullable=False),
    Column("specs", Json, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime),
)
