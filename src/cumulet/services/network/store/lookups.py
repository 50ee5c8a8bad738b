# SPDX-License-Identifier: Apache-2.0
"""Questions that cross resources: overlaps, uses, what a host needs."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import func, or_, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.network import tables
from cumulet.services.network.types import (
    OWNER_COMPUTE,
    OWNER_ROUTER_GATEWAY,
    OWNER_ROUTER_INTERFACE,
    Agent,
    Epoch,
    FarPort,
    FloatingIp,
    Network,
    Port,
    Router,
    SecurityGroup,
)


def server_ports(source: Source, server_ids: Iterable[str]) -> list[Port]:
    """The servers' ports in the order of attachment."""
    table = tables.port
    query = select(table).where(
        sql.any_of(table.c.device_id, server_ids), table.c.device_owner.startswith(OWNER_COMPUTE)
    )
    return sql.rows(source, query.order_by(table.c.device_id, table.c.position, table.c.created_at), Port)


def bound_ports(source: Source, host: str) -> list[Port]:
    """The servers' ports that are bound to the host."""
    table = tables.port
    query = select(table).where(table.c.host == host, table.c.device_owner.startswith(OWNER_COMPUTE))
    return sql.rows(source, query.order_by(table.c.id), Port)


def router_interfaces(source: Source, router_ids: Iterable[str]) -> list[Port]:
    """The inside ports of routers."""
    table = tables.port
    query = select(table).where(
        sql.any_of(table.c.device_id, router_ids), table.c.device_owner == OWNER_ROUTER_INTERFACE
    )
    return sql.rows(source, query.order_by(table.c.created_at, table.c.id), Port)


def router_ports(source: Source, router_ids: Iterable[str]) -> list[Port]:
    """The inside ports of routers, and their gateways'."""
    table = tables.port
    owners = [OWNER_ROUTER_INTERFACE, OWNER_ROUTER_GATEWAY]
    query = select(table).where(sql.any_of(table.c.device_id, router_ids), sql.any_of(table.c.device_owner, owners))
    return sql.rows(source, query.order_by(table.c.created_at, table.c.id), Port)


def router_hosts(source: Source) -> list[str]:
    """The host of each router."""
    return list(sql.column(source, select(tables.router.c.host)))


def hosts_on(source: Source, network_ids: Iterable[str]) -> set[str]:
    """The hosts that have ports or routers on these networks."""
    table = tables.port
    query = select(table.c.host).where(sql.any_of(table.c.network_id, network_ids), table.c.host != "")
    return set(sql.column(source, query.distinct()))


def networks_of_host(source: Source, host: str) -> set[str]:
    """The networks that the host has ports or routers on."""
    table = tables.port
    return set(sql.column(source, select(table.c.network_id).where(table.c.host == host).distinct()))


def hosts_of_members(source: Source, group_ids: Iterable[str]) -> set[str]:
    """The hosts that have ports in these security groups."""
    table, member = tables.port, tables.membership
    query = (
        select(table.c.host)
        .join(member, member.c.port_id == table.c.id)
        .where(sql.any_of(member.c.security_group_id, group_ids), table.c.host != "")
    )
    return set(sql.column(source, query.distinct()))


def groups_admitting(source: Source, group_ids: Iterable[str]) -> set[str]:
    """The security groups with rules that name one of these as the remote group."""
    table = tables.security_group_rule
    query = select(table.c.security_group_id).where(sql.any_of(table.c.remote_group_id, group_ids))
    return set(sql.column(source, query.distinct()))


def ports_elsewhere(source: Source, network_ids: Iterable[str], host: str) -> list[FarPort]:
    """The ports of servers and routers on these networks that are bound to other hosts and switched on."""
    table = tables.port
    owners = [OWNER_ROUTER_INTERFACE, OWNER_ROUTER_GATEWAY]
    query = select(table.c.id, table.c.network_id, table.c.mac_address, table.c.host).where(
        sql.any_of(table.c.network_id, network_ids),
        table.c.host != "",
        table.c.host != host,
        table.c.admin_state_up,
        or_(table.c.device_owner.startswith(OWNER_COMPUTE), sql.any_of(table.c.device_owner, owners)),
    )
    return [FarPort(*words) for words in sql.tuples(source, query.order_by(table.c.id))]


def routers_with_gateway_on(source: Source, network_id: str) -> list[Router]:
    table = tables.router
    return sql.rows(source, select(table).where(table.c.gateway_network_id == network_id), Router)


def default_group(source: Source, project_id: str) -> SecurityGroup | None:
    table = tables.security_group
    query = select(table).where(table.c.project_id == project_id, table.c.is_default)
    return sql.row(source, query, SecurityGroup)


def floating_of_ports(source: Source, port_ids: Iterable[str]) -> list[FloatingIp]:
    """The floating addresses that stand for addresses of these ports."""
    table = tables.floating_ip
    query = select(table).where(sql.any_of(table.c.port_id, port_ids)).order_by(table.c.created_at, table.c.id)
    return sql.rows(source, query, FloatingIp)


def networks_seen(source: Source, project_id: str) -> list[Network]:
    """The networks that a server of the project may be put on without being asked: its own, and shared ones."""
    table = tables.network
    query = select(table).where(
        or_(table.c.project_id == project_id, table.c.shared), or_(~table.c.external, table.c.shared)
    )
    return sql.rows(source, query.order_by(table.c.created_at, table.c.id), Network)


def segments_taken(source: Source) -> set[int]:
    """Tunnel numbers in use."""
    table = tables.network
    query = select(table.c.segmentation_id).where(table.c.segmentation_id.is_not(None))
    return set(sql.column(source, query))


def is_mac_taken(source: Source, network_id: str, mac: str) -> bool:
    table = tables.port
    query = select(table.c.id).where(table.c.network_id == network_id, table.c.mac_address == mac)
    return bool(sql.column(source, query))


def foreign_projects(source: Source, network_id: str, owner: str) -> bool:
    """Whether projects other than the owner have ports or subnets on the network."""
    for table in (tables.port, tables.subnet):
        query = select(func.count()).where(
            table.c.network_id == network_id, table.c.project_id != owner, table.c.project_id != ""
        )
        if sql.scalar(source, query):
            return True
    return False


def agent_of(source: Source, host: str) -> Agent | None:
    return sql.find(source, tables.agent, Agent, host=host)


def epoch(source: Source) -> str | None:
    found = sql.row(source, select(tables.epoch), Epoch)
    return found.value if found is not None else None


def put_epoch(tx: Tx, value: str) -> None:
    sql.add(tx, tables.epoch, Epoch(1, value))
