# SPDX-License-Identifier: Apache-2.0
"""What namespaces of metadata definitions hold, in the database: objects, properties, tags, associations.

All four are found by their namespace and a name of their own, so one set of queries serves them; `kind` is the Struct
of the rows that are meant.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Table, delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.image import tables
from cumulet.services.image.store.pages import paged
from cumulet.services.image.types import Association, MetadefObject, MetadefProperty, MetadefTag, ResourceType

Part: TypeAlias = MetadefObject | MetadefProperty | MetadefTag | Association
P = TypeVar("P", bound=Part)

TAG_SORT_KEYS = ("created_at", "updated_at", "name")

_TABLES: Mapping[type, Table] = {
    MetadefObject: tables.metadef_object,
    MetadefProperty: tables.metadef_property,
    MetadefTag: tables.metadef_tag,
    Association: tables.metadef_association,
}


def find(source: Source, kind: type[P], namespace_id: str, name: str) -> P | None:
    return sql.find(source, _TABLES[kind], kind, namespace_id=namespace_id, name=name)


def find_all(source: Source, kind: type[P], namespace_id: str) -> list[P]:
    """All of a kind, in the order of their making."""
    table = _TABLES[kind]
    query = select(table).where(table.c.namespace_id == namespace_id).order_by(table.c.created_at, table.c.name)
    return sql.rows(source, query, kind)


def of_each(source: Source, namespace_ids: Iterable[str]) -> dict[str, list[Association]]:
    """The associations of several namespaces, by namespace."""
    table = tables.metadef_association
    query = select(table).where(sql.any_of(table.c.namespace_id, namespace_ids)).order_by(table.c.name)
    found: dict[str, list[Association]] = defaultdict(list)
    for each in sql.rows(source, query, Association):
        found[each.namespace_id].append(each)
    return found


def tags(
    source: Source,
    namespace_id: str,
    *,
    sort_key: str,
    descending: bool,
    marker: MetadefTag | None,
    limit: int | None,
) -> list[MetadefTag]:
    """One page of a namespace's tags; `limit` None: all of them."""
    table = tables.metadef_tag
    names = list(dict.fromkeys((sort_key, "created_at", "name")))
    query = select(table).where(table.c.namespace_id == namespace_id)
    query = paged(
        query,
        [(table.c[name], descending) for name in names],
        None if marker is None else [getattr(marker, name) for name in names],
    )
    return sql.rows(source, query if limit is None else query.limit(limit), MetadefTag)


def resource_types(source: Source) -> list[ResourceType]:
    table = tables.metadef_resource_type
    return sql.rows(source, select(table).order_by(table.c.created_at, table.c.name), ResourceType)


def add(tx: Tx, *rows: Part) -> None:
    for row in rows:
        sql.add(tx, _TABLES[type(row)], row)


def know_resource_type(tx: Tx, name: str, now: datetime) -> None:
    """Let there be a resource type of that name."""
    table = tables.metadef_resource_type
    if sql.find(tx, table, ResourceType, name=name) is None:
        sql.add(tx, table, ResourceType(name, now, now))


def forget_resource_types(tx: Tx) -> None:
    """Remove all resource types; no association may be left."""
    sql.execute(tx, delete(tables.metadef_resource_type))


def change(tx: Tx, kind: type[P], namespace_id: str, name: str, changes: Mapping[str, Any]) -> None:
    table = _TABLES[kind]
    where = (table.c.namespace_id == namespace_id) & (table.c.name == name)
    sql.execute(tx, update(table).where(where).values(dict(changes)))


def remove(tx: Tx, kind: type[P], namespace_id: str, name: str) -> None:
    table = _TABLES[kind]
    sql.execute(tx, delete(table).where(table.c.namespace_id == namespace_id, table.c.name == name))


def clear(tx: Tx, kind: type[P], namespace_id: str) -> None:
    """Remove all of a kind."""
    table = _TABLES[kind]
    sql.execute(tx, delete(table).where(table.c.namespace_id == namespace_id))
