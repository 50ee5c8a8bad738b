# SPDX-License-Identifier: Apache-2.0
"""What the service's tables have in common."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, DateTime, Integer, MetaData, Text

from cumulet.kernel.db.sql import Json

metadata = MetaData()


def tail() -> list[Column[Any]]:
    """What most resources end in; a Column belongs to one table, so each gets its own."""
    return [Column("description", Text, nullable=False), Column("tags", Json, nullable=False), *revision()]


def revision() -> list[Column[Any]]:
    """How often and when a row changed."""
    return [
        Column("revision_number", Integer, nullable=False),
        Column("created_at", DateTime, nullable=False),
        Column("updated_at", DateTime, nullable=False),
    ]
