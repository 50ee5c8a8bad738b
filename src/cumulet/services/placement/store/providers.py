# SPDX-License-Identifier: Apache-2.0
"""Resource providers in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, delete, select, update

from cumulet.kernel import clock
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.placement.store import candidates
from cumulet.services.placement.tables import allocation, inventory, provider, provider_aggregate, provider_trait
from cumulet.services.placement.types import Provider

_BUMP = (
    update(provider)
    .where(provider.c.uuid.in_(bindparam("uuids", expanding=True)))
    .values(generation=provider.c.generation + 1, updated_at=bindparam("now"))
)


def find(source: Source, uuid: str) -> Provider | None:
    return sql.find(source, provider, Provider, uuid=uuid)


def find_named(source: Source, name: str) -> Provider | None:
    return sql.find(source, provider, Provider, name=name)


def find_some(source: Source, uuids: Iterable[str]) -> dict[str, Provider]:
    """Those of `uuids` that exist, by uuid."""
    return {found.uuid: found for found in sql.find_all(source, provider, Provider, uuid=list(uuids))}


def find_tree(source: Source, root_uuid: str) -> list[Provider]:
    return sql.rows(source, _in_order().where(provider.c.root_uuid == root_uuid), Provider)


def find_all(
    source: Source,
    *,
    name: str | None = None,
    uuid: str | None = None,
    root_uuid: str | None = None,
    with_room: Iterable[candidates.Wanted] = (),
    required: Iterable[Iterable[str]] = (),
    forbidden: Iterable[str] = (),
    member_of: Iterable[Iterable[str]] = (),
    not_member_of: Iterable[str] = (),
) -> list[Provider]:
    """Providers by name, with a trait of each set in `required` and in an aggregate of each set in `member_of`."""
    query = _in_order()
    for column, value in ((provider.c.name, name), (provider.c.uuid, uuid), (provider.c.root_uuid, root_uuid)):
        if value is not None:
            query = query.where(column == value)
    for wanted in with_room:
        query = query.where(provider.c.uuid.in_(candidates.with_room(provider.c.uuid, wanted)))
    for traits in required:
        query = query.where(_has(provider_trait.c.trait, traits))
    for aggregates in member_of:
        query = query.where(_has(provider_aggregate.c.aggregate_uuid, aggregates))
    query = query.where(~_has(provider_trait.c.trait, forbidden))
    query = query.where(~_has(provider_aggregate.c.aggregate_uuid, not_member_of))
    return sql.rows(source, query, Provider)


def has_children(source: Source, uuid: str) -> bool:
    return bool(sql.column(source, select(provider.c.uuid).where(provider.c.parent_uuid == uuid).limit(1)))


def has_allocations(source: Source, uuid: str) -> bool:
    query = select(allocation.c.used).where(allocation.c.provider_uuid == uuid).limit(1)
    return bool(sql.column(source, query))


def add(tx: Tx, new: Provider) -> None:
    sql.add(tx, provider, new)


def change(tx: Tx, uuid: str, changes: dict[str, Any]) -> None:
    sql.change(tx, provider, changes, uuid=uuid)


def move_to_root(tx: Tx, uuids: Iterable[str], root_uuid: str) -> None:
    sql.execute(tx, update(provider).where(sql.any_of(provider.c.uuid, uuids)).values(root_uuid=root_uuid))


def bump(tx: Tx, uuids: Iterable[str]) -> None:
    """Count a change of each provider."""
    sql.execute(tx, _BUMP, {"uuids": list(uuids), "now": clock.utcnow()})


def remove(tx: Tx, uuid: str) -> None:
    """Remove the provider with its inventory and its memberships."""
    for table in (inventory, provider_trait, provider_aggregate):
        sql.execute(tx, delete(table).where(table.c.provider_uuid == uuid))
    sql.execute(tx, delete(provider).where(provider.c.uuid == uuid))


def _in_order() -> Select[Any]:
    return select(provider).order_by(provider.c.name)


def _has(column: ColumnElement[Any], values: Iterable[str]) -> ColumnElement[bool]:
    table = column.table
    return provider.c.uuid.in_(select(table.c.provider_uuid).where(sql.any_of(column, values)))
