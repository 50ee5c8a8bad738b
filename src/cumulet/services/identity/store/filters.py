# SPDX-License-Identifier: Apache-2.0
"""The conditions that a list's query may set on columns: `name=a`, `name__contains=a`, `name__istartswith=a`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from sqlalchemy import Column, ColumnElement, Select, String, Table, func


class Filter(msgspec.Struct, frozen=True):
    """One condition; `comparison` is equals, contains, startswith or endswith, in any case where `folded`."""

    name: str
    value: Any
    comparison: str = "equals"
    folded: bool = False


def apply(query: Select[Any], table: Table, filters: Iterable[Filter]) -> Select[Any]:
    """`query`, limited to the rows that meet all `filters` on columns of `table`."""
    for condition in filters:
        query = query.where(_condition(table.c[condition.name], condition))
    return query


def _condition(column: Column[Any], condition: Filter) -> ColumnElement[bool]:
    if condition.value is None:
        return column.is_(None)
    whole: ColumnElement[Any] = func.lower(column) if condition.folded else column
    wanted = condition.value.lower() if condition.folded else condition.value
    found: dict[str, Callable[[], ColumnElement[bool]]] = {
        "equals": lambda: whole == wanted,
        # LIKE folds case on one database and not on another.
        "contains": lambda: func.replace(whole, wanted, "", type_=String) != whole,
        "startswith": lambda: func.substr(whole, 1, len(wanted), type_=String) == wanted,
        "endswith": lambda: func.substr(whole, func.length(whole) - len(wanted) + 1, type_=String) == wanted,
    }
    return found[condition.comparison]()
