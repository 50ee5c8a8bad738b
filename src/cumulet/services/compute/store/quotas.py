# SPDX-License-Identifier: Apache-2.0
"""Limits that differ from the defaults, and server groups, in the database."""

from __future__ import annotations

from sqlalchemy import delete, func, select

from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.compute.tables import quota_limit, server_group
from cumulet.services.compute.types import QuotaLimit, ServerGroup


def limits(source: Source, scope: str) -> dict[str, int]:
    return {row.resource: row.hard_limit for row in sql.find_all(source, quota_limit, QuotaLimit, scope=scope)}


def set_limits(tx: Tx, scope: str, changes: dict[str, int]) -> None:
    mine = [quota_limit.c.scope == scope, sql.any_of(quota_limit.c.resource, changes)]
    sql.execute(tx, delete(quota_limit).where(*mine))
    new = [QuotaLimit(scope=scope, resource=name, hard_limit=limit) for name, limit in changes.items()]
    sql.add(tx, quota_limit, *new)


def clear_limits(tx: Tx, scope: str) -> None:
    sql.execute(tx, delete(quota_limit).where(quota_limit.c.scope == scope))


def clear_limits_below(tx: Tx, prefix: str) -> None:
    """Clear the limits of all scopes that begin so."""
    sql.execute(tx, delete(quota_limit).where(quota_limit.c.scope.startswith(prefix, autoescape=True)))


def groups(source: Source, ctx: Context, everywhere: bool) -> list[ServerGroup]:
    query = sql.visible(select(server_group), ctx, server_group.c.project_id, everywhere=everywhere)
    return sql.rows(source, query.order_by(server_group.c.created_at, server_group.c.id), ServerGroup)


def groups_of(source: Source, project_id: str) -> list[ServerGroup]:
    return sql.rows(source, select(server_group).where(server_group.c.project_id == project_id), ServerGroup)


def find_group(source: Source, group_id: str) -> ServerGroup | None:
    return sql.find(source, server_group, ServerGroup, id=group_id)


def count_groups(source: Source, project_id: str) -> int:
    return int(sql.scalar(source, select(func.count()).where(server_group.c.project_id == project_id)))


def add_group(tx: Tx, new: ServerGroup) -> None:
    sql.add(tx, server_group, new)


def remove_group(tx: Tx, group_id: str) -> None:
    sql.execute(tx, delete(server_group).where(server_group.c.id == group_id))
