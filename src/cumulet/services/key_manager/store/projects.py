# SPDX-License-Identifier: Apache-2.0
"""What a project has here, over all tables."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select, union, union_all, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.key_manager.tables import (
    acl,
    container,
    key,
    order,
    payload,
    preferred_store,
    project_quota,
    secret,
)

_OWNERS = (secret, container, order)  # what access lists and payloads may belong to


def holding(source: Source) -> list[str]:
    """The projects that have something here. Limits do not count: they may be set for a project that is yet to come."""
    held = [select(table.c.project_id) for table in (*_OWNERS, preferred_store)]
    sealing = select(key.c.project_id).where(key.c.retired_at.is_(None))
    every = union(*held, sealing).subquery()
    return sql.column(source, select(every.c.project_id).order_by(every.c.project_id))


def remove(tx: Tx, project_id: str, now: datetime) -> None:
    """Remove all that a project has. Its keys are retired: what is being sealed this moment still opens."""
    owned = union_all(*(select(table.c.id).where(table.c.project_id == project_id) for table in _OWNERS)).subquery()
    owners = select(owned.c.id)
    sql.execute(tx, delete(payload).where(payload.c.id.in_(owners)))
    sql.execute(tx, delete(acl).where(acl.c.owner_id.in_(owners)))
    for table in (order, container, secret, preferred_store, project_quota):
        sql.execute(tx, delete(table).where(table.c.project_id == project_id))
    sealing = (key.c.project_id == project_id, key.c.retired_at.is_(None))
    sql.execute(tx, update(key).where(*sealing).values(retired_at=now))
