# SPDX-License-Identifier: Apache-2.0
"""Service providers in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.store.filters import Filter, apply
from cumulet.services.identity.tables import service_provider
from cumulet.services.identity.types import ServiceProvider


def find(source: Source, provider_id: str) -> ServiceProvider | None:
    return sql.find(source, service_provider, ServiceProvider, id=provider_id)


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[ServiceProvider]:
    query = select(service_provider).order_by(service_provider.c.id)
    return sql.rows(source, apply(query, service_provider, filters), ServiceProvider)


def add(tx: Tx, new: ServiceProvider) -> None:
    sql.add(tx, service_provider, new)


def change(tx: Tx, provider_id: str, changes: dict[str, Any]) -> None:
    sql.execute(tx, update(service_provider).where(service_provider.c.id == provider_id).values(changes))


def remove(tx: Tx, provider_id: str) -> None:
    sql.execute(tx, delete(service_provider).where(service_provider.c.id == provider_id))
