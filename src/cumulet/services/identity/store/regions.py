# SPDX-License-Identifier: Apache-2.0
"""Regions in the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.tables import region
from cumulet.services.identity.types import Region


def find(source: Source, region_id: str) -> Region | None:
    return sql.find(source, region, Region, id=region_id)


def find_all(source: Source, parent_region_id: str | None = None) -> list[Region]:
    """All regions, or the children of one."""
    query = select(region).order_by(region.c.id)
    if parent_region_id is not None:
        query = query.where(region.c.parent_region_id == parent_region_id)
    return sql.rows(source, query, Region)


def add(tx: Tx, new: Region) -> None:
    sql.add(tx, region, new)


def change(tx: Tx, region_id: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(region).where(region.c.id == region_id).values(changes))


def remove(tx: Tx, region_id: str) -> None:
    sql.execute(tx, delete(region).where(region.c.id == region_id))
