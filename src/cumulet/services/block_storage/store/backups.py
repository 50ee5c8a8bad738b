# SPDX-License-Identifier: Apache-2.0
"""Backups, and backup services that are disabled, in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, delete, func, select, update

from cumulet.kernel import clock
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.block_storage.store import pages
from cumulet.services.block_storage.store.words import holds
from cumulet.services.block_storage.tables import backup, backup_service
from cumulet.services.block_storage.types.backups import Backup, BackupService, BackupStatus, Wanted


def find(source: Source, backup_id: str) -> Backup | None:
    return sql.find(source, backup, Backup, id=backup_id)


def find_visible(source: Source, ctx: Context, backup_id: str) -> Backup | None:
    query = select(backup).where(backup.c.id == backup_id)
    return sql.row(source, sql.visible(query, ctx, backup.c.project_id, everywhere=ctx.is_admin), Backup)


def find_page(source: Source, ctx: Context, wanted: Wanted) -> list[Backup]:
    """LookupError where the marker is not there."""
    return pages.page(source, _query(ctx, wanted), backup, wanted, Backup)


def count(source: Source, ctx: Context, wanted: Wanted) -> int:
    return pages.count(source, _query(ctx, wanted))


def every(source: Source) -> list[Backup]:
    return sql.rows(source, select(backup), Backup)


def of_volume(source: Source, volume_id: str, project_id: str) -> list[Backup]:
    """A project's backups of the volume, oldest data first."""
    query = select(backup).where(backup.c.volume_id == volume_id, backup.c.project_id == project_id)
    return sql.rows(source, query.order_by(backup.c.data_timestamp, backup.c.created_at, backup.c.id), Backup)


def restored_to(source: Source, volume_id: str) -> list[Backup]:
    """Those that are being restored to the volume."""
    query = select(backup).where(backup.c.restore_volume_id == volume_id, backup.c.status == BackupStatus.RESTORING)
    return sql.rows(source, query, Backup)


def children(source: Source, backup_ids: Iterable[str]) -> dict[str, int]:
    """How many whole backups are built on each, for those that have any."""
    query = (
        select(backup.c.parent_id, func.count())
        .where(sql.any_of(backup.c.parent_id, backup_ids), backup.c.object_count > 0)
        .group_by(backup.c.parent_id)
    )
    return {str(row[0]): int(row[1]) for row in sql.tuples(source, query)}


def has_children(source: Source, backup_id: str) -> bool:
    """Whether any backup is built on it, whole or not."""
    query = select(func.count()).select_from(backup).where(backup.c.parent_id == backup_id)
    return bool(sql.scalar(source, query))


def is_shared(source: Source, one: Backup, in_project: bool = False) -> bool:
    """Whether another row, which was imported, has the same bytes in the store; with `in_project` one of its own."""
    same = [backup.c.container == one.container, backup.c.service_metadata == one.service_metadata]
    if in_project:
        same.append(backup.c.project_id == one.project_id)
    return bool(sql.scalar(source, select(func.count()).select_from(backup).where(*same, backup.c.id != one.id)))


def usage(source: Source, project_id: str) -> tuple[int, int]:
    """Number and GiB of the project's backups."""
    mine = select(backup.c.project_id, func.count(), func.sum(backup.c.size)).where(backup.c.project_id == project_id)
    found = sql.tuples(source, mine.group_by(backup.c.project_id))
    return (int(found[0][1]), int(found[0][2])) if found else (0, 0)


def add(tx: Tx, new: Backup) -> None:
    sql.add(tx, backup, new)


def change(tx: Tx, backup_id: str, **values: Any) -> None:
    sql.execute(tx, update(backup).where(backup.c.id == backup_id).values(updated_at=clock.utcnow(), **values))


def remove(tx: Tx, backup_id: str) -> None:
    sql.execute(tx, delete(backup).where(backup.c.id == backup_id))


def disabled(source: Source) -> dict[str, BackupService]:
    """The services that are disabled, by host."""
    return {row.host: row for row in sql.rows(source, select(backup_service), BackupService)}


def disable(tx: Tx, host: str, reason: str | None) -> None:
    enable(tx, host)
    sql.add(tx, backup_service, BackupService(host, reason, clock.utcnow()))


def enable(tx: Tx, host: str) -> None:
    sql.execute(tx, delete(backup_service).where(backup_service.c.host == host))


def _query(ctx: Context, wanted: Wanted) -> Select[Any]:
    query = sql.visible(select(backup), ctx, backup.c.project_id, everywhere=wanted.everywhere)
    for name, value in wanted.exact.items():
        query = query.where(backup.c[name] == value)
    for name, part in wanted.like.items():
        query = query.where(backup.c[name].icontains(part, autoescape=True))
    for key, value in wanted.metadata.items():
        query = query.where(holds(backup.c.metadata, key, value))
    return query
