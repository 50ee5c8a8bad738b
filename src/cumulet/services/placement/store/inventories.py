# SPDX-License-Identifier: Apache-2.0
"""Inventories in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, exists, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.placement.tables import inventory
from cumulet.services.placement.types import Inventory


def find_all(source: Source, providers: Iterable[str]) -> list[Inventory]:
    order = ("provider_uuid", "resource_class")
    return sql.find_all(source, inventory, Inventory, order, provider_uuid=list(providers))


def has_class(source: Source, resource_class: str) -> bool:
    """Whether any provider has an inventory of the class."""
    return bool(sql.scalar(source, select(exists().where(inventory.c.resource_class == resource_class))))


def add(tx: Tx, *new: Inventory) -> None:
    sql.add(tx, inventory, *new)


def change(tx: Tx, provider: str, resource_class: str, changes: dict[str, Any]) -> None:
    sql.change(tx, inventory, changes, provider_uuid=provider, resource_class=resource_class)


def remove(tx: Tx, provider: str, classes: Iterable[str]) -> None:
    where = (inventory.c.provider_uuid == provider, sql.any_of(inventory.c.resource_class, classes))
    sql.execute(tx, delete(inventory).where(*where))


def rename_class(tx: Tx, old: str, new: str) -> None:
    sql.execute(tx, update(inventory).where(inventory.c.resource_class == old).values(resource_class=new))
