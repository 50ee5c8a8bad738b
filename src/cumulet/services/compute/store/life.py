# SPDX-License-Identifier: Apache-2.0
"""What is kept of servers that are shelved, rescued or deleted for the time being, and their backups."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.compute.tables import backup, server, server_life
from cumulet.services.compute.types import Backup, ServerLife, VmState


def find(source: Source, server_id: str) -> ServerLife:
    """What is kept of the server; nothing but its id where nothing is."""
    found = sql.row(source, select(server_life).where(server_life.c.server_id == server_id), ServerLife)
    return found or ServerLife(server_id=server_id)


def change(tx: Tx, server_id: str, **values: Any) -> None:
    """Keep these fields, whether anything was kept before or not."""
    if not sql.execute(tx, update(server_life).where(server_life.c.server_id == server_id).values(values)):
        sql.add(tx, server_life, ServerLife(server_id=server_id, **values))


def forget(tx: Tx, server_id: str) -> None:
    """The server is as any other again."""
    sql.execute(tx, delete(server_life).where(server_life.c.server_id == server_id))


def forget_all(tx: Tx, server_id: str) -> None:
    """The server is gone; its backups are images like any other from now on."""
    forget(tx, server_id)
    sql.execute(tx, delete(backup).where(backup.c.server_id == server_id))


def shelved_before(source: Source, moment: datetime) -> list[str]:
    """Ids of the servers that are shelved on their hosts since before the moment, with nothing under way."""
    return _resting(source, VmState.SHELVED, server_life.c.shelved_at <= moment)


def soft_deleted_before(source: Source, moment: datetime) -> list[str]:
    """The same of those that were deleted for the time being."""
    return _resting(source, VmState.SOFT_DELETED, server_life.c.soft_deleted_at <= moment)


def add_backup(tx: Tx, new: Backup) -> None:
    sql.add(tx, backup, new)


def backups(source: Source, server_id: str, type_: str) -> list[Backup]:
    """The backups of a type, the newest first."""
    query = select(backup).where(backup.c.server_id == server_id, backup.c.type == type_)
    return sql.rows(source, query.order_by(backup.c.created_at.desc(), backup.c.image_id), Backup)


def remove_backup(tx: Tx, image_id: str) -> None:
    sql.execute(tx, delete(backup).where(backup.c.image_id == image_id))


def _resting(source: Source, state: VmState, condition: Any) -> list[str]:
    query = select(server.c.id).join(server_life, server_life.c.server_id == server.c.id)
    query = query.where(server.c.vm_state == state.value, server.c.task_state.is_(None), server.c.deleted_at.is_(None))
    return sql.column(source, query.where(condition))
