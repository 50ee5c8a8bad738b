# SPDX-License-Identifier: Apache-2.0
"""Projects' limits and what they use."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import bindparam, delete, func, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.network import tables
from cumulet.services.network.store.kinds import KINDS
from cumulet.services.network.types import Quota

_USED = {
    kind.counted: select(func.count()).select_from(kind.table).where(kind.table.c.project_id == bindparam("project"))
    for kind in KINDS
    if kind.counted
}


def limits(source: Source, project_id: str) -> dict[str, int]:
    """The project's own limits, by resource."""
    return {item.resource: item.limit for item in sql.find_all(source, tables.quota, Quota, project_id=project_id)}


def all_limits(source: Source) -> dict[str, dict[str, int]]:
    """Every project that has limits of its own."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for item in sql.rows(source, select(tables.quota).order_by(tables.quota.c.project_id), Quota):
        found[item.project_id][item.resource] = item.limit
    return found


def set_limits(tx: Tx, project_id: str, values: dict[str, int]) -> None:
    """Replace some of the project's limits."""
    table = tables.quota
    sql.execute(tx, delete(table).where(table.c.project_id == project_id, sql.any_of(table.c.resource, values)))
    sql.add(tx, table, *(Quota(project_id, name, value) for name, value in values.items()))


def forget(tx: Tx, project_id: str) -> int:
    """Take the project's own limits away; how many there were."""
    return sql.execute(tx, delete(tables.quota).where(tables.quota.c.project_id == project_id))


def used(source: Source, project_id: str, resource: str) -> int:
    """How many of `resource` the project has; 0 of what is not counted by project."""
    if resource not in _USED:
        return 0
    return int(sql.scalar(source, _USED[resource], {"project": project_id}) or 0)
