# SPDX-License-Identifier: Apache-2.0
"""Questions that cross resources: overlaps, uses, what a host needs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import BindParameter, and_, bindparam, or_, select, union

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.network import tables
from cumulet.services.network.types import (
    AS_SHARED,
    OWNER_CENTRAL_SNAT,
    OWNER_COMPUTE,
    OWNER_ROUTER_GATEWAY,
    OWNER_SUBPORT,
    OWNERS_INSIDE,
    Agent,
    BoundPort,
    Epoch,
    FarPort,
    FloatingIp,
    Network,
    Port,
    Router,
    SecurityGroup,
    ServerPort,
)
from cumulet.services.network.types.bindings import BINDING_FAILED, BRIDGE
from cumulet.services.network.types.plugs import PLUGGED

_PORT, _MEMBER, _RULE = tables.port, tables.membership, tables.security_group_rule
_IS_SERVERS = _PORT.c.device_owner.startswith(OWNER_COMPUTE)
_OF_SERVERS = (_PORT.c.device_id.in_(bindparam("servers", expanding=True)), _IS_SERVERS)
_IN_ORDER = (_PORT.c.device_id, _PORT.c.position, _PORT.c.created_at)
_SERVER_PORTS = select(_PORT).where(*_OF_SERVERS).order_by(*_IN_ORDER)
_PORTS_OF_SERVERS = (
    select(*(_PORT.c[name] for name in ServerPort.__struct_fields__)).where(*_OF_SERVERS).order_by(*_IN_ORDER)
)
_IS_OURS = or_(_PORT.c.vif_type.is_(None), _PORT.c.vif_type.in_((BRIDGE, BINDING_FAILED, *PLUGGED)))
_IS_PLUGGED = or_(_IS_SERVERS, _PORT.c.device_owner == OWNER_SUBPORT)
_IS_BOUND = (_PORT.c.host == bindparam("host"), _IS_PLUGGED, _IS_OURS)
_BOUND_PORTS = select(*(_PORT.c[name] for name in BoundPort.__struct_fields__)).where(*_IS_BOUND).order_by(_PORT.c.id)
_BOUND_STATUSES = select(_PORT.c.id, _PORT.c.status, _PORT.c.trunk_id).where(*_IS_BOUND)
_REACH, _PLACE, _ROUTER = tables.router_reach, tables.router_place, tables.router
_BESIDE = _REACH.alias()
_ON: BindParameter[Any] = bindparam("networks", expanding=True)
_HOSTS_ON = select(
    union(
        select(_PORT.c.host).where(_PORT.c.network_id.in_(_ON), _PORT.c.host != ""),
        select(_PLACE.c.host)
        .join(_REACH, _REACH.c.router_id == _PLACE.c.router_id)
        .where(_REACH.c.network_id.in_(_ON)),
        select(_PORT.c.host)
        .join(_REACH, _REACH.c.network_id == _PORT.c.network_id)
        .join(_ROUTER, and_(_ROUTER.c.id == _REACH.c.router_id, _ROUTER.c.distributed))
        .where(
            _PORT.c.host != "",
            _REACH.c.router_id.in_(select(_BESIDE.c.router_id).where(_BESIDE.c.network_id.in_(_ON))),
        ),
    )
    .subquery()
    .c.host
)
_HOSTS_OF_MEMBERS = (
    select(_PORT.c.host)
    .join(_MEMBER, _MEMBER.c.port_id == _PORT.c.id)
    .where(_MEMBER.c.security_group_id.in_(bindparam("groups", expanding=True)), _PORT.c.host != "")
    .distinct()
)
_GROUPS_ADMITTING = (
    select(_RULE.c.security_group_id).where(_RULE.c.remote_group_id.in_(bindparam("groups", expanding=True))).distinct()
)
_PORTS_ELSEWHERE = (
    select(
        *(
            _PORT.c[name]
            for name in ("id", "network_id", "mac_address", "host", "device_id", "device_owner", "dns_name")
        )
    )
    .where(
        _PORT.c.network_id.in_(bindparam("networks", expanding=True)),
        _PORT.c.host != "",
        _PORT.c.host != bindparam("host"),
        _PORT.c.admin_state_up,
        or_(_IS_PLUGGED, _PORT.c.device_owner.in_([*OWNERS_INSIDE, OWNER_ROUTER_GATEWAY, OWNER_CENTRAL_SNAT])),
    )
    .order_by(_PORT.c.id)
)
_NETWORK = tables.network
_WIRES_OF = (
    select(_NETWORK.c.network_type, _NETWORK.c.segment_physical)
    .join(_PORT, _PORT.c.network_id == _NETWORK.c.id)
    .where(
        _PORT.c.device_id == bindparam("router"),
        _PORT.c.device_owner.in_([*OWNERS_INSIDE, OWNER_ROUTER_GATEWAY]),
        _NETWORK.c.segment_physical.is_not(None),
        _NETWORK.c.segment_count == 1,
    )
    .distinct()
)
_FLOATING, _FORWARDING = tables.floating_ip, tables.port_forwarding
_LED_TO: BindParameter[Any] = bindparam("ports", expanding=True)
_FLOATING_LEADING_TO = (
    select(_FLOATING)
    .where(
        or_(
            _FLOATING.c.port_id.in_(_LED_TO),
            _FLOATING.c.id.in_(select(_FORWARDING.c.floatingip_id).where(_FORWARDING.c.internal_port_id.in_(_LED_TO))),
        )
    )
    .order_by(_FLOATING.c.created_at, _FLOATING.c.id)
)


def server_ports(source: Source, server_ids: Iterable[str]) -> list[Port]:
    """The servers' ports in the order of attachment."""
    return sql.rows(source, _SERVER_PORTS, Port, {"servers": list(server_ids)})


def ports_of_servers(source: Source, server_ids: Iterable[str]) -> list[ServerPort]:
    """The same ports, with no more than compute is told of them."""
    return sql.rows(source, _PORTS_OF_SERVERS, ServerPort, {"servers": list(server_ids)})


def bound_ports(source: Source, host: str) -> list[BoundPort]:
    """The servers' ports, and their subports, that are bound to the host."""
    return sql.rows(source, _BOUND_PORTS, BoundPort, {"host": host})


def bound_statuses(source: Source, host: str) -> dict[str, tuple[str, str | None]]:
    """The status of each of these, and the trunk that it is in."""
    return {key: (status, trunk) for key, status, trunk in sql.tuples(source, _BOUND_STATUSES, {"host": host})}


def router_interfaces(source: Source, router_ids: Iterable[str]) -> list[Port]:
    """The inside ports of routers."""
    table = tables.port
    query = select(table).where(
        sql.any_of(table.c.device_id, router_ids), sql.any_of(table.c.device_owner, OWNERS_INSIDE)
    )
    return sql.rows(source, query.order_by(table.c.created_at, table.c.id), Port)


def router_ports(source: Source, router_ids: Iterable[str]) -> list[Port]:
    """All ports of routers."""
    table = tables.port
    owners = [*OWNERS_INSIDE, OWNER_ROUTER_GATEWAY, OWNER_CENTRAL_SNAT]
    query = select(table).where(sql.any_of(table.c.device_id, router_ids), sql.any_of(table.c.device_owner, owners))
    return sql.rows(source, query.order_by(table.c.created_at, table.c.id), Port)


def router_hosts(source: Source) -> list[str]:
    """The host of each router."""
    return list(sql.column(source, select(tables.router.c.host)))


def hosts_on(source: Source, network_ids: Iterable[str]) -> set[str]:
    """The hosts that have ports or routers on these networks."""
    listed = list(network_ids)
    return set(sql.column(source, _HOSTS_ON, {"networks": listed})) if listed else set()


def networks_of_host(source: Source, host: str) -> set[str]:
    """The networks that the host has ports or routers on, those that stand by there too."""
    table = tables.port
    reached = select(_REACH.c.network_id).join(_PLACE, _PLACE.c.router_id == _REACH.c.router_id)
    own = select(table.c.network_id).where(table.c.host == host)
    return set(sql.column(source, own)) | set(sql.column(source, reached.where(_PLACE.c.host == host)))


def hosts_of_members(source: Source, group_ids: Iterable[str]) -> set[str]:
    """The hosts that have ports in these security groups."""
    listed = list(group_ids)
    return set(sql.column(source, _HOSTS_OF_MEMBERS, {"groups": listed})) if listed else set()


def groups_admitting(source: Source, group_ids: Iterable[str]) -> set[str]:
    """The security groups with rules that name one of these as the remote group."""
    listed = list(group_ids)
    return set(sql.column(source, _GROUPS_ADMITTING, {"groups": listed})) if listed else set()


def ports_elsewhere(source: Source, network_ids: Iterable[str], host: str) -> list[FarPort]:
    """The ports of servers and routers on these networks that are bound to other hosts and switched on."""
    return sql.rows(source, _PORTS_ELSEWHERE, FarPort, {"networks": list(network_ids), "host": host})


def wires_of(source: Source, router_id: str) -> frozenset[tuple[str, str]]:
    """The physical networks that networks of the router are on, each with the networks' type.

    Without those of networks of several segments, of which a host needs but one.
    """
    return frozenset((kind, name) for kind, name in sql.tuples(source, _WIRES_OF, {"router": router_id}))


def routers_with_gateway_on(source: Source, network_id: str) -> list[Router]:
    """The routers that lead out by the network, among others maybe."""
    port = tables.port
    leading = select(port.c.device_id).where(
        port.c.network_id == network_id, port.c.device_owner == OWNER_ROUTER_GATEWAY
    )
    return sql.rows(source, select(tables.router).where(tables.router.c.id.in_(leading)), Router)


def default_group(source: Source, project_id: str) -> SecurityGroup | None:
    return sql.find(source, tables.security_group, SecurityGroup, project_id=project_id, is_default=True)


def floating_of_ports(source: Source, port_ids: Iterable[str]) -> list[FloatingIp]:
    """The floating addresses that stand for addresses of these ports."""
    return sql.find_all(source, tables.floating_ip, FloatingIp, ("created_at", "id"), port_id=list(port_ids))


def floating_leading_to(source: Source, port_ids: Iterable[str]) -> list[FloatingIp]:
    """The floating addresses that stand for addresses of these ports, or forward ports of theirs to them."""
    return sql.rows(source, _FLOATING_LEADING_TO, FloatingIp, {"ports": list(port_ids)})


def networks_seen(source: Source, project_id: str) -> list[Network]:
    """The networks that a server of the project may be put on without being asked: its own, and shared ones."""
    table, policy = tables.network, tables.rbac_policy
    named = select(policy.c.object_id).where(policy.c.target_project == project_id, policy.c.action == AS_SHARED)
    shared = or_(table.c.shared, and_(table.c.granted, table.c.id.in_(named)))
    query = select(table).where(or_(table.c.project_id == project_id, shared), or_(~table.c.external, shared))
    return sql.rows(source, query.order_by(table.c.created_at, table.c.id), Network)


def is_mac_taken(source: Source, network_id: str, mac: str) -> bool:
    return sql.find(source, tables.port, Port, network_id=network_id, mac_address=mac) is not None


def agent_of(source: Source, host: str) -> Agent | None:
    return sql.find(source, tables.agent, Agent, host=host)


def epoch(source: Source) -> str | None:
    found = sql.find(source, tables.epoch, Epoch)
    return found.value if found is not None else None


def put_epoch(tx: Tx, value: str) -> None:
    sql.add(tx, tables.epoch, Epoch(1, value))
