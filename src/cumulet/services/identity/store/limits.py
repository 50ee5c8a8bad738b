# SPDX-License-Identifier: Apache-2.0
"""Limits in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.store.filters import Filter, apply
from cumulet.services.identity.tables import limit
from cumulet.services.identity.types import Limit


def find(source: Source, limit_id: str) -> Limit | None:
    return sql.find(source, limit, Limit, id=limit_id)


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[Limit]:
    return sql.rows(source, apply(select(limit).order_by(limit.c.id), limit, filters), Limit)


def add(tx: Tx, new: Limit) -> None:
    sql.add(tx, limit, new)


def change(tx: Tx, limit_id: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(limit).where(limit.c.id == limit_id).values(changes))


def remove(tx: Tx, limit_id: str) -> None:
    sql.execute(tx, delete(limit).where(limit.c.id == limit_id))


def remove_of_project(tx: Tx, project_id: str) -> None:
    sql.execute(tx, delete(limit).where(limit.c.project_id == project_id))


def remove_of_domain(tx: Tx, domain_id: str) -> None:
    sql.execute(tx, delete(limit).where(limit.c.domain_id == domain_id))
