# SPDX-License-Identifier: Apache-2.0
"""Volumes in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Select, bindparam, false, func, select, true, union_all

from cumulet.kernel import clock
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.block_storage.store import pages
from cumulet.services.block_storage.store.words import holds, is_at
from cumulet.services.block_storage.tables import move, volume
from cumulet.services.block_storage.types import Page, Volume, Wanted

_SIZE = func.coalesce(volume.c.extending_to, volume.c.size)
# Kept: to make a statement costs ten times as much as to run it.


def _both(have: Any, moving: Any) -> Select[Any]:
    """The rows of two queries in one."""
    return select(union_all(have, moving).subquery())


_USAGE = _both(
    select(volume.c.volume_type_id, func.count(), func.sum(_SIZE), false().label("moving"))
    .where(volume.c.project_id == bindparam("project"))
    .group_by(volume.c.volume_type_id),
    select(move.c.type_id, func.count(), func.sum(move.c.size), true().label("moving"))
    .where(move.c.project_id == bindparam("project"), move.c.type_id.is_not(None))
    .group_by(move.c.type_id),
)
_USED = _both(
    select(volume.c.host, volume.c.backend, func.count(), func.sum(_SIZE)).group_by(volume.c.host, volume.c.backend),
    select(move.c.host, move.c.backend, func.count(), func.sum(move.c.size)).group_by(move.c.host, move.c.backend),
)
_USED_AT = _both(
    select(func.count(), func.sum(_SIZE)).where(
        volume.c.host == bindparam("host"), volume.c.backend == bindparam("backend")
    ),
    select(func.count(), func.sum(move.c.size)).where(
        move.c.host == bindparam("host"), move.c.backend == bindparam("backend")
    ),
)


def find(source: Source, volume_id: str) -> Volume | None:
    return sql.find(source, volume, Volume, id=volume_id)


def find_visible(source: Source, ctx: Context, volume_id: str) -> Volume | None:
    own = {} if ctx.is_admin else {"project_id": ctx.project_id}
    return sql.find(source, volume, Volume, id=volume_id, **own)


def find_many(source: Source, volume_ids: Iterable[str]) -> list[Volume]:
    return sql.find_all(source, volume, Volume, id=list(volume_ids))


def find_page(source: Source, ctx: Context, wanted: Wanted, page: Page) -> list[Volume]:
    if wanted == Wanted(everywhere=wanted.everywhere, exact={}) and page.is_first:
        return pages.first(source, ctx, volume, page, Volume, everywhere=wanted.everywhere)
    return pages.page(source, _query(ctx, wanted), volume, page, Volume)


def count(source: Source, ctx: Context, wanted: Wanted) -> int:
    return pages.count(source, _query(ctx, wanted))


def on_backend(source: Source, host: str, backend: str) -> list[Volume]:
    return sql.rows(source, select(volume).where(volume.c.host == host, volume.c.backend == backend), Volume)


def total(source: Source, ctx: Context, *, everywhere: bool) -> tuple[int, int]:
    """Number and GiB of all volumes."""
    query = select(func.count(), func.coalesce(func.sum(volume.c.size), 0)).select_from(volume)
    number, size = sql.tuples(source, sql.visible(query, ctx, volume.c.project_id, everywhere=everywhere))[0]
    return int(number), int(size)


def metadata(source: Source, ctx: Context, *, everywhere: bool) -> list[dict[str, str]]:
    """The different metadata that volumes have."""
    query = sql.visible(select(volume.c.metadata), ctx, volume.c.project_id, everywhere=everywhere)
    return sql.column(source, query.distinct())


def of_group(source: Source, group_id: str) -> list[Volume]:
    """Oldest first."""
    query = select(volume).where(volume.c.group_id == group_id)
    return sql.rows(source, query.order_by(volume.c.created_at, volume.c.id), Volume)


def of_groups(source: Source, group_ids: Iterable[str]) -> dict[str, list[str]]:
    """The ids of the groups' volumes, oldest first."""
    query = select(volume.c.group_id, volume.c.id).where(sql.any_of(volume.c.group_id, group_ids))
    found: dict[str, list[str]] = {group_id: [] for group_id in group_ids}
    for group_id, volume_id in sql.tuples(source, query.order_by(volume.c.created_at, volume.c.id)):
        found[group_id].append(volume_id)
    return found


def any_of_type(source: Source, volume_type_id: str) -> bool:
    """Or that gets the type where it is moving to."""
    queries = (
        select(volume.c.id).where(volume.c.volume_type_id == volume_type_id).limit(1),
        select(move.c.volume_id).where(move.c.type_id == volume_type_id).limit(1),
    )
    return any(sql.column(source, query) for query in queries)


def every(source: Source) -> list[Volume]:
    return sql.rows(source, select(volume), Volume)


def add(tx: Tx, new: Volume) -> None:
    sql.add(tx, volume, new)


def change(tx: Tx, volume_id: str, **values: Any) -> None:
    sql.change(tx, volume, {"updated_at": clock.utcnow(), **values}, id=volume_id)


def changed(tx: Tx, old: Volume, **values: Any) -> Volume:
    """Change the volume whose row was read in this transaction; as it is now."""
    values["updated_at"] = clock.utcnow()
    sql.change(tx, volume, values, id=old.id)
    return msgspec.structs.replace(old, **values)


def remove(tx: Tx, volume_id: str) -> None:
    sql.remove(tx, volume, id=volume_id)


def usage(source: Source, project_id: str) -> list[tuple[str, int, int, bool]]:
    """Type, number and GiB of the project's volumes by type; an extension counts from its beginning.

    With True behind, those that get the type where they are moving to, which are counted with their old ones too.
    """
    found = sql.tuples(source, _USAGE, {"project": project_id})
    return [(row[0], int(row[1]), int(row[2] or 0), bool(row[3])) for row in found]


def used(source: Source) -> dict[tuple[str, str], tuple[int, int]]:
    """Number and GiB of the volumes on each back end and on their way there, by host and name.

    An extension counts from its beginning.
    """
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for host, backend, number, size in sql.tuples(source, _USED, {}):
        before = found.get((host, backend), (0, 0))
        found[host, backend] = (before[0] + int(number), before[1] + int(size))
    return found


def used_at(source: Source, host: str, backend: str) -> tuple[int, int]:
    """Number and GiB of the volumes on one back end and on their way there."""
    rows = sql.tuples(source, _USED_AT, {"host": host, "backend": backend})
    return sum(int(row[0]) for row in rows), sum(int(row[1] or 0) for row in rows)


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
    if wanted.place is not None:
        query = query.where(is_at(volume, wanted.place))
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
