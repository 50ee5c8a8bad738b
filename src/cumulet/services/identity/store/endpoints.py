# SPDX-License-Identifier: Apache-2.0
"""Endpoints in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.store.filters import Filter, apply
from cumulet.services.identity.tables import endpoint
from cumulet.services.identity.types import Endpoint


def find(source: Source, endpoint_id: str) -> Endpoint | None:
    return sql.find(source, endpoint, Endpoint, id=endpoint_id)


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[Endpoint]:
    return sql.rows(source, apply(select(endpoint).order_by(endpoint.c.id), endpoint, filters), Endpoint)


def add(tx: Tx, new: Endpoint) -> None:
    sql.add(tx, endpoint, new)


def change(tx: Tx, endpoint_id: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(endpoint).where(endpoint.c.id == endpoint_id).values(changes))


def remove(tx: Tx, endpoint_id: str) -> None:
    sql.execute(tx, delete(endpoint).where(endpoint.c.id == endpoint_id))
