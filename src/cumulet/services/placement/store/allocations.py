# SPDX-License-Identifier: Apache-2.0
"""Consumers and their allocations in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.placement.tables import allocation, consumer
from cumulet.services.placement.types import Allocation, Consumer


def find_consumers(source: Source, uuids: Iterable[str]) -> dict[str, Consumer]:
    query = select(consumer).where(sql.any_of(consumer.c.uuid, uuids))
    return {found.uuid: found for found in sql.rows(source, query, Consumer)}


def of_consumers(source: Source, uuids: Iterable[str]) -> list[Allocation]:
    query = select(allocation).where(sql.any_of(allocation.c.consumer_uuid, uuids))
    order = (allocation.c.consumer_uuid, allocation.c.provider_uuid, allocation.c.resource_class)
    return sql.rows(source, query.order_by(*order), Allocation)


def of_provider(source: Source, uuid: str) -> list[Allocation]:
    query = select(allocation).where(allocation.c.provider_uuid == uuid)
    return sql.rows(source, query.order_by(allocation.c.consumer_uuid, allocation.c.resource_class), Allocation)


def consumers_of(source: Source, provider: str, kind: str) -> list[str]:
    """Who of this type holds anything of the provider."""
    query = select(consumer.c.uuid).distinct().join(allocation, allocation.c.consumer_uuid == consumer.c.uuid)
    return sql.column(source, query.where(allocation.c.provider_uuid == provider, consumer.c.type == kind))


def idle_consumers(source: Source) -> list[str]:
    """Consumers that hold nothing; there should be none."""
    held = select(allocation.c.consumer_uuid)
    return sql.column(source, select(consumer.c.uuid).where(consumer.c.uuid.not_in(held)))


def add_consumer(tx: Tx, new: Consumer) -> None:
    sql.add(tx, consumer, new)


def change_consumer(tx: Tx, uuid: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(consumer).where(consumer.c.uuid == uuid).values(changes))


def remove_consumers(tx: Tx, uuids: Iterable[str]) -> None:
    sql.execute(tx, delete(consumer).where(sql.any_of(consumer.c.uuid, uuids)))


def add(tx: Tx, new: Iterable[Allocation]) -> None:
    sql.add(tx, allocation, *new)


def remove(tx: Tx, consumers: Iterable[str]) -> None:
    """Remove all that the consumers hold."""
    sql.execute(tx, delete(allocation).where(sql.any_of(allocation.c.consumer_uuid, consumers)))


def rename_class(tx: Tx, old: str, new: str) -> None:
    sql.execute(tx, update(allocation).where(allocation.c.resource_class == old).values(resource_class=new))
