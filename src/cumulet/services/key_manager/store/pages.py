# SPDX-License-Identifier: Apache-2.0
"""A part of a list and the number of all its rows."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, func, select

from cumulet.kernel.db import Source, sql
from cumulet.services.key_manager.types import Page

T = TypeVar("T")


def page(source: Source, query: Select[Any], wanted: Page, struct: type[T]) -> tuple[list[T], int]:
    """The rows of `query`, which has an order, that `wanted` asks for, and how many there are altogether."""
    rows = sql.rows(source, query.offset(wanted.offset).limit(wanted.limit), struct)
    return rows, count(source, query)


def count(source: Source, query: Select[Any]) -> int:
    """How many rows `query` has."""
    return int(sql.scalar(source, select(func.count()).select_from(query.order_by(None).subquery())))


def like(column: ColumnElement[Any], pattern: str) -> ColumnElement[bool]:
    """`column LIKE pattern` in any case, with `%` and `_`; a backslash is an ordinary character."""
    return func.lower(column).like(pattern.lower().replace("\\", "\\\\"), escape="\\")
