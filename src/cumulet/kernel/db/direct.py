# SPDX-License-Identifier: Apache-2.0
"""Statements that are made once and then put to the driver itself.

To build a statement, to recognise it and to wrap its answer costs SQLAlchemy ten times what SQLite needs to run it, and
one request asks hundreds. So stores keep statements with bound parameters, and this module keeps of each its text and
what turns values into the driver's and back. An engine says with the execution option `DIRECT` that it takes part: its
marks are positional, and a statement that failed leaves the transaction as it was. Whatever fails here is run once more
the usual way, which words the failure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import msgspec
from sqlalchemy import BindParameter, Connection, Dialect, Executable, Select
from sqlalchemy.sql.compiler import SQLCompiler

DIRECT = "direct"
STATEMENTS = 4096  # that are kept; a store has some dozen

NOTHING = "SELECT 1 WHERE 1 != 1"  # a list without values

Process = Callable[[Any], Any]


class Mark(msgspec.Struct, frozen=True):
    """One parameter: its name, the value that stands in the statement, what makes a driver's value.

    `many` is what stands in the text for the marks of one that is a list.
    """

    name: str
    own: BindParameter[Any]
    process: Process | None
    many: str


class Text(msgspec.Struct, frozen=True):
    """A statement as one dialect has it; `back` turns the driver's values of these columns into Python's."""

    text: str
    marks: tuple[Mark, ...]
    back: tuple[tuple[int, Process], ...]

    def fill(self, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """The text and its parameters. A list takes as many marks as the next power of two, so that texts are few."""
        text, found = self.text, []
        for mark in self.marks:
            value: Any = values[mark.name] if mark.name in values else mark.own.effective_value  # noqa: SIM401 - is costly
            process = mark.process
            if not mark.many:
                found.append(value if process is None else process(value))
                continue
            listed = list(value) if process is None else [process(each) for each in value]
            count = len(listed)
            if count:
                listed += listed[-1:] * ((1 << (count - 1).bit_length()) - count)
                text = text.replace(mark.many, ", ".join("?" * len(listed)))
            else:
                text = text.replace(mark.many, NOTHING)
            found += listed
        return text, found

    def read(self, rows: Sequence[tuple[Any, ...]]) -> list[Sequence[Any]]:
        """The driver's rows with Python's values."""
        if not self.back:
            return list(rows)
        found: list[Sequence[Any]] = []
        for row in rows:
            changed = list(row)
            for index, process in self.back:
                if changed[index] is not None:
                    changed[index] = process(changed[index])
            found.append(changed)
        return found


def query(connection: Connection, statement: Executable, values: Mapping[str, Any]) -> list[Sequence[Any]] | None:
    """All rows of a kept statement, those that it writes included; None where it has to be asked the usual way."""
    if not connection.get_execution_options().get(DIRECT):
        return None
    text = _text(statement, connection.dialect)
    driver = cast(Any, connection.connection.driver_connection)
    try:
        return text.read(driver.execute(*text.fill(values)).fetchall())
    except Exception:
        return None


def change(connection: Connection, statement: Executable, values: Mapping[str, Any]) -> int | None:
    """Run a kept statement that writes; how many rows it matched, None where it has to be run the usual way."""
    if not connection.get_execution_options().get(DIRECT):
        return None
    text = _text(statement, connection.dialect)
    driver = cast(Any, connection.connection.driver_connection)
    try:
        return int(driver.execute(*text.fill(values)).rowcount)
    except Exception:
        return None


@lru_cache(STATEMENTS)
def _text(statement: Executable, dialect: Dialect) -> Text:
    compiled = cast(SQLCompiler, cast(Any, statement).compile(dialect=dialect))
    columns = statement.selected_columns if isinstance(statement, Select) else ()
    back = [_back(column.type, dialect) for column in columns]
    text, marks = str(compiled), []
    for name in compiled.positiontup or ():
        own = compiled.binds[name]
        if own.literal_execute:
            text = text.replace(f"__[POSTCOMPILE_{name}]", _literal(own, dialect), 1)
        else:
            marks.append(_mark(name, own, dialect))
    turns = tuple((index, process) for index, process in enumerate(back) if process is not None)
    return Text(text, tuple(marks), turns)


def _literal(own: BindParameter[Any], dialect: Dialect) -> str:
    """A value that stands in the statement's text."""
    process = own.type.dialect_impl(dialect).literal_processor(dialect)
    assert process is not None
    return process(own.effective_value)


def _mark(name: str, own: BindParameter[Any], dialect: Dialect) -> Mark:
    process = own.type.dialect_impl(dialect).bind_processor(dialect)
    return Mark(name, own, process, f"__[POSTCOMPILE_{name}]" if own.expanding else "")


def _back(kind: Any, dialect: Dialect) -> Process | None:
    return cast("Process | None", kind.dialect_impl(dialect).result_processor(dialect, None))
