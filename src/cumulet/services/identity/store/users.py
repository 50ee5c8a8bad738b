# SPDX-License-Identifier: Apache-2.0
"""Users and the hashes of their passwords in the database."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.store.filters import Filter, apply
from cumulet.services.identity.tables import password, user
from cumulet.services.identity.types import Password, User


def find(source: Source, user_id: str) -> User | None:
    return sql.find(source, user, User, id=user_id)


def find_by_name(source: Source, name: str, domain_id: str) -> User | None:
    return sql.row(source, select(user).where(user.c.name == name, user.c.domain_id == domain_id), User)


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[User]:
    return sql.rows(source, apply(select(user).order_by(user.c.id), user, filters), User)


def with_password_ending(source: Source, comparison: str, moment: datetime) -> set[str]:
    """The ids of the users whose password ends before, at or after a moment (lt, lte, gt, gte, eq, neq)."""
    compare = {"lt": lt, "lte": le, "gt": gt, "gte": ge, "eq": eq, "neq": ne}[comparison]
    return set(sql.column(source, select(password.c.user_id).where(compare(password.c.expires_at, moment))))


def add(tx: Tx, new: User) -> None:
    sql.add(tx, user, new)


def change(tx: Tx, user_id: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(user).where(user.c.id == user_id).values(changes))


def remove(tx: Tx, user_id: str) -> None:
    sql.execute(tx, delete(user).where(user.c.id == user_id))


def forget_default_project(tx: Tx, project_id: str) -> None:
    """Take a project that is going away from the users who have it as their default."""
    sql.execute(tx, update(user).where(user.c.default_project_id == project_id).values(default_project_id=None))


def password_of(source: Source, user_id: str) -> Password | None:
    return sql.find(source, password, Password, user_id=user_id)


def set_password(tx: Tx, new: Password) -> None:
    """Store the hash in the place of an earlier one."""
    sql.execute(tx, delete(password).where(password.c.user_id == new.user_id))
    sql.add(tx, password, new)
