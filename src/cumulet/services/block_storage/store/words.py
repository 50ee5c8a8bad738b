# SPDX-License-Identifier: Apache-2.0
"""Metadata in queries: a JSON column's text, searched for one key and value."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import ColumnElement, Text, type_coerce


def holds(column: ColumnElement[Any], key: str, value: str) -> ColumnElement[bool]:
    """Whether the flat JSON object in `column` has `key` with the text `value`.

    The column holds what `orjson` writes, without spaces, in which a pair of texts stands literally and no other text
    can contain it, since quotation marks inside of texts are escaped.
    """
    pair = orjson.dumps({key: value})[1:-1].decode()
    return type_coerce(column, Text).contains(pair, autoescape=True)
