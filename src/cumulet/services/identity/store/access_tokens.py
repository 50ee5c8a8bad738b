# SPDX-License-Identifier: Apache-2.0
"""Access tokens (OAuth 1) in the database."""

from __future__ import annotations

from sqlalchemy import delete, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.tables import access_token as table
from cumulet.services.identity.types import AccessToken


def find(source: Source, token_id: str) -> AccessToken | None:
    return sql.find(source, table, AccessToken, id=token_id)


def of_user(source: Source, user_id: str) -> list[AccessToken]:
    """What a user has lent."""
    return sql.rows(source, select(table).where(table.c.user_id == user_id).order_by(table.c.id), AccessToken)


def add(tx: Tx, new: AccessToken) -> None:
    sql.add(tx, table, new)


def remove(tx: Tx, token_id: str) -> None:
    sql.execute(tx, delete(table).where(table.c.id == token_id))


def remove_of_user(tx: Tx, user_id: str) -> None:
    sql.execute(tx, delete(table).where(table.c.user_id == user_id))
