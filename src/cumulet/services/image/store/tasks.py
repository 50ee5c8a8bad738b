# SPDX-License-Identifier: Apache-2.0
"""Slow work, as tasks, in the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.image.store.pages import paged
from cumulet.services.image.tables import task
from cumulet.services.image.types import Task

# What a row without a value is sorted as, so that a page can begin after it.
_INSTEAD: dict[str, Any] = {"owner": "", "expires_at": datetime.max.replace(microsecond=0)}


def find(source: Source, task_id: str) -> Task | None:
    return sql.find(source, task, Task, id=task_id)


def find_all(
    source: Source,
    filters: dict[str, str],
    now: datetime,
    *,
    order: tuple[str, ...],
    descending: bool,
    marker: Task | None,
    limit: int,
) -> list[Task]:
    """One page of the tasks that have not expired, by the columns `order`."""
    query = select(task).where(_shown(now))
    for name, value in filters.items():
        query = query.where(task.c[name] == value)
    query = paged(
        query,
        [(_key(name), descending) for name in order],
        None if marker is None else [_value(marker, name) for name in order],
    )
    return sql.rows(source, query.limit(limit), Task)


def of_image(source: Source, image_id: str, now: datetime) -> list[Task]:
    """The tasks of an image that have not expired, oldest first."""
    query = select(task).where(task.c.image_id == image_id, _shown(now))
    return sql.rows(source, query.order_by(task.c.created_at, task.c.id), Task)


def add(tx: Tx, new: Task) -> None:
    sql.add(tx, task, new)


def change(tx: Tx, task_id: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(task).where(task.c.id == task_id).values(changes))


def remove_expired(tx: Tx, now: datetime) -> int:
    return sql.execute(tx, delete(task).where(task.c.expires_at < now))


def _shown(now: datetime) -> ColumnElement[bool]:
    return or_(task.c.expires_at.is_(None), task.c.expires_at >= now)


def _key(name: str) -> ColumnElement[Any]:
    return func.coalesce(task.c[name], _INSTEAD[name]) if name in _INSTEAD else task.c[name]


def _value(marker: Task, name: str) -> Any:
    value = getattr(marker, name)
    return _INSTEAD.get(name) if value is None else value
