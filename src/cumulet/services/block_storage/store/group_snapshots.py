# SPDX-License-Identifier: Apache-2.0
"""Group snapshots in the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel import clock
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.block_storage.store import pages
from cumulet.services.block_storage.tables import group_snapshot
from cumulet.services.block_storage.types import Page
from cumulet.services.block_storage.types.groups import GroupSnapshot


def find(source: Source, group_snapshot_id: str) -> GroupSnapshot | None:
    return sql.find(source, group_snapshot, GroupSnapshot, id=group_snapshot_id)


def find_visible(source: Source, ctx: Context, group_snapshot_id: str) -> GroupSnapshot | None:
    query = select(group_snapshot).where(group_snapshot.c.id == group_snapshot_id)
    everywhere = ctx.is_admin
    return sql.row(source, sql.visible(query, ctx, group_snapshot.c.project_id, everywhere=everywhere), GroupSnapshot)


def find_page(
    source: Source, ctx: Context, page: Page, asked: pages.Asked, *, everywhere: bool, without_type: str | None
) -> list[GroupSnapshot]:
    """Those of groups of the type `without_type` are left out."""
    query = sql.visible(select(group_snapshot), ctx, group_snapshot.c.project_id, everywhere=everywhere)
    if without_type is not None:
        query = query.where(group_snapshot.c.group_type_id != without_type)
    query = pages.narrowed(query, group_snapshot, asked)
    return pages.page(source, query, group_snapshot, page, GroupSnapshot)


def any_of_group(source: Source, group_id: str) -> bool:
    return bool(sql.column(source, select(group_snapshot.c.id).where(group_snapshot.c.group_id == group_id).limit(1)))


def every(source: Source) -> list[GroupSnapshot]:
    return sql.rows(source, select(group_snapshot), GroupSnapshot)


def add(tx: Tx, new: GroupSnapshot) -> None:
    sql.add(tx, group_snapshot, new)


def change(tx: Tx, group_snapshot_id: str, **values: Any) -> None:
    one = update(group_snapshot).where(group_snapshot.c.id == group_snapshot_id)
    sql.execute(tx, one.values(updated_at=clock.utcnow(), **values))


def remove(tx: Tx, group_snapshot_id: str) -> None:
    sql.execute(tx, delete(group_snapshot).where(group_snapshot.c.id == group_snapshot_id))
