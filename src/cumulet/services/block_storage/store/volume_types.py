# SPDX-License-Identifier: Apache-2.0
"""Volume types, who may use them, and the projects' defaults in the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, bindparam, delete, or_, select, update

from cumulet.kernel import clock
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.block_storage.store import pages
from cumulet.services.block_storage.tables import default_type, type_access, volume_type
from cumulet.services.block_storage.types import DefaultType, Page, TypeAccess, VolumeType

_GRANTED = select(type_access.c.volume_type_id).where(type_access.c.project_id == bindparam("project"))
# Kept: to make a statement costs ten times as much as to run it.
_NAMES = select(volume_type.c.id, volume_type.c.name)
_OPEN = select(volume_type).where(
    or_(volume_type.c.is_public, volume_type.c.id.in_(_GRANTED)), volume_type.c.id == bindparam("type")
)


def find(source: Source, ctx: Context, type_id: str) -> VolumeType | None:
    if ctx.is_admin:
        return find_any(source, type_id)
    return sql.row(source, _OPEN, VolumeType, {"project": ctx.project_id, "type": type_id})


def find_any(source: Source, type_id: str) -> VolumeType | None:
    """Whoever may see it."""
    return sql.find(source, volume_type, VolumeType, id=type_id)


def find_by_name(source: Source, ctx: Context, name: str) -> VolumeType | None:
    return sql.row(source, _visible(ctx).where(volume_type.c.name == name), VolumeType)


def named(source: Source, name: str) -> VolumeType | None:
    """The type of that name, whoever may see it."""
    return sql.find(source, volume_type, VolumeType, name=name)


def find_page(source: Source, ctx: Context, page: Page, is_public: bool | None) -> list[VolumeType]:
    query = _visible(ctx)
    if is_public is not None and ctx.is_admin:
        query = query.where(volume_type.c.is_public == is_public)
    return pages.page(source, query, volume_type, page, VolumeType)


def names(source: Source) -> dict[str, str]:
    """All types' names by id."""
    return {row[0]: row[1] for row in sql.tuples(source, _NAMES, {})}


def add(tx: Tx, new: VolumeType) -> None:
    sql.add(tx, volume_type, new)


def change(tx: Tx, type_id: str, **values: Any) -> None:
    sql.execute(tx, update(volume_type).where(volume_type.c.id == type_id).values(updated_at=clock.utcnow(), **values))


def remove(tx: Tx, type_id: str) -> None:
    sql.execute(tx, delete(volume_type).where(volume_type.c.id == type_id))
    sql.execute(tx, delete(type_access).where(type_access.c.volume_type_id == type_id))


def access(source: Source, type_id: str) -> list[TypeAccess]:
    query = select(type_access).where(type_access.c.volume_type_id == type_id).order_by(type_access.c.project_id)
    return sql.rows(source, query, TypeAccess)


def add_access(tx: Tx, new: TypeAccess) -> None:
    sql.add(tx, type_access, new)


def remove_access(tx: Tx, type_id: str, project_id: str) -> int:
    one = (type_access.c.volume_type_id == type_id, type_access.c.project_id == project_id)
    return sql.execute(tx, delete(type_access).where(*one))


def find_default(source: Source, project_id: str) -> DefaultType | None:
    return sql.find(source, default_type, DefaultType, project_id=project_id)


def find_defaults(source: Source) -> list[DefaultType]:
    return sql.rows(source, select(default_type).order_by(default_type.c.project_id), DefaultType)


def is_default(source: Source, type_id: str) -> bool:
    query = select(default_type.c.project_id).where(default_type.c.volume_type_id == type_id)
    return bool(sql.column(source, query.limit(1)))


def set_default(tx: Tx, new: DefaultType) -> None:
    remove_default(tx, new.project_id)
    sql.add(tx, default_type, new)


def remove_default(tx: Tx, project_id: str) -> None:
    sql.execute(tx, delete(default_type).where(default_type.c.project_id == project_id))


def _visible(ctx: Context) -> Select[Any]:
    query = select(volume_type)
    if ctx.is_admin:
        return query
    granted = select(type_access.c.volume_type_id).where(type_access.c.project_id == ctx.project_id)
    return query.where(or_(volume_type.c.is_public, volume_type.c.id.in_(granted)))
