# SPDX-License-Identifier: Apache-2.0
"""A part of a list, in any order, found by the row that it begins behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import ColumnElement, Integer, Select, String, Table, and_, bindparam, func, or_, select

from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, sql
from cumulet.services.block_storage.types import Page

T = TypeVar("T")
Sort: TypeAlias = tuple[tuple[str, bool], ...]  # columns, and whether descending
Asked: TypeAlias = Mapping[str, str]  # values by column; a column with `~` behind it is asked for a part of its text


def page(source: Source, query: Select[Any], table: Table, wanted: Page, struct: type[T]) -> list[T]:
    """The rows of `query` that `wanted` asks for; LookupError where its marker is not in `table`.

    The row's id ends every order, so that no two rows are equal in it.
    """
    keys = _keys(table, wanted.sort)
    if wanted.marker is not None:
        query = query.where(_behind(source, table, keys, wanted.marker))
    query = query.order_by(*_ordered(keys))
    if wanted.offset:
        query = query.offset(wanted.offset)
    return sql.rows(source, query.limit(wanted.limit), struct)


def first(source: Source, ctx: Context, table: Table, wanted: Page, struct: type[T], *, everywhere: bool) -> list[T]:
    """What `page` gives of all rows of the caller's project, or of all, for a page that `is_first`."""
    values = {"project": ctx.project_id, "limit": wanted.limit}
    return sql.rows(source, _first(table, wanted.sort, everywhere=everywhere), struct, values)


def narrowed(query: Select[Any], table: Table, asked: Asked) -> Select[Any]:
    """Only the rows with what is asked for."""
    for name, value in asked.items():
        column = table.c[name.removesuffix("~")]
        query = query.where(column.icontains(value, autoescape=True) if name.endswith("~") else column == value)
    return query


def count(source: Source, query: Select[Any]) -> int:
    """How many rows `query` has."""
    return int(sql.scalar(source, select(func.count()).select_from(query.order_by(None).subquery())))


@lru_cache(64)
def _first(table: Table, sort: Sort, *, everywhere: bool) -> Select[Any]:
    """Kept: to make a statement costs ten times as much as to run it."""
    query = select(table) if everywhere else select(table).where(table.c.project_id == bindparam("project"))
    return query.order_by(*_ordered(_keys(table, sort))).limit(bindparam("limit", type_=Integer))


def _keys(table: Table, sort: Sort) -> list[tuple[ColumnElement[Any], bool]]:
    """What rows are ordered by, and whether descending."""
    keys = [(_comparable(table.c[name]), descending) for name, descending in sort]
    if all(name != "id" for name, _ in sort):
        keys.append((table.c.id, sort[0][1] if sort else True))
    return keys


def _ordered(keys: list[tuple[ColumnElement[Any], bool]]) -> Iterator[ColumnElement[Any]]:
    return (key.desc() if descending else key.asc() for key, descending in keys)


def _behind(
    source: Source, table: Table, keys: list[tuple[ColumnElement[Any], bool]], marker: str
) -> ColumnElement[bool]:
    found = sql.tuples(source, select(*(key for key, _ in keys)).where(table.c.id == marker))
    if not found:
        raise LookupError(marker)
    values = found[0]
    choices = []
    for last, (key, descending) in enumerate(keys):
        equal = [keys[index][0] == values[index] for index in range(last)]
        choices.append(and_(*equal, key < values[last] if descending else key > values[last]))
    return or_(*choices)


def _comparable(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(column, "") if isinstance(column.type, String) else column
