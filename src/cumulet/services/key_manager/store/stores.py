# SPDX-License-Identifier: Apache-2.0
"""Which secret store each project prefers."""

from __future__ import annotations

from sqlalchemy import delete, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.key_manager.tables import preferred_store
from cumulet.services.key_manager.types import PreferredStore


def preferred(source: Source, project_id: str) -> str | None:
    found: str | None = sql.scalar(
        source, select(preferred_store.c.store_id).where(preferred_store.c.project_id == project_id)
    )
    return found


def prefer(tx: Tx, project_id: str, store_id: str) -> None:
    remove(tx, project_id)
    sql.add(tx, preferred_store, PreferredStore(project_id, store_id))


def remove(tx: Tx, project_id: str) -> bool:
    return sql.execute(tx, delete(preferred_store).where(preferred_store.c.project_id == project_id)) == 1
