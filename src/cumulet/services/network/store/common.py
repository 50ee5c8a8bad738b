# SPDX-License-Identifier: Apache-2.0
"""What is the same for every resource: one row, many rows, adding, changing, removing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Table, Update, bindparam, select, update

from cumulet.kernel import clock
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.network.store import kinds
from cumulet.services.network.store.kinds import Row

OLDEST = ("created_at", "id")


def optional(kind: type[Row], values: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that need not be given (they have a default in the Struct), as far as `values` gives them.

    What families add to the rows of another is such a column.
    """
    return {name: values[name] for name in _optional(kind) if name in values}


def find(source: Source, kind: type[Row], key: str) -> Row | None:
    """The row with this id."""
    table = kinds.of(kind).table
    return sql.find(source, table, kind, id=key)


def find_all(source: Source, kind: type[Row], *where: ColumnElement[bool], **values: Iterable[Any]) -> list[Row]:
    """The rows whose columns hold one of the values given for each, oldest first."""
    table = kinds.of(kind).table
    if not where:
        return sql.find_all(source, table, kind, OLDEST, **{name: list(listed) for name, listed in values.items()})
    query = select(table).where(*where, *(sql.any_of(table.c[name], listed) for name, listed in values.items()))
    return sql.rows(source, query.order_by(table.c.created_at, table.c.id), kind)


def by_id(source: Source, kind: type[Row], keys: Iterable[str]) -> dict[str, Row]:
    """Rows by id, those that exist."""
    return {row.id: row for row in find_all(source, kind, id=set(keys))}


def add(tx: Tx, *rows: Any) -> None:
    """Insert rows of one kind."""
    if rows:
        sql.add(tx, kinds.of(type(rows[0])).table, *rows)


def change(tx: Tx, kind: type[Row], key: str, values: Mapping[str, Any]) -> None:
    """Change columns; what the user sees as a new revision of the resource."""
    fresh = {"updated_at": clock.utcnow(), **values}
    statement = _revision(kinds.of(kind).table, tuple(fresh))
    sql.execute(tx, statement, {"key": key, **{f"new_{name}": value for name, value in fresh.items()}})


def touch(tx: Tx, kind: type[Row], key: str) -> None:
    """A new revision of a resource of which something that belongs to it has changed."""
    change(tx, kind, key, {})


def set_quietly(tx: Tx, kind: type[Row], keys: Iterable[str], values: Mapping[str, Any]) -> None:
    """Change columns that are the cloud's own affair, without a new revision."""
    if values:
        sql.change(tx, kinds.of(kind).table, values, id=list(keys))


def remove(tx: Tx, kind: type[Row], keys: Iterable[str]) -> None:
    """Delete rows by id."""
    sql.remove(tx, kinds.of(kind).table, id=list(keys))


@cache
def _optional(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(each.name for each in msgspec.structs.fields(kind) if not each.required)


@cache
def _revision(table: Table, names: tuple[str, ...]) -> Update:
    """Set these columns of one row, and count its revision."""
    fresh: dict[str, Any] = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
    if "revision_number" not in fresh:
        fresh["revision_number"] = table.c.revision_number + 1
    return update(table).where(table.c.id == bindparam("key")).values(fresh)
