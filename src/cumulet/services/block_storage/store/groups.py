# SPDX-License-Identifier: Apache-2.0
"""Groups in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, Text, delete, func, select, type_coerce, update

from cumulet.kernel import clock
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.block_storage.store import pages
from cumulet.services.block_storage.tables import group
from cumulet.services.block_storage.types import Page
from cumulet.services.block_storage.types.groups import Group, GroupStatus


def find(source: Source, group_id: str) -> Group | None:
    return sql.find(source, group, Group, id=group_id)


def find_visible(source: Source, ctx: Context, group_id: str) -> Group | None:
    query = select(group).where(group.c.id == group_id)
    return sql.row(source, sql.visible(query, ctx, group.c.project_id, everywhere=ctx.is_admin), Group)


def find_page(
    source: Source, ctx: Context, page: Page, asked: pages.Asked, *, everywhere: bool, without_type: str | None
) -> list[Group]:
    """Groups of the type `without_type` are left out."""
    query = _query(ctx, asked, everywhere)
    if without_type is not None:
        query = query.where(group.c.group_type_id != without_type)
    return pages.page(source, query, group, page, Group)


def every(source: Source) -> list[Group]:
    return sql.rows(source, select(group), Group)


def of_type(source: Source, group_ids: Iterable[str], type_id: str) -> set[str]:
    """Those among the groups that have the type."""
    query = select(group.c.id).where(sql.any_of(group.c.id, group_ids), group.c.group_type_id == type_id)
    return set(sql.column(source, query))


def any_of_type(source: Source, type_id: str) -> bool:
    return bool(sql.column(source, select(group.c.id).where(group.c.group_type_id == type_id).limit(1)))


def any_with_volume_type(source: Source, volume_type_id: str) -> bool:
    """Whether some group is for volumes of the type; in the column's text an id stands between quotation marks."""
    listed = type_coerce(group.c.volume_types, Text).contains(f'"{volume_type_id}"', autoescape=True)
    return bool(sql.column(source, select(group.c.id).where(listed).limit(1)))


def is_being_made_of(source: Source, *, group_id: str = "", group_snapshot_id: str = "") -> bool:
    """Whether a group is being made of the group, or of the group snapshot."""
    of = group.c.source_group_id == group_id if group_id else group.c.group_snapshot_id == group_snapshot_id
    return bool(sql.column(source, select(group.c.id).where(group.c.status == GroupStatus.CREATING, of).limit(1)))


def count(source: Source, project_id: str) -> int:
    """How many groups the project has."""
    return int(sql.scalar(source, select(func.count()).where(group.c.project_id == project_id)))


def add(tx: Tx, new: Group) -> None:
    sql.add(tx, group, new)


def change(tx: Tx, group_id: str, **values: Any) -> None:
    sql.execute(tx, update(group).where(group.c.id == group_id).values(updated_at=clock.utcnow(), **values))


def remove(tx: Tx, group_id: str) -> None:
    sql.execute(tx, delete(group).where(group.c.id == group_id))


def _query(ctx: Context, asked: pages.Asked, everywhere: bool) -> Select[Any]:
    query = sql.visible(select(group), ctx, group.c.project_id, everywhere=everywhere)
    return pages.narrowed(query, group, asked)
