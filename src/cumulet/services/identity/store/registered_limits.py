# SPDX-License-Identifier: Apache-2.0
"""Registered limits in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.store.filters import Filter, apply
from cumulet.services.identity.tables import registered_limit as table
from cumulet.services.identity.types import RegisteredLimit


def find(source: Source, limit_id: str) -> RegisteredLimit | None:
    return sql.find(source, table, RegisteredLimit, id=limit_id)


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[RegisteredLimit]:
    return sql.rows(source, apply(select(table).order_by(table.c.id), table, filters), RegisteredLimit)


def add(tx: Tx, new: RegisteredLimit) -> None:
    sql.add(tx, table, new)


def change(tx: Tx, limit_id: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(table).where(table.c.id == limit_id).values(changes))


def remove(tx: Tx, limit_id: str) -> None:
    sql.execute(tx, delete(table).where(table.c.id == limit_id))
