# SPDX-License-Identifier: Apache-2.0
"""The access rules that users keep for their application credentials, in the database."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.store.filters import Filter, apply
from cumulet.services.identity.tables import access_rule as table
from cumulet.services.identity.types import AccessRule


def find(source: Source, rule_id: str) -> AccessRule | None:
    return sql.find(source, table, AccessRule, id=rule_id)


def find_alike(source: Source, rule: AccessRule) -> AccessRule | None:
    """The user's rule of the same words."""
    return sql.find(
        source, table, AccessRule, user_id=rule.user_id, service=rule.service, path=rule.path, method=rule.method
    )


def find_these(source: Source, rule_ids: Iterable[str]) -> list[AccessRule]:
    return sql.rows(source, select(table).where(sql.any_of(table.c.id, rule_ids)).order_by(table.c.id), AccessRule)


def of_user(source: Source, user_id: str, filters: Iterable[Filter] = ()) -> list[AccessRule]:
    query = select(table).where(table.c.user_id == user_id).order_by(table.c.id)
    return sql.rows(source, apply(query, table, filters), AccessRule)


def add(tx: Tx, new: AccessRule) -> None:
    sql.add(tx, table, new)


def remove(tx: Tx, rule_id: str) -> None:
    sql.execute(tx, delete(table).where(table.c.id == rule_id))
