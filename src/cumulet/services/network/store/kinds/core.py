# SPDX-License-Identifier: Apache-2.0
"""What every cloud has: networks, subnets, ports, routers, floating IPs, security groups; and the hosts."""

from __future__ import annotations

from functools import partial

from sqlalchemy import ColumnElement, and_, or_, select

from cumulet.kernel.context import Context
from cumulet.services.network import tables
from cumulet.services.network.store.kinds.base import Kind, granted, nobody, own, own_or_shared
from cumulet.services.network.types import (
    Agent,
    FloatingIp,
    Network,
    Port,
    Router,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    SubnetPool,
)


def _networks(ctx: Context) -> ColumnElement[bool]:
    return or_(own(tables.network, ctx), _lent(ctx))


def _lent(ctx: Context) -> ColumnElement[bool]:
    """Networks that are shared with the caller's project, or external for it."""
    table = tables.network
    return or_(table.c.shared, and_(table.c.external, ~table.c.limited), granted(table, ctx))


def _subnets(ctx: Context) -> ColumnElement[bool]:
    """Those of others on the caller's own networks are not among them, as in Neutron."""
    lent = select(tables.network.c.id).where(_lent(ctx))
    return or_(own(tables.subnet, ctx), tables.subnet.c.network_id.in_(lent))


def _pools(ctx: Context) -> ColumnElement[bool]:
    return or_(own(tables.subnet_pool, ctx), tables.subnet_pool.c.shared, granted(tables.subnet_pool, ctx))


def _ports(ctx: Context) -> ColumnElement[bool]:
    mine = select(tables.network.c.id).where(own(tables.network, ctx))
    return or_(own(tables.port, ctx), tables.port.c.network_id.in_(mine))


def _rules(ctx: Context) -> ColumnElement[bool]:
    mine = select(tables.security_group.c.id).where(own(tables.security_group, ctx))
    return or_(own(tables.security_group_rule, ctx), tables.security_group_rule.c.security_group_id.in_(mine))


KINDS = (
    Kind(Network, tables.network, "NetworkNotFound", "network", _networks),
    Kind(Subnet, tables.subnet, "SubnetNotFound", "subnet", _subnets),
    Kind(SubnetPool, tables.subnet_pool, "SubnetPoolNotFound", "subnetpool", seen=_pools),
    Kind(Port, tables.port, "PortNotFound", "port", _ports),
    Kind(Router, tables.router, "RouterNotFound", "router"),
    Kind(FloatingIp, tables.floating_ip, "FloatingIPNotFound", "floatingip"),
    Kind(
        SecurityGroup,
        tables.security_group,
        "SecurityGroupNotFound",
        "security_group",
        partial(own_or_shared, tables.security_group),
    ),
    Kind(
        SecurityGroupRule,
        tables.security_group_rule,
        "SecurityGroupRuleNotFound",
        "security_group_rule",
        _rules,
    ),
    Kind(Agent, tables.agent, "AgentNotFound", seen=nobody),
)
