# SPDX-License-Identifier: Apache-2.0
"""Imports, as tasks, in the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, or_, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.image.tables import task
from cumulet.services.image.types import Task


def find(source: Source, task_id: str) -> Task | None:
    return sql.find(source, task, Task, id=task_id)


def find_all(
    source: Source, filters: dict[str, str], *, descending: bool, marker: Task | None, limit: int
) -> list[Task]:
    """One page of tasks, by time."""
    query = select(task)
    for name, value in filters.items():
        query = query.where(task.c[name] == value)
    when, id_ = task.c.created_at, task.c.id
    if marker is not None:
        at = marker.created_at
        later = or_(when > at, and_(when == at, id_ > marker.id))
        earlier = or_(when < at, and_(when == at, id_ < marker.id))
        query = query.where(earlier if descending else later)
    order = (when.desc(), id_.desc()) if descending else (when, id_)
    return sql.rows(source, query.order_by(*order).limit(limit), Task)


def of_image(source: Source, image_id: str) -> list[Task]:
    return sql.rows(source, select(task).where(task.c.image_id == image_id).order_by(task.c.created_at), Task)


def add(tx: Tx, new: Task) -> None:
    sql.add(tx, task, new)


def change(tx: Tx, task_id: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(task).where(task.c.id == task_id).values(changes))


def remove_expired(tx: Tx, now: datetime) -> int:
    return sql.execute(tx, delete(task).where(task.c.expires_at < now))
