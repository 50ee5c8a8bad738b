# SPDX-License-Identifier: Apache-2.0
"""Projects' limits and what they use."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import bindparam, delete, func, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.network import tables
from cumulet.services.network.types import Quota

COUNTED = {
    "network": tables.network,
    "subnet": tables.subnet,
    "subnetpool": tables.subnet_pool,
    "port": tables.port,
    "router": tables.router,
    "floatingip": tables.floating_ip,
    "security_group": tables.security_group,
    "security_group_rule": tables.security_group_rule,
}
_USED = {
    name: select(func.count()).select_from(table).where(table.c.project_id == bindparam("project"))
    for name, table in COUNTED.items()
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
    """How many of `resource` the project has."""
    return int(sql.scalar(source, _USED[resource], {"project": project_id}) or 0)
