# SPDX-License-Identifier: Apache-2.0
"""Custom resource classes in the database."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.placement.tables import resource_class
from cumulet.services.placement.types import ResourceClass


def find(source: Source, name: str) -> ResourceClass | None:
    return sql.find(source, resource_class, ResourceClass, name=name)


def find_some(source: Source, names: Iterable[str]) -> list[ResourceClass]:
    return sql.rows(source, select(resource_class).where(sql.any_of(resource_class.c.name, names)), ResourceClass)


def find_all(source: Source) -> list[ResourceClass]:
    return sql.rows(source, select(resource_class).order_by(resource_class.c.created_at), ResourceClass)


def add(tx: Tx, *new: ResourceClass) -> None:
    sql.add(tx, resource_class, *new)


def rename(tx: Tx, old: str, new: str) -> None:
    sql.execute(tx, update(resource_class).where(resource_class.c.name == old).values(name=new))


def remove(tx: Tx, name: str) -> None:
    sql.execute(tx, delete(resource_class).where(resource_class.c.name == name))
