# SPDX-License-Identifier: Apache-2.0
"""Limits that differ from the defaults."""

from __future__ import annotations

from sqlalchemy import delete, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.block_storage.tables import quota_limit
from cumulet.services.block_storage.types import QuotaLimit


def limits(source: Source, owner: str) -> dict[str, int]:
    """What is set for a project, or for `class:<name>`, by resource."""
    query = select(quota_limit).where(quota_limit.c.project_id == owner)
    return {row.resource: row.limit for row in sql.rows(source, query, QuotaLimit)}


def put(tx: Tx, owner: str, values: dict[str, int]) -> None:
    """Set limits of `owner`, leaving its others as they are."""
    mine = quota_limit.c.project_id == owner
    sql.execute(tx, delete(quota_limit).where(mine, sql.any_of(quota_limit.c.resource, values)))
    sql.add(tx, quota_limit, *(QuotaLimit(owner, name, limit) for name, limit in values.items()))


def remove(tx: Tx, owner: str) -> None:
    sql.execute(tx, delete(quota_limit).where(quota_limit.c.project_id == owner))
