# SPDX-License-Identifier: Apache-2.0
"""Group types in the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, delete, select, update

from cumulet.kernel import clock
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.block_storage.store import pages
from cumulet.services.block_storage.tables import group_type
from cumulet.services.block_storage.types import Page
from cumulet.services.block_storage.types.groups import GroupType


def find(source: Source, ctx: Context, type_id: str) -> GroupType | None:
    return sql.row(source, _visible(ctx).where(group_type.c.id == type_id), GroupType)


def find_by_name(source: Source, ctx: Context, name: str) -> GroupType | None:
    return sql.row(source, _visible(ctx).where(group_type.c.name == name), GroupType)


def named(source: Source, name: str) -> GroupType | None:
    """The type of that name, whoever may see it."""
    return sql.find(source, group_type, GroupType, name=name)


def find_page(source: Source, ctx: Context, page: Page, is_public: bool | None) -> list[GroupType]:
    query = _visible(ctx)
    if is_public is not None:
        query = query.where(group_type.c.is_public == is_public)
    return pages.page(source, query, group_type, page, GroupType)


def add(tx: Tx, new: GroupType) -> None:
    sql.add(tx, group_type, new)


def change(tx: Tx, type_id: str, **values: Any) -> None:
    sql.execute(tx, update(group_type).where(group_type.c.id == type_id).values(updated_at=clock.utcnow(), **values))


def remove(tx: Tx, type_id: str) -> None:
    sql.execute(tx, delete(group_type).where(group_type.c.id == type_id))


def _visible(ctx: Context) -> Select[Any]:
    query = select(group_type)
    return query if ctx.is_admin else query.where(group_type.c.is_public)
