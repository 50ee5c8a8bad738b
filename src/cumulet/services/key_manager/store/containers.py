# SPDX-License-Identifier: Apache-2.0
"""Containers and their references in the database."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, func, select, update

from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.key_manager.store import pages
from cumulet.services.key_manager.tables import container, container_secret
from cumulet.services.key_manager.types import Container, ContainerSecret, Page


def find(source: Source, container_id: str) -> Container | None:
    return sql.find(source, container, Container, id=container_id)


def find_all(
    source: Source, ctx: Context, name: str | None, kind: str | None, wanted: Page
) -> tuple[list[Container], int]:
    """The containers of the caller's project; `name` is a pattern with `%` and `_`."""
    query = select(container)
    if name:
        query = query.where(pages.like(container.c.name, name))
    if kind:
        query = query.where(container.c.type == kind)
    query = sql.visible(query.order_by(container.c.created_at, container.c.id), ctx, container.c.project_id)
    return pages.page(source, query, wanted, Container)


def count(source: Source, project_id: str) -> int:
    return pages.count(source, select(container.c.id).where(container.c.project_id == project_id))


def all_ids(source: Source) -> set[str]:
    return set(sql.column(source, select(container.c.id)))


def add(tx: Tx, new: Container, references: Iterable[ContainerSecret]) -> None:
    sql.add(tx, container, new)
    sql.add(tx, container_secret, *references)


def touch(tx: Tx, container_id: str, now: datetime) -> None:
    sql.execute(tx, update(container).where(container.c.id == container_id).values(updated_at=now))


def remove(tx: Tx, container_id: str) -> bool:
    return sql.execute(tx, delete(container).where(container.c.id == container_id)) == 1


def references_of(source: Source, container_ids: Iterable[str]) -> dict[str, list[ContainerSecret]]:
    """The references of several containers in their order, by the container's id."""
    query = select(container_secret).where(sql.any_of(container_secret.c.container_id, container_ids))
    found: dict[str, list[ContainerSecret]] = {}
    for row in sql.rows(source, query.order_by(container_secret.c.position), ContainerSecret):
        found.setdefault(row.container_id, []).append(row)
    return found


def next_position(source: Source, container_id: str) -> int:
    last = select(func.max(container_secret.c.position)).where(container_secret.c.container_id == container_id)
    return (sql.scalar(source, last) or 0) + 1


def add_reference(tx: Tx, new: ContainerSecret) -> None:
    sql.add(tx, container_secret, new)


def remove_reference(tx: Tx, container_id: str, position: int) -> None:
    same = (container_secret.c.container_id == container_id, container_secret.c.position == position)
    sql.execute(tx, delete(container_secret).where(*same))
