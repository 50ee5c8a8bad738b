# SPDX-License-Identifier: Apache-2.0
"""What makes tokens void before their time, in the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import delete, insert, or_, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.tables import epoch, revocation
from cumulet.services.identity.types import Revocation

_EPOCH = select(epoch.c.value).where(epoch.c.id == 1)


def find_all(source: Source, since: datetime | None = None) -> list[Revocation]:
    """All revocations, or those made at `since` or later."""
    query = select(revocation).order_by(revocation.c.revoked_at, revocation.c.id)
    if since is not None:
        query = query.where(revocation.c.revoked_at >= since)
    return sql.rows(source, query, Revocation)


def touching(source: Source, named: Mapping[str, Iterable[str]]) -> list[Revocation]:
    """The revocations that name any of these, by column (`{"user_id": ["..."]}`)."""
    any_named = or_(*(sql.any_of(revocation.c[name], values) for name, values in named.items() if values))
    return sql.rows(source, select(revocation).where(any_named), Revocation)


def add(tx: Tx, *new: Revocation) -> None:
    sql.add(tx, revocation, *new)


def forget(tx: Tx, before: datetime) -> int:
    """Remove what was revoked before that time; the number of rows."""
    return sql.execute(tx, delete(revocation).where(revocation.c.revoked_at < before))


def epoch_now(source: Source) -> int:
    """The epoch; 0 before the first change."""
    return int(sql.quick(source, _EPOCH) or 0)


def next_epoch(tx: Tx) -> None:
    """Let the epoch grow: whatever was concluded from tokens before has to be concluded anew."""
    if not sql.execute(tx, update(epoch).where(epoch.c.id == 1).values(value=epoch.c.value + 1)):
        sql.execute(tx, insert(epoch).values(id=1, value=1))
