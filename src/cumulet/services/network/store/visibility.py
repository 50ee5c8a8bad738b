# SPDX-License-Identifier: Apache-2.0
"""Which rows a caller may know of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select

from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, sql
from cumulet.services.network.store import kinds
from cumulet.services.network.store.common import find_all
from cumulet.services.network.store.kinds import Row


def find_visible(source: Source, ctx: Context, kind: type[Row], everywhere: bool, **values: Iterable[Any]) -> list[Row]:
    """The rows that the caller may see, limited to the values given for columns, oldest first."""
    if everywhere:
        return find_all(source, kind, **values)
    table, visible = kinds.of(kind).table, kinds.of(kind).visible(ctx)
    query = select(table).where(*(sql.any_of(table.c[name], listed) for name, listed in values.items()))
    return sql.rows(source, query.where(visible).order_by(table.c.created_at, table.c.id), kind)
