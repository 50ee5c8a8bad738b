# SPDX-License-Identifier: Apache-2.0
"""Where a page of rows begins that are sorted by several keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, or_


def after(keys: Sequence[ColumnElement[Any]], values: Sequence[Any], *, descending: bool) -> ColumnElement[bool]:
    """Beyond the row that has these values: by the first key, or equal in it and beyond by the next, and so on."""
    ways: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for key, value in zip(keys, values, strict=True):
        ways.append(and_(*equal, key < value if descending else key > value))
        equal.append(key == value)
    return or_(*ways)
