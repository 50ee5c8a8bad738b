# SPDX-License-Identifier: Apache-2.0
"""The set-based half of the search for candidates: which trees of providers are worth a look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select

from cumulet.kernel.db import Source, sql
from cumulet.services.placement.tables import allocation, inventory, provider, provider_trait
from cumulet.services.placement.types import SHARING

# A resource class, and an amount of it that one provider has to have room for.
Wanted = tuple[str, int]


def roots_with_room(source: Source, wanted: Sequence[Wanted]) -> set[str]:
    """The roots of those trees that have, for each of `wanted`, some provider with room for it.

    All roots where nothing is wanted.
    """
    query = select(provider.c.uuid).where(provider.c.parent_uuid.is_(None))
    for each in wanted:
        query = query.where(provider.c.uuid.in_(with_room(provider.c.root_uuid, each)))
    return set(sql.column(source, query))


def sharing_with_room(source: Source, wanted: Wanted) -> set[str]:
    """The providers that share what they have, and have room for `wanted`."""
    query = with_room(provider.c.uuid, wanted).where(provider.c.uuid.in_(_sharing()))
    return set(sql.column(source, query))


def sharing_roots(source: Source) -> set[str]:
    """The roots of the trees in which a provider shares what it has."""
    return set(sql.column(source, select(provider.c.root_uuid).where(provider.c.uuid.in_(_sharing()))))


def trees(source: Source, roots: Iterable[str]) -> list[str]:
    """All providers of the trees, by name."""
    query = select(provider.c.uuid).where(sql.any_of(provider.c.root_uuid, roots)).order_by(provider.c.name)
    return sql.column(source, query)


def _sharing() -> Select[Any]:
    return select(provider_trait.c.provider_uuid).where(provider_trait.c.trait == SHARING)


def with_room(column: ColumnElement[Any], wanted: Wanted) -> Select[Any]:
    """A query for one column of the providers that have room for `wanted`."""
    name, amount = wanted
    used = (
        select(allocation.c.provider_uuid, func.sum(allocation.c.used).label("used"))
        .where(allocation.c.resource_class == name)
        .group_by(allocation.c.provider_uuid)
        .subquery()
    )
    capacity = (inventory.c.total - inventory.c.reserved) * inventory.c.allocation_ratio
    return (
        select(column)
        .select_from(
            provider.join(inventory, inventory.c.provider_uuid == provider.c.uuid).outerjoin(
                used, used.c.provider_uuid == provider.c.uuid
            )
        )
        .where(
            and_(
                inventory.c.resource_class == name,
                inventory.c.min_unit <= amount,
                inventory.c.max_unit >= amount,
                amount % inventory.c.step_size == 0,
                func.coalesce(used.c.used, 0) + amount <= capacity,
            )
        )
    )
