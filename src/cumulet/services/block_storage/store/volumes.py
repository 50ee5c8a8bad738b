# SPDX-License-Identifier: Apache-2.0
"""Volumes in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, delete, func, select, update

from cumulet.kernel import clock
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.block_storage.store import pages
from cumulet.services.block_storage.store.words import holds
from cumulet.services.block_storage.tables import volume
from cumulet.services.block_storage.types import Page, Volume, Wanted


def find(source: Source, volume_id: str) -> Volume | None:
    return sql.find(source, volume, Volume, id=volume_id)


def find_visible(source: Source, ctx: Context, volume_id: str) -> Volume | None:
    query = select(volume).where(volume.c.id == volume_id)
    return sql.row(source, sql.visible(query, ctx, volume.c.project_id, everywhere=ctx.is_admin), Volume)


def find_many(source: Source, volume_ids: Iterable[str]) -> list[Volume]:
    return sql.rows(source, select(volume).where(sql.any_of(volume.c.id, volume_ids)), Volume)


def find_page(source: Source, ctx: Context, wanted: Wanted, page: Page) -> list[Volume]:
    return pages.page(source, _query(ctx, wanted), volume, page, Volume)


def count(source: Source, ctx: Context, wanted: Wanted) -> int:
    return pages.count(source, _query(ctx, wanted))


def on_host(source: Source, host: str) -> list[Volume]:
    return sql.rows(source, select(volume).where(volume.c.host == host), Volume)


def any_of_type(source: Source, volume_type_id: str) -> bool:
    return bool(sql.column(source, select(volume.c.id).where(volume.c.volume_type_id == volume_type_id).limit(1)))


def every(source: Source) -> list[Volume]:
    return sql.rows(source, select(volume), Volume)


def add(tx: Tx, new: Volume) -> None:
    sql.add(tx, volume, new)


def change(tx: Tx, volume_id: str, **values: Any) -> None:
    sql.execute(tx, update(volume).where(volume.c.id == volume_id).values(updated_at=clock.utcnow(), **values))


def remove(tx: Tx, volume_id: str) -> None:
    sql.execute(tx, delete(volume).where(volume.c.id == volume_id))


def usage(source: Source, project_id: str) -> dict[str, tuple[int, int]]:
    """Number and GiB of the project's volumes by type; an extension counts from its beginning."""
    query = (
        select(volume.c.volume_type_id, func.count(), func.sum(func.coalesce(volume.c.extending_to, volume.c.size)))
        .where(volume.c.project_id == project_id)
        .group_by(volume.c.volume_type_id)
    )
    return {row[0]: (int(row[1]), int(row[2] or 0)) for row in sql.tuples(source, query)}


_OPERATORS = {
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
    "eq": lambda column, value: column == value,
    "neq": lambda column, value: column != value,
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
}


def _query(ctx: Context, wanted: Wanted) -> Select[Any]:
    query = sql.visible(select(volume), ctx, volume.c.project_id, everywhere=wanted.everywhere)
    if wanted.project_id is not None:
        query = query.where(volume.c.project_id == wanted.project_id)
    for name, value in wanted.exact.items():
        query = query.where(volume.c[name] == value)
    if wanted.like is not None:
        query = query.where(volume.c.name.icontains(wanted.like, autoescape=True))
    for column, words in ((volume.c.metadata, wanted.metadata), (volume.c.image_metadata, wanted.image_metadata)):
        for key, value in words.items():
            query = query.where(holds(column, key, value))
    for column, bounds in ((volume.c.created_at, wanted.created), (volume.c.updated_at, wanted.updated)):
        for operator, moment in bounds:
            query = query.where(_OPERATORS[operator](column, moment))
    return query
