# SPDX-License-Identifier: Apache-2.0
"""Rows of the tokens by which consoles are opened."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.compute.tables import console_token
from cumulet.services.compute.types import ConsoleToken


def add(tx: Tx, new: ConsoleToken) -> None:
    sql.add(tx, console_token, new)


def find(source: Source, hashed: str) -> ConsoleToken | None:
    return sql.row(source, select(console_token).where(console_token.c.hash == hashed), ConsoleToken)


def use(tx: Tx, hashed: str, most: int, now: datetime) -> bool:
    """Count one more use; False where the token is not there, has expired, or was used `most` times."""
    alive = (console_token.c.expires_at > now, console_token.c.uses < most)
    change = update(console_token).where(console_token.c.hash == hashed, *alive)
    return bool(sql.execute(tx, change.values(uses=console_token.c.uses + 1)))


def remove_of(tx: Tx, server_id: str) -> None:
    sql.execute(tx, delete(console_token).where(console_token.c.server_id == server_id))


def remove_expired(tx: Tx, now: datetime) -> int:
    """How many there were."""
    return sql.execute(tx, delete(console_token).where(console_token.c.expires_at <= now))
