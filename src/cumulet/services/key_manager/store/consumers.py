# SPDX-License-Identifier: Apache-2.0
"""Consumers of secrets and of containers in the database: two tables of one shape, chosen by the row's Struct."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from sqlalchemy import Column, Table, delete, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.key_manager.store import pages
from cumulet.services.key_manager.tables import container_consumer, secret_consumer
from cumulet.services.key_manager.types import ContainerConsumer, Page, SecretConsumer

T = TypeVar("T", SecretConsumer, ContainerConsumer)

# The table, what it says of whose consumer it is, and what a page of them is sorted by.
_PLACES: Mapping[type, tuple[Table, Column[Any], Column[Any]]] = {
    SecretConsumer: (secret_consumer, secret_consumer.c.secret_id, secret_consumer.c.created_at),
    ContainerConsumer: (container_consumer, container_consumer.c.container_id, container_consumer.c.name),
}


def find_all(source: Source, kind: type[T], owner_ids: Iterable[str]) -> dict[str, list[T]]:
    """The consumers of several secrets or containers, by the owner's id."""
    table, owner, _ = _PLACES[kind]
    query = select(table).where(sql.any_of(owner, owner_ids)).order_by(table.c.created_at, table.c.id)
    found: dict[str, list[T]] = {}
    for row in sql.rows(source, query, kind):
        found.setdefault(getattr(row, owner.name), []).append(row)
    return found


def page(source: Source, kind: type[T], owner_id: str, wanted: Page) -> tuple[list[T], int]:
    table, owner, order = _PLACES[kind]
    return pages.page(source, select(table).where(owner == owner_id).order_by(order, table.c.id), wanted, kind)


def find(source: Source, kind: type[T], owner_id: str, **equal: Any) -> T | None:
    """A consumer of the secret or container whose columns hold these values."""
    table, owner, _ = _PLACES[kind]
    return sql.find(source, table, kind, **{owner.name: owner_id}, **equal)


def count(source: Source, kind: type[T], project_id: str) -> int:
    """How many a project has registered."""
    table = _PLACES[kind][0]
    return pages.count(source, select(table.c.id).where(table.c.project_id == project_id))


def add(tx: Tx, new: SecretConsumer | ContainerConsumer) -> None:
    sql.add(tx, _PLACES[type(new)][0], new)


def remove(tx: Tx, old: SecretConsumer | ContainerConsumer) -> None:
    table = _PLACES[type(old)][0]
    sql.execute(tx, delete(table).where(table.c.id == old.id))
