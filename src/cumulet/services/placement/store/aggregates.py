# SPDX-License-Identifier: Apache-2.0
"""Which provider is a member of which aggregate."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.placement.tables import provider_aggregate
from cumulet.services.placement.types import ProviderAggregate


def of_providers(source: Source, providers: Iterable[str]) -> list[ProviderAggregate]:
    query = select(provider_aggregate).where(sql.any_of(provider_aggregate.c.provider_uuid, providers))
    return sql.rows(source, query.order_by(provider_aggregate.c.aggregate_uuid), ProviderAggregate)


def associate(tx: Tx, provider: str, aggregates: Iterable[str]) -> None:
    sql.add(tx, provider_aggregate, *(ProviderAggregate(provider, uuid) for uuid in aggregates))


def dissociate(tx: Tx, provider: str, aggregates: Iterable[str]) -> None:
    where = (
        provider_aggregate.c.provider_uuid == provider,
        sql.any_of(provider_aggregate.c.aggregate_uuid, aggregates),
    )
    sql.execute(tx, delete(provider_aggregate).where(*where))
