# SPDX-License-Identifier: Apache-2.0
"""Trusts in the database. Those that have been deleted stay there, and are found by `flush` alone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, or_, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.store.filters import Filter, apply
from cumulet.services.identity.tables import trust as table
from cumulet.services.identity.types import Trust

_LIVING = table.c.deleted_at.is_(None)


def find(source: Source, trust_id: str) -> Trust | None:
    return sql.row(source, select(table).where(table.c.id == trust_id, _LIVING), Trust)


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[Trust]:
    return sql.rows(source, apply(select(table).where(_LIVING).order_by(table.c.id), table, filters), Trust)


def children(source: Source, trust_id: str) -> list[Trust]:
    """The trusts that were made by this one."""
    return find_all(source, [Filter("redelegated_trust_id", trust_id)])


def of_user(source: Source, user_id: str) -> list[Trust]:
    """The trusts that a user has given or been given."""
    mine = or_(table.c.trustor_user_id == user_id, table.c.trustee_user_id == user_id)
    return sql.rows(source, select(table).where(_LIVING, mine), Trust)


def add(tx: Tx, new: Trust) -> None:
    sql.add(tx, table, new)


def use_up(tx: Tx, trust_id: str) -> bool:
    """Take one of a trust's remaining uses, where they are counted; whether there was one."""
    counted = table.c.remaining_uses
    taken = update(table).where(table.c.id == trust_id, _LIVING, counted > 0).values(remaining_uses=counted - 1)
    if sql.execute(tx, taken):
        return True
    endless = select(table.c.id).where(table.c.id == trust_id, _LIVING, counted.is_(None))
    return sql.scalar(tx, endless) is not None


def bury(tx: Tx, trust_ids: Iterable[str], now: datetime) -> None:
    """Delete trusts, so that only their record stays."""
    sql.execute(tx, update(table).where(sql.any_of(table.c.id, trust_ids)).values(deleted_at=now))


def flush(tx: Tx, ended_before: datetime, equal: dict[str, Any]) -> int:
    """Forget the trusts that were deleted, and those that ended before that time; the number of rows."""
    ended = and_(table.c.expires_at.is_not(None), table.c.expires_at < ended_before)
    limits = [table.c[name] == value for name, value in equal.items()]
    return sql.execute(tx, delete(table).where(or_(table.c.deleted_at.is_not(None), ended), *limits))
