# SPDX-License-Identifier: Apache-2.0
"""What log-ins leave behind, in the database."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.tables import account
from cumulet.services.identity.types import Account


def find(source: Source, user_id: str) -> Account:
    """The user's row; an empty one where there was no log-in yet."""
    return sql.find(source, account, Account, user_id=user_id) or Account(user_id, 0, None, None)


def find_these(source: Source, user_ids: Iterable[str]) -> dict[str, Account]:
    query = select(account).where(sql.any_of(account.c.user_id, user_ids))
    return {one.user_id: one for one in sql.rows(source, query, Account)}


def save(tx: Tx, changed: Account) -> None:
    """Store the row in the place of an earlier one."""
    remove(tx, changed.user_id)
    sql.add(tx, account, changed)


def remove(tx: Tx, user_id: str) -> None:
    sql.execute(tx, delete(account).where(account.c.user_id == user_id))
