# SPDX-License-Identifier: Apache-2.0
"""Limits that differ from the defaults."""

from __future__ import annotations

from sqlalchemy import delete

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.block_storage.tables import quota_limit
from cumulet.services.block_storage.types import QuotaLimit


def limits(source: Source, owner: str) -> dict[str, int]:
    """What is set for a project, or for `class:<name>`, by resource."""
    return {row.resource: row.limit for row in sql.find_all(source, quota_limit, QuotaLimit, project_id=owner)}


def limits_of(source: Source, *owners: str) -> list[dict[str, int]]:
    """The same of each."""
    found: dict[str, dict[str, int]] = {owner: {} for owner in owners}
    for row in sql.find_all(source, quota_limit, QuotaLimit, project_id=owners):
        found[row.project_id][row.resource] = row.limit
    return [found[owner] for owner in owners]


def put(tx: Tx, owner: str, values: dict[str, int]) -> None:
    """Set limits of `owner`, leaving its others as they are."""
    mine = quota_limit.c.project_id == owner
    sql.execute(tx, delete(quota_limit).where(mine, sql.any_of(quota_limit.c.resource, values)))
    sql.add(tx, quota_limit, *(QuotaLimit(owner, name, limit) for name, limit in values.items()))


def remove(tx: Tx, owner: str) -> None:
    sql.execute(tx, delete(quota_limit).where(quota_limit.c.project_id == owner))
