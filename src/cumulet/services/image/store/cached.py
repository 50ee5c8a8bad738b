# SPDX-License-Identifier: Apache-2.0
"""Copies of images that machines keep at hand, in the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.image.tables import cached
from cumulet.services.image.types import Cached, CacheState


def find(source: Source, image_id: str, node: str) -> Cached | None:
    return sql.find(source, cached, Cached, image_id=image_id, node=node)


def of_node(source: Source, node: str, state: CacheState) -> list[Cached]:
    """A machine's copies, or what it is to fetch, that which was not wanted for longest first."""
    query = select(cached).where(cached.c.node == node, cached.c.state == state)
    return sql.rows(source, query.order_by(cached.c.accessed_at, cached.c.image_id), Cached)


def nodes(source: Source, image_id: str) -> list[str]:
    """The machines that have a copy."""
    query = select(cached.c.node).where(cached.c.image_id == image_id, cached.c.state == CacheState.CACHED)
    return list(sql.column(source, query.order_by(cached.c.node)))


def add(tx: Tx, new: Cached) -> None:
    sql.add(tx, cached, new)


def change(tx: Tx, image_id: str, node: str, changes: dict[str, Any]) -> bool:
    """Change a row; whether it was there."""
    query = update(cached).where(cached.c.image_id == image_id, cached.c.node == node)
    return sql.execute(tx, query.values(changes)) == 1


def use(tx: Tx, image_id: str, node: str, changes: dict[str, Any]) -> None:
    """Count one more use of a copy."""
    query = update(cached).where(cached.c.image_id == image_id, cached.c.node == node)
    sql.execute(tx, query.values(hits=cached.c.hits + 1, **changes))


def remove(tx: Tx, image_id: str, node: str) -> bool:
    """Forget a copy, or that it is wanted; whether there was one."""
    return sql.execute(tx, delete(cached).where(cached.c.image_id == image_id, cached.c.node == node)) == 1
