# SPDX-License-Identifier: Apache-2.0
"""When passwords expire, and those that users had before, in the database."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.tables import former_password, password
from cumulet.services.identity.types import FormerPassword

FEW = 200  # ids that are asked for by name


def expiries(source: Source, user_ids: Iterable[str]) -> dict[str, datetime]:
    """When the passwords of those of these users expire whose passwords do."""
    wanted = list(user_ids)
    query = select(password.c.user_id, password.c.expires_at).where(password.c.expires_at.is_not(None))
    if len(wanted) <= FEW:
        query = query.where(sql.any_of(password.c.user_id, wanted))
    return dict(sql.tuples(source, query))


def former(source: Source, user_id: str, count: int) -> list[FormerPassword]:
    """The last `count` passwords before the one of now, the newest first."""
    query = select(former_password).where(former_password.c.user_id == user_id)
    query = query.order_by(former_password.c.created_at.desc(), former_password.c.id).limit(count)
    return sql.rows(source, query, FormerPassword)


def add_former(tx: Tx, old: FormerPassword, keep: int) -> None:
    """Remember a password; of all only the last `keep`."""
    if keep:
        sql.add(tx, former_password, old)
    kept = [one.id for one in former(tx, old.user_id, keep)]
    stale = former_password.c.id.not_in(kept) if kept else former_password.c.id.is_not(None)
    sql.execute(tx, delete(former_password).where(former_password.c.user_id == old.user_id, stale))


def replace_hash(tx: Tx, user_id: str, before: str, after: str) -> None:
    """Put another hash of the same password in the place of `before`, where that still stands."""
    same = (password.c.user_id == user_id, password.c.hash == before)
    sql.execute(tx, update(password).where(*same).values(hash=after))
