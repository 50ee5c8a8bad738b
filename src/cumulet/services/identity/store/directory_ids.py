# SPDX-License-Identifier: Apache-2.0
"""Which public id stands for what in an outside directory: the rows that a purge looks at."""

from __future__ import annotations

from sqlalchemy import delete, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.tables import directory_entry
from cumulet.services.identity.types import DirectoryEntry


def find_all(source: Source, **equal: str) -> list[DirectoryEntry]:
    """The entries whose columns hold these values."""
    query = select(directory_entry).order_by(directory_entry.c.id)
    conditions = [directory_entry.c[name] == value for name, value in equal.items()]
    return sql.rows(source, query.where(*conditions), DirectoryEntry)


def remove(tx: Tx, entry_id: str) -> None:
    sql.execute(tx, delete(directory_entry).where(directory_entry.c.id == entry_id))
