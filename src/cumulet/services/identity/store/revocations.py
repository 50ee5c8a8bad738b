# SPDX-License-Identifier: Apache-2.0
"""What makes tokens void before their time, in the database."""

from __future__ import annotations

from collections.abc import Iterable
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


def touching(
    source: Source, *, user_id: str, project_id: str | None, domain_ids: Iterable[str], audit_id: str, chain_id: str
) -> list[Revocation]:
    """The revocations that name any of these."""
    named = or_(
        revocation.c.user_id == user_id,
        revocation.c.project_id == project_id,
        sql.any_of(revocation.c.domain_id, domain_ids),
        revocation.c.audit_id == audit_id,
        revocation.c.audit_chain_id == chain_id,
    )
    return sql.rows(source, select(revocation).where(named), Revocation)


def add(tx: Tx, *new: Revocation) -> None:
    sql.add(tx, revocation, *new)


def forget(tx: Tx, before: datetime) -> int:
    """Remove what was revoked before that time; the number of rows."""
    return sql.execute(tx, delete(revocation).where(revocation.c.revoked_at < before))


def epoch_now(source: Source) -> int:
    """The epoch; 0 before the first change."""
    return int(sql.scalar(source, _EPOCH) or 0)


def next_epoch(tx: Tx) -> None:
    """Let the epoch grow: whatever was concluded from tokens before has to be concluded anew."""
    if not sql.execute(tx, update(epoch).where(epoch.c.id == 1).values(value=epoch.c.value + 1)):
        sql.execute(tx, insert(epoch).values(id=1, value=1))
