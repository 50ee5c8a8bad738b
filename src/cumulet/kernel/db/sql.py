# SPDX-License-Identifier: Apache-2.0
"""The stores' view of the database: statements in, row Structs out. No other room imports this module.

What is asked often is a statement that the store keeps, with bound parameters whose `values` come with the question
(`find`, `find_all`, `change` and `remove` keep theirs here): it costs a tenth of one that is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from typing import Any, TypeVar, cast

import orjson
from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Delete,
    Dialect,
    Executable,
    Insert,
    Select,
    Table,
    Text,
    TypeDecorator,
    Update,
    bindparam,
    delete,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.sql.dml import ReturningInsert

from cumulet.kernel.context import Context
from cumulet.kernel.db import direct
from cumulet.kernel.db.tx import Away, Source, Tx

T = TypeVar("T")
Values = Mapping[str, Any]
_MANY = (list, tuple, set, frozenset)
Shape = tuple[tuple[str, bool | None], ...]  # columns; whether each is one of many, or nothing (None)


class Json(TypeDecorator[Any]):
    """A column of plain data, kept as JSON text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        return None if value is None else orjson.dumps(value).decode()

    def result_processor(self, dialect: Any, coltype: Any) -> Callable[[str | None], Any]:
        """What reads a value, without the layers that a TypeDecorator puts around it: rows have many such columns."""
        return _load


class Copied(Json):
    """A column of plain data that nobody changes in place, the same in many rows: what was copied from elsewhere.

    Rows with the same text share what it says.
    """

    cache_ok = True

    def result_processor(self, dialect: Any, coltype: Any) -> Callable[[str | None], Any]:
        """What reads a value, or has read it."""
        return _load_copied


def _load(value: str | None) -> Any:
    return None if value is None else orjson.loads(value)


_load_copied = lru_cache(256)(_load)


def rows(source: Source, query: Select[Any], struct: type[T], values: Values | None = None) -> list[T]:
    """All rows of `query` as `struct`, whose fields stand in the order of the selected columns."""
    return [struct(*row) for row in _ask(source, query, values)]


def row(source: Source, query: Select[Any], struct: type[T], values: Values | None = None) -> T | None:
    """The first row of `query` as `struct`, or None."""
    found = _first(source, query, values)
    return None if found is None else struct(*found)


def find(source: Source, table: Table, struct: type[T], **equal: Any) -> T | None:
    """The row of `table` whose columns hold these values (None: nothing), as `struct`."""
    return row(source, _select(table, _shape(equal)), struct, equal)


def find_all(source: Source, table: Table, struct: type[T], order: tuple[str, ...] = (), **equal: Any) -> list[T]:
    """The rows whose columns hold these values (of a list: one of them), by the columns of `order`."""
    return rows(source, _select(table, _shape(equal), order), struct, equal)


def change(tx: Tx, table: Table, values: Values, **equal: Any) -> int:
    """Set columns of the rows whose columns hold these values, as in `find_all`; how many there are."""
    fresh = {f"new_{name}": value for name, value in values.items()}
    having = {f"old_{name}": value for name, value in equal.items()}
    return execute(tx, _update(table, tuple(values), _shape(equal)), fresh | having)


def remove(tx: Tx, table: Table, **equal: Any) -> int:
    """Delete the rows whose columns hold these values, as in `find_all`; how many there were."""
    return execute(tx, _delete(table, _shape(equal)), equal)


def tuples(source: Source, query: Select[Any], values: Values | None = None) -> Sequence[Any]:
    """All rows of `query` as tuples."""
    return _ask(source, query, values)


def scalar(source: Source, query: Select[Any], values: Values | None = None) -> Any:
    """The first column of the first row, or None."""
    found = _first(source, query, values)
    return None if found is None else found[0]


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


def column(source: Source, query: Select[Any], values: Values | None = None) -> list[Any]:
    """The first column of all rows."""
    return [found[0] for found in _ask(source, query, values)]


def execute(tx: Tx, statement: Executable, values: Values | Sequence[Values] | None = None) -> int:
    """Run a statement that writes; the number of rows that it matched."""
    if isinstance(values, Mapping):
        matched = direct.change(tx._connection(), statement, values)
        if matched is not None:
            return matched
    result: CursorResult[Any] = tx._connection().execute(statement, values)
    return result.rowcount


def insert_one(tx: Tx, statement: ReturningInsert[Any], values: Values) -> Any:
    """Insert a row with a kept statement; the column that it returns."""
    found = direct.query(tx._connection(), statement, values)
    return found[0][0] if found else tx._connection().execute(statement, values).scalar_one()


def add(tx: Tx, table: Any, *structs: Any) -> None:
    """Insert row Structs into `table`."""
    if len(structs) == 1:
        execute(tx, _insert(table, structs[0].__struct_fields__), _values(structs[0], "new_"))
    elif structs:
        tx._connection().execute(insert(table), [_values(struct) for struct in structs])


def visible(query: Select[Any], ctx: Context, project: ColumnElement[Any], *, everywhere: bool = False) -> Select[Any]:
    """Limit `query` to what the caller may see: its project's rows, or all where policy said `everywhere`."""
    return query if everywhere else query.where(project == ctx.project_id)


def any_of(column_: ColumnElement[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    """`column IN values`, false for no values."""
    listed = list(values)
    return column_.in_(listed) if listed else ~true()


def _ask(source: Source, query: Select[Any], values: Values | None, *, one: bool = False) -> Sequence[Any]:
    """All rows, or the first; once more where the connection turned out to be dead."""
    try:
        return _answer(source, query, values, one)
    except Away:
        if isinstance(source, Tx):
            raise
        return _answer(source, query, values, one)


def _answer(source: Source, query: Select[Any], values: Values | None, one: bool) -> Sequence[Any]:
    with source._use() as connection:
        found = None if values is None else direct.query(connection, query, values)
        if found is not None:
            return found
        result = connection.execute(query, values)
        if not one:
            return result.all()
        first = result.first()
        return [] if first is None else [first]


def _first(source: Source, query: Select[Any], values: Values | None) -> Any:
    """The first row, or None."""
    found = _ask(source, query, values, one=True)
    return found[0] if found else None


def _values(struct: Any, prefix: str = "") -> dict[str, Any]:
    return {prefix + name: getattr(struct, name) for name in struct.__struct_fields__}


@cache
def _text(query: Select[Any], dialect: type[Dialect]) -> str:
    return str(query.compile(dialect=dialect(), compile_kwargs={"literal_binds": True}))


def _shape(equal: Values) -> Shape:
    """Which columns are asked for, and whether for a value, for one of many, or for nothing."""
    return tuple((name, None if value is None else isinstance(value, _MANY)) for name, value in equal.items())


@cache
def _select(table: Table, shape: Shape, order: tuple[str, ...] = ()) -> Select[Any]:
    return select(table).where(*_where(table, shape)).order_by(*(table.c[name] for name in order))


@cache
def _insert(table: Table, names: tuple[str, ...]) -> Insert:
    return insert(table).values({name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names})


@cache
def _update(table: Table, names: tuple[str, ...], shape: Shape) -> Update:
    fresh = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
    return update(table).where(*_where(table, shape, "old_")).values(fresh)


@cache
def _delete(table: Table, shape: Shape) -> Delete:
    return delete(table).where(*_where(table, shape))


def _where(table: Table, shape: Shape, prefix: str = "") -> Iterator[ColumnElement[bool]]:
    for name, many in shape:
        column_ = table.c[name]
        if many is None:
            yield column_.is_(None)
        elif many:
            yield column_.in_(bindparam(prefix + name, expanding=True))
        else:
            yield column_ == bindparam(prefix + name)
