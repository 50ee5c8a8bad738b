# SPDX-License-Identifier: Apache-2.0
"""What routers are joined to, and what must hold between their legs and routes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic import addressing
from cumulet.services.network.logic.faults import bad, fault
from cumulet.services.network.store import addresses, common, lookups
from cumulet.services.network.types import Port, Router, Subnet

Routes = list[dict[str, str]]


def of(source: Source, router: Router) -> list[Port]:
    """The router's ports, its gateways' last."""
    found = lookups.router_interfaces(source, [router.id])
    outer = router.gateway_ports
    return found + common.find_all(source, Port, id=outer) if outer else found


def check_disjoint(one: Subnet, other: Subnet) -> None:
    """Raise the router's BadRequest where two subnets on it overlap."""
    if addressing.overlap(one.cidr, other.cidr):
        raise bad(
            "router",
            f"Cidr {other.cidr} of subnet {other.id} overlaps with cidr {one.cidr} of subnet {one.id}",
        )


def check_routes(tx: Tx, router: Router, routes: Routes) -> None:
    """Raise InvalidRoutes where a next hop is not reached over a leg, or is the router itself."""
    _check_hops(tx, routes, of(tx, router), [])


def check_routes_stay(tx: Tx, router: Router, network_id: str | None) -> None:
    """The same of the router's routes, with its first gateway on the network, or without it."""
    if router.routes:
        there = [port for port in of(tx, router) if port.id != router.gateway_port_id]
        coming = common.find_all(tx, Subnet, network_id=[network_id]) if network_id is not None else []
        _check_hops(tx, router.routes, there, [subnet.cidr for subnet in coming])


def _check_hops(tx: Tx, routes: Routes, ports: Iterable[Port], cidrs: list[str]) -> None:
    items = [item for held in addresses.of_ports(tx, [port.id for port in ports]).values() for item in held]
    own = {ipaddress.ip_address(item.address) for item in items}
    known = common.by_id(tx, Subnet, [item.subnet_id for item in items]).values() if items else ()
    reached = cidrs + [subnet.cidr for subnet in known]
    for route in routes:
        if not any(addressing.within(route["nexthop"], cidr) for cidr in reached):
            raise fault("InvalidRoutes", routes=routes, reason="the nexthop is not connected with router")
        if ipaddress.ip_address(route["nexthop"]) in own:
            raise fault("InvalidRoutes", routes=routes, reason="the nexthop is used by router")
