# SPDX-License-Identifier: Apache-2.0
"""Request tokens (OAuth 1) in the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.tables import request_token as table
from cumulet.services.identity.types import RequestToken


def find(source: Source, token_id: str) -> RequestToken | None:
    return sql.find(source, table, RequestToken, id=token_id)


def add(tx: Tx, new: RequestToken) -> None:
    sql.add(tx, table, new)


def change(tx: Tx, token_id: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(table).where(table.c.id == token_id).values(changes))


def remove(tx: Tx, token_id: str) -> bool:
    """Whether there was one."""
    return sql.execute(tx, delete(table).where(table.c.id == token_id)) > 0


def remove_ended(tx: Tx, now: datetime) -> None:
    sql.execute(tx, delete(table).where(table.c.expires_at < now))
