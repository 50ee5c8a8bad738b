# SPDX-License-Identifier: Apache-2.0
"""Sums over allocations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, bindparam, distinct, func, select

from cumulet.kernel.db import Source, sql
from cumulet.services.placement.tables import allocation, consumer

_USED = func.sum(allocation.c.used)
_PAIR = (allocation.c.provider_uuid, allocation.c.resource_class)
_BY_PROVIDER = (
    select(*_PAIR, _USED).where(allocation.c.provider_uuid.in_(bindparam("providers", expanding=True))).group_by(*_PAIR)
)


def of_providers(source: Source, providers: Iterable[str]) -> dict[tuple[str, str], int]:
    """What is claimed, by provider and class; pairs of which nothing is claimed are absent."""
    found = sql.tuples(source, _BY_PROVIDER, {"providers": list(providers)})
    return {(provider, name): int(used) for provider, name, used in found}


def of_project(source: Source, project_id: str, user_id: str | None) -> dict[tuple[str | None, str], int]:
    """What is claimed for a project (and user), by type of consumer and class."""
    pair = (consumer.c.type, allocation.c.resource_class)
    query = _claims(select(*pair, _USED), project_id, user_id).group_by(*pair)
    return {(kind, name): int(used) for kind, name, used in sql.tuples(source, query)}


def consumers_of_project(source: Source, project_id: str, user_id: str | None) -> dict[str | None, int]:
    """How many consumers a project (and user) has, by their type."""
    query = select(consumer.c.type, func.count(distinct(consumer.c.uuid)))
    query = _claims(query, project_id, user_id).group_by(consumer.c.type)
    return {kind: int(count) for kind, count in sql.tuples(source, query)}


def _claims(query: Select[Any], project_id: str, user_id: str | None) -> Select[Any]:
    query = query.select_from(consumer.join(allocation)).where(consumer.c.project_id == project_id)
    return query if user_id is None else query.where(consumer.c.user_id == user_id)
