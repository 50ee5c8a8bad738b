# SPDX-License-Identifier: Apache-2.0
"""Services in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.store.filters import Filter, apply
from cumulet.services.identity.tables import service
from cumulet.services.identity.types import Service


def find(source: Source, service_id: str) -> Service | None:
    return sql.find(source, service, Service, id=service_id)


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[Service]:
    return sql.rows(source, apply(select(service).order_by(service.c.id), service, filters), Service)


def add(tx: Tx, new: Service) -> None:
    sql.add(tx, service, new)


def change(tx: Tx, service_id: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(service).where(service.c.id == service_id).values(changes))


def remove(tx: Tx, service_id: str) -> None:
    """Remove a service with its endpoints and limits."""
    sql.execute(tx, delete(service).where(service.c.id == service_id))
