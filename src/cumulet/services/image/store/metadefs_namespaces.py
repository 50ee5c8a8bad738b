# SPDX-License-Identifier: Apache-2.0
"""Namespaces of metadata definitions in the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, delete, func, or_, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.image.store.pages import paged
from cumulet.services.image.tables import metadef_association
from cumulet.services.image.tables import metadef_namespace as table
from cumulet.services.image.types import Namespace

SORT_KEYS = table.columns.keys()
_MAY_BE_EMPTY = frozenset({"display_name", "description", "owner"})


class NamespacePage(msgspec.Struct, frozen=True, kw_only=True):
    """Which namespaces are looked for, in which order, and how many.

    `project_id` is whose view it is; `everywhere` is an administrator's. `resource_types`: only those meant for one of
    these (None: whatever they are meant for). The page begins after the namespace `marker`.
    """

    project_id: str | None
    everywhere: bool = False
    visibility: str | None = None
    resource_types: tuple[str, ...] | None = None
    sort_key: str = "created_at"
    descending: bool = True
    marker: Namespace | None = None
    limit: int = 25


def find(source: Source, name: str) -> Namespace | None:
    return sql.find(source, table, Namespace, namespace=name)


def find_all(source: Source, page: NamespacePage) -> list[Namespace]:
    """One page of namespaces that the viewer may see."""
    query = select(table)
    if not page.everywhere:
        ways = [table.c.visibility == "public", table.c.owner.is_(None)]
        if page.project_id is not None:
            ways.append(table.c.owner == page.project_id)
        query = query.where(or_(*ways))
    if page.visibility is not None:
        query = query.where(table.c.visibility == page.visibility)
    if page.resource_types is not None:
        meant = select(metadef_association.c.namespace_id).where(
            sql.any_of(metadef_association.c.name, page.resource_types)
        )
        query = query.where(table.c.id.in_(meant))
    names = list(dict.fromkeys((page.sort_key, "created_at", "id")))
    query = paged(
        query,
        [(_key(name), page.descending) for name in names],
        None if page.marker is None else [_value(page.marker, name) for name in names],
    )
    return sql.rows(source, query.limit(page.limit), Namespace)


def every(source: Source) -> list[Namespace]:
    """All namespaces, by name."""
    return sql.rows(source, select(table).order_by(table.c.namespace), Namespace)


def add(tx: Tx, new: Namespace) -> None:
    sql.add(tx, table, new)


def change(tx: Tx, namespace_id: str, changes: Mapping[str, Any]) -> None:
    sql.execute(tx, update(table).where(table.c.id == namespace_id).values(dict(changes)))


def remove(tx: Tx, namespace_id: str) -> None:
    """Remove a namespace with all that is in it."""
    sql.execute(tx, delete(table).where(table.c.id == namespace_id))


def _key(name: str) -> ColumnElement[Any]:
    return func.coalesce(table.c[name], "") if name in _MAY_BE_EMPTY else table.c[name]


def _value(marker: Namespace, name: str) -> Any:
    value = getattr(marker, name)
    return "" if value is None else value
