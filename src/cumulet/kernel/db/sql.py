# SPDX-License-Identifier: Apache-2.0
"""The stores' view of the database: statements in, row Structs out. No other room imports this module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar, cast

import orjson
from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Dialect,
    Executable,
    Select,
    Table,
    Text,
    TypeDecorator,
    bindparam,
    insert,
    select,
    true,
)

from cumulet.kernel.context import Context
from cumulet.kernel.db.tx import Away, Source, Tx

T = TypeVar("T")


class Json(TypeDecorator[Any]):
    """A column of plain data, kept as JSON text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: Any) -> Any:
        return None if value is None else orjson.loads(value)


def rows(source: Source, query: Select[Any], struct: type[T]) -> list[T]:
    """All rows of `query` as `struct`, whose fields stand in the order of the selected columns."""
    return [struct(*row) for row in _ask(source, query, CursorResult.all)]


def row(source: Source, query: Select[Any], struct: type[T]) -> T | None:
    """The first row of `query` as `struct`, or None."""
    found = _ask(source, query, CursorResult.first)
    return None if found is None else struct(*found)


def find(source: Source, table: Table, struct: type[T], **equal: Any) -> T | None:
    """The row of `table` whose columns hold these values (None: nothing), as `struct`; for queries asked often.

    The statement is made once: to build and to recognise one costs SQLAlchemy four times as much as to run it.
    """
    values = {name: value for name, value in equal.items() if value is not None}
    empty = tuple(name for name, value in equal.items() if value is None)
    found = _ask(source, _of(table, tuple(values), empty), CursorResult.first, values)
    return None if found is None else struct(*found)


def tuples(source: Source, query: Select[Any], values: Mapping[str, Any] | None = None) -> Sequence[Any]:
    """All rows of `query` as tuples; `values` are those of its bound parameters."""
    return list(_ask(source, query, CursorResult.all, values))


def scalar(source: Source, query: Select[Any]) -> Any:
    """The first column of the first row, or None."""
    return _ask(source, query, CursorResult.scalar)


def quick(source: Source, query: Select[Any]) -> Any:
    """As `scalar`, for a query without parameters that nearly every request asks; no column type is applied.

    It is put to the driver itself, for of what so small a query costs nine tenths are SQLAlchemy's. Whatever fails is
    asked once more the usual way, which words the failure; so is all inside a transaction, which a failure ends.
    """
    if not isinstance(source, Tx):
        with source._use() as connection:
            driver, kind = cast(Any, connection.connection.driver_connection), cast(Any, type(connection.dialect))
            with suppress(Exception):
                found = driver.execute(_text(query, kind)).fetchone()
                return None if found is None else found[0]
    return scalar(source, query)


def column(source: Source, query: Select[Any]) -> list[Any]:
    """The first column of all rows."""
    return [found[0] for found in _ask(source, query, CursorResult.all)]


def execute(tx: Tx, statement: Executable, values: Sequence[Mapping[str, Any]] | None = None) -> int:
    """Run a statement that writes; the number of rows that it matched."""
    result: CursorResult[Any] = tx._connection().execute(statement, values)
    return result.rowcount


def add(tx: Tx, table: Any, *structs: Any) -> None:
    """Insert row Structs into `table`."""
    if structs:
        tx._connection().execute(insert(table), [_values(struct) for struct in structs])


def visible(query: Select[Any], ctx: Context, project: ColumnElement[Any], *, everywhere: bool = False) -> Select[Any]:
    """Limit `query` to what the caller may see: its project's rows, or all where policy said `everywhere`."""
    return query if everywhere else query.where(project == ctx.project_id)


def any_of(column_: ColumnElement[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    """`column IN values`, false for no values."""
    listed = list(values)
    return column_.in_(listed) if listed else ~true()


def _ask(
    source: Source,
    query: Select[Any],
    take: Callable[[CursorResult[Any]], Any],
    values: Mapping[str, Any] | None = None,
) -> Any:
    """Run a query and read its answer; once more where the connection turned out to be dead."""
    try:
        with source._use() as connection:
            return take(connection.execute(query, values))
    except Away:
        if isinstance(source, Tx):
            raise
        with source._use() as connection:
            return take(connection.execute(query, values))


def _values(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


@cache
def _text(query: Select[Any], dialect: type[Dialect]) -> str:
    return str(query.compile(dialect=dialect(), compile_kwargs={"literal_binds": True}))


@cache
def _of(table: Table, names: tuple[str, ...], empty: tuple[str, ...]) -> Select[Any]:
    wanted = [table.c[name] == bindparam(name) for name in names]
    return select(table).where(*wanted, *(table.c[name].is_(None) for name in empty))
