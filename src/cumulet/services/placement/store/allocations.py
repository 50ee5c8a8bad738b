# SPDX-License-Identifier: Apache-2.0
"""Consumers and their allocations in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.placement.tables import allocation, consumer
from cumulet.services.placement.types import Allocation, Consumer


def find_consumers(source: Source, uuids: Iterable[str]) -> dict[str, Consumer]:
    return {found.uuid: found for found in sql.find_all(source, consumer, Consumer, uuid=list(uuids))}


def of_consumers(source: Source, uuids: Iterable[str]) -> list[Allocation]:
    order = ("consumer_uuid", "provider_uuid", "resource_class")
    return sql.find_all(source, allocation, Allocation, order, consumer_uuid=list(uuids))


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
    sql.change(tx, consumer, changes, uuid=uuid)


def remove_consumers(tx: Tx, uuids: Iterable[str]) -> None:
    sql.remove(tx, consumer, uuid=list(uuids))


def add(tx: Tx, new: Iterable[Allocation]) -> None:
    sql.add(tx, allocation, *new)


def remove(tx: Tx, consumers: Iterable[str]) -> None:
    """Remove all that the consumers hold."""
    sql.remove(tx, allocation, consumer_uuid=list(consumers))


def rename_class(tx: Tx, old: str, new: str) -> None:
    sql.execute(tx, update(allocation).where(allocation.c.resource_class == old).values(resource_class=new))
