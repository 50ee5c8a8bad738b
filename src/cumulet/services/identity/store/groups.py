# SPDX-License-Identifier: Apache-2.0
"""Groups and their members in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, delete, select, update

from cumulet.kernel import clock
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.store.filters import Filter, apply
from cumulet.services.identity.tables import expiring_membership, group, membership, user
from cumulet.services.identity.types import Group, Membership, User


def find(source: Source, group_id: str) -> Group | None:
    return sql.find(source, group, Group, id=group_id)


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[Group]:
    return sql.rows(source, apply(select(group).order_by(group.c.id), group, filters), Group)


def find_by_name(source: Source, name: str, domain_id: str) -> Group | None:
    return sql.row(source, select(group).where(group.c.name == name, group.c.domain_id == domain_id), Group)


def add(tx: Tx, new: Group) -> None:
    sql.add(tx, group, new)


def change(tx: Tx, group_id: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(group).where(group.c.id == group_id).values(changes))


def remove(tx: Tx, group_id: str) -> None:
    sql.execute(tx, delete(group).where(group.c.id == group_id))


def ids_of_user(source: Source, user_id: str) -> list[str]:
    """The ids of the groups that a user is in, for good or for a while."""
    return sql.column(source, _of_user(user_id))


def of_user(source: Source, user_id: str, filters: Iterable[Filter] = ()) -> list[Group]:
    """The groups that a user is in, for good or for a while."""
    query = select(group).where(group.c.id.in_(_of_user(user_id))).order_by(group.c.id)
    return sql.rows(source, apply(query, group, filters), Group)


def _of_user(user_id: str) -> Select[Any]:
    lent = expiring_membership.c
    alive = select(lent.group_id).where(lent.user_id == user_id, lent.expires_at > clock.utcnow())
    both = select(membership.c.group_id).where(membership.c.user_id == user_id).union(alive).subquery()
    return select(both.c.group_id)


def members(source: Source, group_id: str, filters: Iterable[Filter] = ()) -> list[User]:
    """The users in a group."""
    query = select(user).join(membership, membership.c.user_id == user.c.id)
    query = query.where(membership.c.group_id == group_id).order_by(user.c.id)
    return sql.rows(source, apply(query, user, filters), User)


def has_member(source: Source, group_id: str, user_id: str) -> bool:
    query = select(membership.c.user_id).where(membership.c.group_id == group_id, membership.c.user_id == user_id)
    return sql.scalar(source, query) is not None


def join(tx: Tx, group_id: str, user_id: str) -> None:
    sql.add(tx, membership, Membership(group_id, user_id))


def leave(tx: Tx, group_id: str, user_id: str) -> None:
    here = (membership.c.group_id == group_id) & (membership.c.user_id == user_id)
    sql.execute(tx, delete(membership).where(here))
