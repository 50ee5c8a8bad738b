# SPDX-License-Identifier: Apache-2.0
"""Addresses that ports hold, and the groups that they are in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import delete, func, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.network.tables import allocation, membership, port
from cumulet.services.network.types import Allocation, Membership, Port


def of_ports(source: Source, port_ids: Iterable[str]) -> dict[str, list[Allocation]]:
    """Each port's addresses in order."""
    query = select(allocation).where(sql.any_of(allocation.c.port_id, port_ids)).order_by(allocation.c.position)
    found: dict[str, list[Allocation]] = defaultdict(list)
    for item in sql.rows(source, query, Allocation):
        found[item.port_id].append(item)
    return found


def of_far_ports(source: Source, network_ids: Iterable[str]) -> dict[str, list[str]]:
    """The addresses of all ports of these networks, by port, in order."""
    query = select(allocation.c.port_id, allocation.c.address).where(sql.any_of(allocation.c.network_id, network_ids))
    found: dict[str, list[str]] = defaultdict(list)
    for port_id, address in sql.tuples(source, query.order_by(allocation.c.port_id, allocation.c.position)):
        found[port_id].append(address)
    return found


def taken(source: Source, subnet_id: str, candidates: Iterable[str]) -> set[str]:
    """Those of the candidates that are taken on the subnet."""
    query = select(allocation.c.address).where(
        allocation.c.subnet_id == subnet_id, sql.any_of(allocation.c.address, candidates)
    )
    return set(sql.column(source, query))


def count_by_subnet(source: Source, subnet_ids: Iterable[str]) -> dict[str, int]:
    """How many addresses of each subnet are taken."""
    query = (
        select(allocation.c.subnet_id, func.count())
        .where(sql.any_of(allocation.c.subnet_id, subnet_ids))
        .group_by(allocation.c.subnet_id)
    )
    return dict(sql.tuples(source, query))


def holder(source: Source, network_id: str, address: str) -> Port | None:
    """The port that has the address on the network."""
    query = (
        select(port)
        .join(allocation, allocation.c.port_id == port.c.id)
        .where(allocation.c.network_id == network_id, allocation.c.address == address)
    )
    return sql.row(source, query, Port)


def ports_on_subnet(source: Source, subnet_id: str) -> list[Port]:
    """The ports that have an address on the subnet."""
    query = select(port).where(port.c.id.in_(select(allocation.c.port_id).where(allocation.c.subnet_id == subnet_id)))
    return sql.rows(source, query, Port)


def put(tx: Tx, port_id: str, allocations: list[Allocation]) -> None:
    """Make `allocations` the port's addresses. Raises the database's IntegrityError where one is taken."""
    sql.execute(tx, delete(allocation).where(allocation.c.port_id == port_id))
    sql.add(tx, allocation, *allocations)


def groups_of(source: Source, port_ids: Iterable[str]) -> dict[str, list[str]]:
    """Each port's security groups, by id in order."""
    query = select(membership).where(sql.any_of(membership.c.port_id, port_ids))
    found: dict[str, list[str]] = defaultdict(list)
    for item in sql.rows(source, query.order_by(membership.c.security_group_id), Membership):
        found[item.port_id].append(item.security_group_id)
    return found


def ports_in(source: Source, group_ids: Iterable[str]) -> dict[str, list[str]]:
    """Each security group's ports by id."""
    query = select(membership).where(sql.any_of(membership.c.security_group_id, group_ids))
    found: dict[str, list[str]] = defaultdict(list)
    for item in sql.rows(source, query.order_by(membership.c.port_id), Membership):
        found[item.security_group_id].append(item.port_id)
    return found


def put_groups(tx: Tx, port_id: str, group_ids: Iterable[str]) -> None:
    """Make these the port's security groups."""
    sql.execute(tx, delete(membership).where(membership.c.port_id == port_id))
    sql.add(tx, membership, *(Membership(port_id, key) for key in dict.fromkeys(group_ids)))
