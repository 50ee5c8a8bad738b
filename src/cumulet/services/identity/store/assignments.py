# SPDX-License-Identifier: Apache-2.0
"""Who has which role on what, in the database."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, and_, delete, or_, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.tables import assignment
from cumulet.services.identity.types import Actor, Assignment

_ORDER = (*assignment.primary_key.columns,)


def find_all(source: Source, **fields: str | bool | None) -> list[Assignment]:
    """The assignments whose columns have the values in `fields`; None stands for any value."""
    query = select(assignment).where(*_equal(fields)).order_by(*_ORDER)
    return sql.rows(source, query, Assignment)


def of_user(source: Source, user_id: str, group_ids: Iterable[str]) -> list[Assignment]:
    """The user's own assignments and those of these groups."""
    query = select(assignment).where(
        or_(
            and_(assignment.c.actor == Actor.USER, assignment.c.actor_id == user_id),
            and_(assignment.c.actor == Actor.GROUP, sql.any_of(assignment.c.actor_id, group_ids)),
        )
    )
    return sql.rows(source, query.order_by(*_ORDER), Assignment)


def exists(source: Source, wanted: Assignment) -> bool:
    return bool(sql.tuples(source, select(assignment.c.role_id).where(_same(wanted))))


def add(tx: Tx, new: Assignment) -> None:
    """Store an assignment; one that is there already stays as it is."""
    if not exists(tx, new):
        sql.add(tx, assignment, new)


def remove(tx: Tx, old: Assignment) -> bool:
    """Remove one assignment; False where it was not there."""
    return sql.execute(tx, delete(assignment).where(_same(old))) > 0


def remove_all(tx: Tx, **fields: str | bool | None) -> None:
    """Remove the assignments whose columns have the values in `fields`, of which there must be one."""
    conditions = _equal(fields)
    if not conditions:
        raise ValueError("no condition")
    sql.execute(tx, delete(assignment).where(*conditions))


def _equal(fields: dict[str, str | bool | None]) -> list[ColumnElement[bool]]:
    return [assignment.c[name] == value for name, value in fields.items() if value is not None]


def _same(wanted: Assignment) -> ColumnElement[bool]:
    return and_(*(assignment.c[name] == getattr(wanted, name) for name in wanted.__struct_fields__))
