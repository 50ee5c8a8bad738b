# SPDX-License-Identifier: Apache-2.0
"""Rows sorted by several keys, from one of them on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_


def paged(
    query: Select[Any], keys: Sequence[tuple[ColumnElement[Any], bool]], after: Sequence[Any] | None
) -> Select[Any]:
    """The query in the order of `keys`, each with whether it descends; beyond the row that has the values `after`."""
    query = query.order_by(*(key.desc() if descending else key.asc() for key, descending in keys))
    return query if after is None else query.where(_beyond(keys, after))


def _beyond(keys: Sequence[tuple[ColumnElement[Any], bool]], values: Sequence[Any]) -> ColumnElement[bool]:
    """Beyond by the first key, or equal in it and beyond by the next, and so on."""
    ways: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for (key, descending), value in zip(keys, values, strict=True):
        ways.append(and_(*equal, key < value if descending else key > value))
        equal.append(key == value)
    return or_(*ways)
