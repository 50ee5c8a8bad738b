# SPDX-License-Identifier: Apache-2.0
"""Mappings in the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.tables import mapping
from cumulet.services.identity.types import Mapping


def find(source: Source, mapping_id: str) -> Mapping | None:
    return sql.find(source, mapping, Mapping, id=mapping_id)


def find_all(source: Source) -> list[Mapping]:
    return sql.rows(source, select(mapping).order_by(mapping.c.id), Mapping)


def add(tx: Tx, new: Mapping) -> None:
    sql.add(tx, mapping, new)


def change(tx: Tx, mapping_id: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(mapping).where(mapping.c.id == mapping_id).values(changes))


def remove(tx: Tx, mapping_id: str) -> None:
    sql.execute(tx, delete(mapping).where(mapping.c.id == mapping_id))
