# SPDX-License-Identifier: Apache-2.0
"""What can be done with routers: their attributes, gateways and routes (their interfaces: `interfaces`)."""

from __future__ import annotations

import ipaddress
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic import access, addressing, ndp_proxies, ports, qos_use, quotas, scheduling
from cumulet.services.network.logic.faults import bad, fault
from cumulet.services.network.store import addresses, common, lookups
from cumulet.services.network.types import (
    ACTIVE,
    OWNER_ROUTER_GATEWAY,
    FloatingIp,
    Network,
    Port,
    Router,
    Subnet,
)

_PLAIN = ("name", "admin_state_up", "description")


def create(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> Router:
    """A new router, with its gateway where one is asked for."""
    _hold_policy(tx, ctx, values)
    quotas.take(tx, values["project_id"], router=1)
    now = clock.utcnow()
    router = Router(
        id=ids.new_uuid(),
        project_id=values["project_id"],
        name=values["name"],
        admin_state_up=values["admin_state_up"],
        status=ACTIVE,
        gateway_network_id=None,
        gateway_port_id=None,
        enable_snat=True,
        routes=[],
        host=scheduling.choose(tx),
        availability_zone_hints=values["availability_zone_hints"],
        description=values["description"],
        tags=[],
        revision_number=1,
        created_at=now,
        updated_at=now,
        **common.optional(Router, values),
    )
    common.add(tx, router)
    if values.get("external_gateway_info"):
        _set_gateway(tx, ctx, router, values["external_gateway_info"])
    router = access.must(tx, Router, router.id)
    if router.enable_ndp_proxy:
        ndp_proxies.check_enabled(tx, router, fresh=True)
    return router


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> Router:
    _hold_policy(tx, ctx, values)
    router = access.must(tx, Router, key)
    changes = {name: values[name] for name in _PLAIN if name in values} | common.optional(Router, values)
    common.change(tx, Router, key, changes)
    if "external_gateway_info" in values:
        info = values["external_gateway_info"] or {}
        if router.gateway_port_id is not None and info.get("network_id") != router.gateway_network_id:
            ndp_proxies.check_gateway_goes(tx, router, {} if info else values)
        elif info.get("external_fixed_ips"):
            ndp_proxies.check_gateway_addresses(tx, router, info["external_fixed_ips"])
        _set_gateway(tx, ctx, router, info)
    if values.get("enable_ndp_proxy"):
        ndp_proxies.check_enabled(tx, access.must(tx, Router, key), fresh=False)
    if "routes" in values:
        _check_routes(tx, access.must(tx, Router, key), values["routes"])
        common.set_quietly(tx, Router, [key], {"routes": values["routes"]})
    return access.must(tx, Router, key)


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Remove a router that has no interfaces any more."""
    router = access.must(tx, Router, key)
    inside = lookups.router_interfaces(tx, [key])
    if inside:
        reason = "has ports still attached: " + ", ".join(port.id for port in inside)
        raise fault("RouterInUse", id=key, reason=reason)
    _drop_gateway(tx, router)
    common.remove(tx, Router, [key])


def _hold_policy(tx: Tx, ctx: Context, values: dict[str, Any]) -> None:
    """The QoS policy that the gateway is to have stays there; its lock comes before a quota's, as it does elsewhere."""
    info = values.get("external_gateway_info") or {}
    if info.get("qos_policy_id") is not None:
        qos_use.attach(tx, ctx, info["qos_policy_id"])


def _set_gateway(tx: Tx, ctx: Context, router: Router, info: dict[str, Any]) -> None:
    """Lead the router out by another network, by other addresses, or not at all (no `network_id`)."""
    network_id = info.get("network_id")
    if network_id is None:
        if router.gateway_port_id is not None:
            _check_no_floating(tx, router)
            _drop_gateway(tx, router)
            common.set_quietly(tx, Router, [router.id], {"gateway_qos_policy_id": None, "enable_ndp_proxy": False})
        return
    if "qos_policy_id" in info:
        common.set_quietly(tx, Router, [router.id], {"gateway_qos_policy_id": info["qos_policy_id"]})
    network = access.get(tx, ctx, Network, network_id)
    if not network.external:
        raise bad("router", f"Network {network_id} is not an external network")
    wanted = info.get("external_fixed_ips") or None
    _check_gateway_addresses(tx, network, wanted or [])
    if "enable_snat" in info:
        common.set_quietly(tx, Router, [router.id], {"enable_snat": info["enable_snat"]})
    if router.gateway_network_id == network_id and router.gateway_port_id is not None:
        if wanted is not None:
            ports.readdress(tx, access.must(tx, Port, router.gateway_port_id), wanted)
        return
    if router.gateway_port_id is not None:
        _check_no_floating(tx, router)
        _drop_gateway(tx, router)
    _check_no_overlap(tx, router, network)
    port = ports.make_own(tx, network, OWNER_ROUTER_GATEWAY, router.id, wanted, host=router.host)
    if not addresses.of_ports(tx, [port.id])[port.id]:
        raise bad("router", f"No IPs available for external network {network_id}")
    common.set_quietly(tx, Router, [router.id], {"gateway_network_id": network_id, "gateway_port_id": port.id})


def _check_gateway_addresses(tx: Tx, network: Network, wanted: list[dict[str, str]]) -> None:
    gateways = {subnet.gateway_ip for subnet in common.find_all(tx, Subnet, network_id=[network.id])}
    for item in wanted:
        if item.get("ip_address") in gateways - {None}:
            raise bad("router", f"External IP {item['ip_address']} is the same as the gateway IP")


def _check_no_floating(tx: Tx, router: Router) -> None:
    if common.find_all(tx, FloatingIp, router_id=[router.id]):
        raise fault("RouterExternalGatewayInUseByFloatingIp", id=router.id, network_id=router.gateway_network_id)


def _drop_gateway(tx: Tx, router: Router) -> None:
    common.set_quietly(tx, Router, [router.id], {"gateway_network_id": None, "gateway_port_id": None})
    if router.gateway_port_id is not None:
        ports.remove(tx, common.find_all(tx, Port, id=[router.gateway_port_id]))


def _check_no_overlap(tx: Tx, router: Router, network: Network) -> None:
    """The outside must not have addresses of the inside."""
    inside = addresses.of_ports(tx, [port.id for port in lookups.router_interfaces(tx, [router.id])])
    used = {item.subnet_id for items in inside.values() for item in items}
    outer = common.find_all(tx, Subnet, network_id=[network.id])
    for one in common.by_id(tx, Subnet, used).values():
        for other in outer:
            check_disjoint(one, other)


def check_disjoint(one: Subnet, other: Subnet) -> None:
    """Raise the router's BadRequest where two subnets on it overlap."""
    if addressing.overlap(one.cidr, other.cidr):
        raise bad(
            "router",
            f"Cidr {other.cidr} of subnet {other.id} overlaps with cidr {one.cidr} of subnet {one.id}",
        )


def legs(source: Source, router: Router) -> list[Port]:
    """The router's ports, its gateway last."""
    found = lookups.router_interfaces(source, [router.id])
    if router.gateway_port_id is not None:
        found += common.find_all(source, Port, id=[router.gateway_port_id])
    return found


def _check_routes(tx: Tx, router: Router, routes: list[dict[str, str]]) -> None:
    """Every next hop is reached over a leg, and is not the router itself; a router has so many routes at most."""
    own = addresses.of_ports(tx, [port.id for port in legs(tx, router)])
    items = [item for held in own.values() for item in held]
    cidrs = [subnet.cidr for subnet in common.by_id(tx, Subnet, [item.subnet_id for item in items]).values()]
    for route in routes:
        if not any(addressing.within(route["nexthop"], cidr) for cidr in cidrs):
            raise fault("InvalidRoutes", routes=routes, reason="the nexthop is not connected with router")
        if any(ipaddress.ip_address(item.address) == ipaddress.ip_address(route["nexthop"]) for item in items):
            raise fault("InvalidRoutes", routes=routes, reason="the nexthop is used by router")
    quotas.take(tx, router.project_id, router_route=len(routes))
