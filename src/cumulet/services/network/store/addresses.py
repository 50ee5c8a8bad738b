# SPDX-License-Identifier: Apache-2.0
"""Addresses that ports hold, and the groups that they are in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import Text, bindparam, func, select, type_coerce

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.network.tables import allocation, membership, port
from cumulet.services.network.types import Allocation, Membership, Port

_TAKEN = select(allocation.c.address).where(
    allocation.c.subnet_id == bindparam("subnet"),
    allocation.c.address.in_(bindparam("candidates", expanding=True)),
)
_GROUP = membership.c.security_group_id
_MEMBERS = (
    select(_GROUP, allocation.c.address)
    .join(allocation, allocation.c.port_id == membership.c.port_id)
    .where(_GROUP.in_(bindparam("groups", expanding=True)))
)
_PAIRED = (
    select(_GROUP, port.c.allowed_address_pairs)
    .join(port, port.c.id == membership.c.port_id)
    .where(_GROUP.in_(bindparam("groups", expanding=True)), type_coerce(port.c.allowed_address_pairs, Text) != "[]")
)
_HELD = (
    select(allocation.c.subnet_id, func.count())
    .where(allocation.c.subnet_id.in_(bindparam("subnets", expanding=True)))
    .group_by(allocation.c.subnet_id)
)
_HELD_EACH = (
    select(allocation.c.subnet_id, allocation.c.address)
    .where(allocation.c.subnet_id.in_(bindparam("subnets", expanding=True)))
    .order_by(allocation.c.subnet_id, allocation.c.address)
)


def of_ports(source: Source, port_ids: Iterable[str]) -> dict[str, list[Allocation]]:
    """Each port's addresses in order."""
    found: dict[str, list[Allocation]] = defaultdict(list)
    for item in sql.find_all(source, allocation, Allocation, ("position",), port_id=list(port_ids)):
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
    return set(sql.column(source, _TAKEN, {"subnet": subnet_id, "candidates": list(candidates)}))


def count_by_subnet(source: Source, subnet_ids: Iterable[str]) -> dict[str, int]:
    """How many addresses of each subnet are taken."""
    return dict(sql.tuples(source, _HELD, {"subnets": list(subnet_ids)}))


def by_subnet(source: Source, subnet_ids: Iterable[str]) -> dict[str, list[str]]:
    """The addresses of each subnet that are taken."""
    found: dict[str, list[str]] = defaultdict(list)
    for subnet_id, address in sql.tuples(source, _HELD_EACH, {"subnets": list(subnet_ids)}):
        found[subnet_id].append(address)
    return found


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
    sql.remove(tx, allocation, port_id=port_id)
    sql.add(tx, allocation, *allocations)


def add(tx: Tx, allocations: list[Allocation]) -> None:
    """Give ports these addresses beside those that they have."""
    if allocations:
        sql.add(tx, allocation, *allocations)


def groups_of(source: Source, port_ids: Iterable[str]) -> dict[str, list[str]]:
    """Each port's security groups, by id in order."""
    found: dict[str, list[str]] = defaultdict(list)
    for item in sql.find_all(source, membership, Membership, ("security_group_id",), port_id=list(port_ids)):
        found[item.port_id].append(item.security_group_id)
    return found


def ports_in(source: Source, group_ids: Iterable[str]) -> dict[str, list[str]]:
    """Each security group's ports by id."""
    found: dict[str, list[str]] = defaultdict(list)
    for item in sql.find_all(source, membership, Membership, ("port_id",), security_group_id=list(group_ids)):
        found[item.security_group_id].append(item.port_id)
    return found


def members(source: Source, group_ids: Iterable[str]) -> dict[str, list[str]]:
    """The addresses that each security group stands for in rules: its ports' own and their allowed pairs'."""
    asked = {"groups": list(group_ids)}
    found: dict[str, list[str]] = defaultdict(list)
    for group_id, address in sql.tuples(source, _MEMBERS, asked):
        found[group_id].append(address)
    for group_id, pairs in sql.tuples(source, _PAIRED, asked):
        found[group_id] += [pair["ip_address"] for pair in pairs]
    return found


def put_groups(tx: Tx, port_id: str, group_ids: Iterable[str]) -> None:
    """Make these the port's security groups."""
    sql.remove(tx, membership, port_id=port_id)
    sql.add(tx, membership, *(Membership(port_id, key) for key in dict.fromkeys(group_ids)))
