# SPDX-License-Identifier: Apache-2.0
"""Orders in the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import String, Text, delete, func, select, type_coerce, update

from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.key_manager.store import pages
from cumulet.services.key_manager.tables import order
from cumulet.services.key_manager.types import Order, OrderStatus, Page


def find(source: Source, order_id: str) -> Order | None:
    return sql.find(source, order, Order, id=order_id) if order_id else None


def find_visible(source: Source, ctx: Context, order_id: str) -> Order | None:
    """An order of the caller's project."""
    return sql.row(source, sql.visible(select(order).where(order.c.id == order_id), ctx, order.c.project_id), Order)


def find_all(source: Source, ctx: Context, meta: str | None, wanted: Page) -> tuple[list[Order], int]:
    """The orders of the caller's project, of those with `meta` among the values of what was asked for."""
    query = select(order)
    if meta:
        # LIKE folds case on one database and not on another.
        whole = type_coerce(order.c.meta, Text)
        query = query.where(func.replace(whole, orjson.dumps(meta).decode(), "", type_=String) != whole)
    query = sql.visible(query.order_by(order.c.created_at, order.c.id), ctx, order.c.project_id)
    return pages.page(source, query, wanted, Order)


def count(source: Source, project_id: str) -> int:
    return pages.count(source, select(order.c.id).where(order.c.project_id == project_id))


def pending(source: Source) -> list[str]:
    """The ids of the orders that have not been carried out."""
    return sql.column(source, select(order.c.id).where(order.c.status == OrderStatus.PENDING))


def add(tx: Tx, new: Order) -> None:
    sql.add(tx, order, new)


def change(tx: Tx, order_id: str, changes: Mapping[str, Any]) -> None:
    sql.execute(tx, update(order).where(order.c.id == order_id).values(changes))


def remove(tx: Tx, order_id: str) -> bool:
    return sql.execute(tx, delete(order).where(order.c.id == order_id)) == 1
