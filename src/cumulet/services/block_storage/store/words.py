# SPDX-License-Identifier: Apache-2.0
"""What queries narrow lists to: metadata (a JSON column's text, searched for one key and value), places."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import ColumnElement, Table, Text, and_, false, type_coerce


def holds(column: ColumnElement[Any], key: str, value: str) -> ColumnElement[bool]:
    """Whether the flat JSON object in `column` has `key` with the text `value`.

    The column holds what `orjson` writes, without spaces, in which a pair of texts stands literally and no other text
    can contain it, since quotation marks inside of texts are escaped.
    """
    pair = orjson.dumps({key: value})[1:-1].decode()
    return type_coerce(column, Text).contains(pair, autoescape=True)


def is_at(table: Table, place: str) -> ColumnElement[bool]:
    """Whether a row of the table is at `host`, `host@backend` or `host@backend#pool`."""
    service, pooled, pool = place.partition("#")
    host, named, name = service.partition("@")
    if pooled and pool != name:
        return false()
    return and_(table.c.host == host, table.c.backend == name) if named else table.c.host == host
