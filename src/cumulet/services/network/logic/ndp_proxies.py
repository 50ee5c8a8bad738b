# SPDX-License-Identifier: Apache-2.0
"""What can be done with NDP proxies, and what they ask of routers."""

from __future__ import annotations

import ipaddress
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic import access, address_scopes
from cumulet.services.network.logic.faults import bad, fault
from cumulet.services.network.store import addresses, common, lookups
from cumulet.services.network.types import Port, Router, Subnet
from cumulet.services.network.types.ndp_proxies import NdpProxy

_PLAIN = ("name", "description")


def create(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> NdpProxy:
    """Let a router answer outside for an address of the port: the one asked for, or the first that reaches it."""
    port = access.get(tx, ctx, Port, values["port_id"])
    legs = [leg for leg in lookups.router_ports(tx, [values["router_id"]]) if leg.network_id == port.network_id]
    if not legs:
        raise fault("PortUnreachableRouter", port_id=port.id, id=values["router_id"])
    router = access.get(tx, ctx, Router, values["router_id"])
    if not is_enabled(router):
        raise fault("RouterNDPProxyNotEnable", id=router.id)
    address = _address(tx, port, router, legs, values.get("ip_address"))
    outside, inside = _scope(tx, router.gateway_network_id or ""), _scope(tx, port.network_id)
    if outside != inside:
        raise fault("AddressScopeConflict", outside=outside, inside=inside)
    if common.find_all(tx, NdpProxy, router_id=[router.id], ip_address=[address]):
        taken = {"router_id": router.id, "ip_address": address}
        raise fault("NeutronDbObjectDuplicateEntry", kind="NDPProxy", names=list(taken), values=list(taken.values()))
    now = clock.utcnow()
    made = NdpProxy(
        id=ids.new_uuid(),
        project_id=values["project_id"],
        name=values["name"],
        router_id=router.id,
        port_id=port.id,
        ip_address=address,
        description=values["description"],
        revision_number=0,
        created_at=now,
        updated_at=now,
    )
    common.add(tx, made)
    return made


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> NdpProxy:
    """Change words."""
    common.change(tx, NdpProxy, key, {name: values[name] for name in _PLAIN if name in values})
    return access.must(tx, NdpProxy, key)


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    common.remove(tx, NdpProxy, [access.must(tx, NdpProxy, key).id])


def is_enabled(router: Router) -> bool:
    """Whether the router answers for others: it needs a gateway, whatever it was told."""
    return router.enable_ndp_proxy and router.gateway_port_id is not None


def check_enabled(tx: Tx, router: Router, *, fresh: bool) -> None:
    """Refuse to let the router answer for others where it does not lead to an IPv6 network in an address scope."""
    if router.gateway_port_id is None or router.gateway_network_id is None:
        reason = "The request body not contain external gateway information" if fresh else _NO_GATEWAY
        raise fault("RouterGatewayNotValid", id=router.id, reason=reason)
    if not _leads_to_ipv6(tx, router):
        reason = _NO_SCOPE.format(network_id=router.gateway_network_id) if fresh else _NO_GATEWAY
        raise fault("RouterGatewayNotValid", id=router.id, reason=reason)


def check_gateway_goes(tx: Tx, router: Router, values: dict[str, Any]) -> None:
    """Refuse to take the gateway away under proxies, or together with the wish to have them."""
    if common.find_all(tx, NdpProxy, router_id=[router.id]):
        raise fault("RouterGatewayInUseByNDPProxy", id=router.id)
    if values.get("enable_ndp_proxy"):
        reason = "The router's external gateway will be unset"
        raise fault("RouterGatewayNotValid", id=router.id, reason=reason)


def check_gateway_addresses(tx: Tx, router: Router, wanted: list[dict[str, str]]) -> None:
    """A gateway of a router that answers for others keeps an IPv6 address."""
    if not is_enabled(router):
        return
    named = common.by_id(tx, Subnet, {item["subnet_id"] for item in wanted if item.get("subnet_id")})
    has_ipv6 = any(":" in item.get("ip_address", "") for item in wanted)
    if not has_ipv6 and all(subnet.ip_version == 4 for subnet in named.values()):
        raise fault("RouterIPv6GatewayInUse", id=router.id)


def check_interface_goes(tx: Tx, router: Router, subnet: Subnet) -> None:
    """Refuse to disconnect a subnet for whose addresses the router answers."""
    proxies = common.find_all(tx, NdpProxy, router_id=[router.id]) if subnet.ip_version == 6 else []
    held = addresses.of_ports(tx, [proxy.port_id for proxy in proxies])
    for proxy in proxies:
        if any(_same(item.address, proxy.ip_address) and item.subnet_id == subnet.id for item in held[proxy.port_id]):
            raise fault("RouterInterfaceInUseByNDPProxy", id=router.id, subnet_id=subnet.id)


_NO_GATEWAY = (
    "The router has no external gateway or the external gateway port has no IPv6 address or IPv6 address scope"
)
_NO_SCOPE = (
    "The external network {network_id} don't support IPv6 ndp proxy, the network has no IPv6 subnets or has no IPv6 "
    "address scope"
)


def _leads_to_ipv6(tx: Tx, router: Router) -> bool:
    held = addresses.of_ports(tx, [router.gateway_port_id or ""])[router.gateway_port_id or ""]
    return any(":" in item.address for item in held) and _scope(tx, router.gateway_network_id or "") is not None


def _scope(source: Source, network_id: str) -> str | None:
    """The address scope of the network's IPv6 subnets."""
    subnets = common.find_all(source, Subnet, network_id=[network_id])
    return address_scopes.of_networks(source, subnets).get((network_id, 6))


def _address(tx: Tx, port: Port, router: Router, legs: list[Port], wanted: str | None) -> str:
    held = [item for item in addresses.of_ports(tx, [port.id])[port.id] if ":" in item.address]
    if not held:
        raise bad("ndp_proxy", f"Requested port {port.id} must allocate one IPv6 address at least")
    found = addresses.of_ports(tx, [leg.id for leg in legs]).values()
    reached = {item.subnet_id for items in found for item in items if ":" in item.address}
    if wanted is None:
        for item in held:
            if item.subnet_id in reached:
                return item.address
        raise fault("PortUnreachableRouter", port_id=port.id, id=router.id)
    own = next((item for item in held if _same(item.address, wanted)), None)
    if own is None:
        raise fault("InvalidAddress", address=wanted, reason=f"This address not belong to the port {port.id}")
    if own.subnet_id not in reached:
        raise fault("InvalidAddress", address=wanted, reason=f"This address cannot reach the router {router.id}")
    return own.address


def _same(one: str, other: str) -> bool:
    return ipaddress.ip_address(one) == ipaddress.ip_address(other)
