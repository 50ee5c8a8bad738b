# SPDX-License-Identifier: Apache-2.0
"""A part of a list, in any order, found by the row that it begins behind."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, String, Table, and_, func, or_, select

from cumulet.kernel.db import Source, sql
from cumulet.services.block_storage.types import Page

T = TypeVar("T")


def page(source: Source, query: Select[Any], table: Table, wanted: Page, struct: type[T]) -> list[T]:
    """The rows of `query` that `wanted` asks for; LookupError where its marker is not in `table`.

    The row's id ends every order, so that no two rows are equal in it.
    """
    keys = [(_comparable(table.c[name]), descending) for name, descending in wanted.sort]
    if all(name != "id" for name, _ in wanted.sort):
        keys.append((table.c.id, wanted.sort[0][1] if wanted.sort else True))
    if wanted.marker is not None:
        query = query.where(_behind(source, table, keys, wanted.marker))
    query = query.order_by(*(key.desc() if descending else key.asc() for key, descending in keys))
    if wanted.offset:
        query = query.offset(wanted.offset)
    return sql.rows(source, query.limit(wanted.limit), struct)


def count(source: Source, query: Select[Any]) -> int:
    """How many rows `query` has."""
    return int(sql.scalar(source, select(func.count()).select_from(query.order_by(None).subquery())))


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
