# SPDX-License-Identifier: Apache-2.0
"""Access lists in the database."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.key_manager.tables import acl, acl_user
from cumulet.services.key_manager.types import Acl, AclUser


def find(source: Source, owner_id: str) -> Acl | None:
    return sql.find(source, acl, Acl, owner_id=owner_id)


def users(source: Source, owner_id: str) -> list[str]:
    query = select(acl_user.c.user_id).where(acl_user.c.owner_id == owner_id)
    return sql.column(source, query.order_by(acl_user.c.user_id))


def owners(source: Source) -> list[str]:
    return sql.column(source, select(acl.c.owner_id))


def add(tx: Tx, new: Acl) -> None:
    sql.add(tx, acl, new)


def change(tx: Tx, new: Acl) -> None:
    values = {"project_access": new.project_access, "updated_at": new.updated_at}
    sql.execute(tx, update(acl).where(acl.c.owner_id == new.owner_id).values(values))


def set_users(tx: Tx, owner_id: str, user_ids: Iterable[str]) -> None:
    sql.execute(tx, delete(acl_user).where(acl_user.c.owner_id == owner_id))
    sql.add(tx, acl_user, *(AclUser(owner_id, user_id) for user_id in sorted(set(user_ids))))


def remove(tx: Tx, *owner_ids: str) -> None:
    sql.execute(tx, delete(acl).where(sql.any_of(acl.c.owner_id, owner_ids)))
