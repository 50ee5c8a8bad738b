# SPDX-License-Identifier: Apache-2.0
"""Which rows a caller may know of: its project's own, and of networks what is shared or leads outside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, false, or_, select

from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, sql
from cumulet.services.network import tables
from cumulet.services.network.store.common import TABLES, Row, find_all
from cumulet.services.network.types import Agent, Network, Port, SecurityGroupRule, Subnet, SubnetPool


def find_visible(source: Source, ctx: Context, kind: type[Row], everywhere: bool, **values: Iterable[Any]) -> list[Row]:
    """The rows that the caller may see, limited to the values given for columns, oldest first."""
    table = TABLES[kind]
    if everywhere:
        return find_all(source, kind, **values)
    query = select(table).where(*(sql.any_of(table.c[name], listed) for name, listed in values.items()))
    return sql.rows(source, query.where(_visible(ctx, kind)).order_by(table.c.created_at, table.c.id), kind)


def _visible(ctx: Context, kind: type) -> ColumnElement[bool]:
    table = TABLES[kind]
    if kind is Agent:
        return false()  # hosts belong to no project
    own = table.c.project_id == ctx.project_id
    network = tables.network
    if kind is Network:
        return or_(own, network.c.shared, network.c.external)
    if kind is Subnet:
        known = select(network.c.id).where(or_(network.c.project_id == ctx.project_id, network.c.shared))
        return or_(own, table.c.network_id.in_(known))
    if kind is SubnetPool:
        return or_(own, table.c.shared)
    if kind is Port:
        mine = select(network.c.id).where(network.c.project_id == ctx.project_id)
        return or_(own, table.c.network_id.in_(mine))
    if kind is SecurityGroupRule:
        group = tables.security_group
        groups = select(group.c.id).where(group.c.project_id == ctx.project_id)
        return or_(own, table.c.security_group_id.in_(groups))
    return own
