# SPDX-License-Identifier: Apache-2.0
"""Questions about QoS policies: their rules, and what they are attached to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import Column, and_, or_, select

from cumulet.kernel.db import Source, sql
from cumulet.services.network import tables
from cumulet.services.network.store import common
from cumulet.services.network.types import Network, Port, QosPolicy, QosRule, Router
from cumulet.services.network.types.qos import PARAMETERS

_PORT, _NETWORK = tables.port, tables.network
# Neutron's names of what uses a policy, in the order in which it looks.
_USERS: tuple[tuple[str, Column[str | None]], ...] = (
    ("port", _PORT.c.qos_policy_id),
    ("network", _NETWORK.c.qos_policy_id),
    ("fip", tables.floating_ip.c.qos_policy_id),
    ("router", tables.router.c.gateway_qos_policy_id),
)
_ORDER = {type_: position for position, type_ in enumerate(PARAMETERS)}


def rules_of(source: Source, policy_ids: Iterable[str]) -> dict[str, list[QosRule]]:
    """Each policy's rules by type, the oldest first."""
    found: dict[str, list[QosRule]] = defaultdict(list)
    rules = common.find_all(source, QosRule, qos_policy_id=set(policy_ids))
    for rule in sorted(rules, key=lambda rule: _ORDER[rule.type]):
        found[rule.qos_policy_id].append(rule)
    return found


def default_of(source: Source, project_id: str) -> QosPolicy | None:
    """The project's default policy."""
    return sql.find(source, tables.qos_policy, QosPolicy, project_id=project_id, is_default=True)


def user_of(source: Source, policy_id: str) -> tuple[str, str] | None:
    """Something that the policy is attached to: `port`, `network`, `fip` or `router`, and its id."""
    for word, column in _USERS:
        found = sql.scalar(source, select(column.table.c.id).where(column == policy_id).limit(1))
        if found is not None:
            return word, str(found)
    return None


def projects_using(source: Source, policy_id: str) -> set[str]:
    """The projects that have attached the policy to something."""
    found: set[str] = set()
    for _, column in _USERS:
        query = select(column.table.c.project_id).where(column == policy_id).distinct()
        found |= set(sql.column(source, query))
    return found


def ports_under(source: Source, policy_ids: Iterable[str]) -> list[Port]:
    """The ports that have one of the policies: of their own, or, where they have none, their network's."""
    listed = set(policy_ids)
    networks = select(_NETWORK.c.id).where(sql.any_of(_NETWORK.c.qos_policy_id, listed))
    inherited = and_(_PORT.c.qos_policy_id.is_(None), _PORT.c.network_id.in_(networks))
    query = select(_PORT).where(or_(sql.any_of(_PORT.c.qos_policy_id, listed), inherited))
    return sql.rows(source, query.order_by(_PORT.c.created_at, _PORT.c.id), Port)


def ports_without(source: Source, network_id: str) -> list[Port]:
    """The network's ports that have no policy of their own."""
    query = select(_PORT).where(_PORT.c.network_id == network_id, _PORT.c.qos_policy_id.is_(None))
    return sql.rows(source, query.order_by(_PORT.c.created_at, _PORT.c.id), Port)


def networks_with_policy(source: Source, network_ids: Iterable[str]) -> set[str]:
    """Those of the networks that have a policy."""
    networks = common.find_all(source, Network, _NETWORK.c.qos_policy_id.is_not(None), id=set(network_ids))
    return {network.id for network in networks}


def routers_of_policies(source: Source, policy_ids: Iterable[str]) -> list[Router]:
    """The routers whose gateways, or floating IPs, have one of the policies."""
    listed = set(policy_ids)
    floating = select(tables.floating_ip.c.router_id).where(sql.any_of(tables.floating_ip.c.qos_policy_id, listed))
    table = tables.router
    query = select(table).where(or_(sql.any_of(table.c.gateway_qos_policy_id, listed), table.c.id.in_(floating)))
    return sql.rows(source, query, Router)
