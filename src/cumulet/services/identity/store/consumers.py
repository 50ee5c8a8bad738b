# SPDX-License-Identifier: Apache-2.0
"""Consumers (OAuth 1) in the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.tables import consumer as table
from cumulet.services.identity.types import Consumer


def find(source: Source, consumer_id: str) -> Consumer | None:
    return sql.find(source, table, Consumer, id=consumer_id)


def find_all(source: Source) -> list[Consumer]:
    return sql.rows(source, select(table).order_by(table.c.id), Consumer)


def add(tx: Tx, new: Consumer) -> None:
    sql.add(tx, table, new)


def change(tx: Tx, consumer_id: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(table).where(table.c.id == consumer_id).values(changes))


def remove(tx: Tx, consumer_id: str) -> None:
    sql.execute(tx, delete(table).where(table.c.id == consumer_id))
