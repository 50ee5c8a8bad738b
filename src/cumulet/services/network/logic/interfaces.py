# SPDX-License-Identifier: Apache-2.0
"""Routers' inside interfaces: added by subnet or by port, removed by either."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.ids import is_uuid
from cumulet.services.network.logic import access, addressing, ha, legs, ndp_proxies, port_forwardings, ports, quotas
from cumulet.services.network.logic.faults import bad, fault
from cumulet.services.network.store import addresses, common, lookups, rbac_policies
from cumulet.services.network.types import (
    DOWN,
    OWNER_ROUTER_GATEWAY,
    Allocation,
    FloatingIp,
    Network,
    Port,
    Router,
    Subnet,
)


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """What an interface consists of; of `subnet_ids` the last one is named in `subnet_id` too."""

    router: Router
    port: Port
    subnet_ids: list[str]


def add(cloud: Cloud, tx: Tx, ctx: Context, router: Router, info: dict[str, Any]) -> Interface:
    """Connect the router to a subnet (by its gateway's address), or by a port that is free."""
    _check_info(info)
    if "port_id" in info and "subnet_id" in info:
        raise bad("router", "Cannot specify both subnet-id and port-id")
    if "port_id" in info:
        added = _add_port(tx, ctx, router, info["port_id"])
    else:
        added = _add_subnet(cloud, tx, ctx, router, info)
    ha.reached(tx, router)
    common.touch(tx, Router, router.id)
    return added


def remove(cloud: Cloud, tx: Tx, ctx: Context, router: Router, info: dict[str, Any]) -> Interface:
    """Disconnect; refused while floating addresses or routes need the interface.

    The port goes as well, unless it is for other subnets too and one is named.
    """
    _check_info(info)
    subnet_id = info.get("subnet_id")
    if subnet_id is not None:
        access.get(tx, ctx, Subnet, subnet_id)
    inside = lookups.router_interfaces(tx, [router.id])
    held = addresses.of_ports(tx, [port.id for port in inside])
    if "port_id" in info:
        port = next((one for one in inside if one.id == info["port_id"]), None)
        if port is None:
            raise fault("RouterInterfaceNotFound", id=router.id, port_id=info["port_id"])
        if subnet_id is not None and subnet_id not in {item.subnet_id for item in held[port.id]}:
            raise fault("SubnetMismatchForPort", id=port.id, subnet_id=subnet_id)
    else:
        port = next((one for one in inside if subnet_id in {item.subnet_id for item in held[one.id]}), None)
        if port is None:
            raise fault("RouterInterfaceNotFoundForSubnet", id=router.id, subnet_id=subnet_id)
        left = [item for item in held[port.id] if item.subnet_id != subnet_id]
        if left:
            return _remove_one(tx, router, port, access.must(tx, Subnet, str(subnet_id)), left)
    subnets = list(common.by_id(tx, Subnet, [item.subnet_id for item in held[port.id]]).values())
    for subnet in subnets:
        _check_unused(tx, router, subnet)
        ndp_proxies.check_interface_goes(tx, router, subnet)
    ports.remove(tx, [port])
    ha.reached(tx, router)
    common.touch(tx, Router, router.id)
    return Interface(router=router, port=port, subnet_ids=[subnet.id for subnet in subnets])


def _remove_one(tx: Tx, router: Router, port: Port, subnet: Subnet, left: list[Allocation]) -> Interface:
    """Take one of several subnets off the router's port."""
    _check_unused(tx, router, subnet)
    ports.readdress(tx, port, [_as_wanted(item) for item in left])
    common.touch(tx, Router, router.id)
    return Interface(router=router, port=port, subnet_ids=[subnet.id])


def _as_wanted(item: Allocation) -> dict[str, str]:
    return {"subnet_id": item.subnet_id, "ip_address": item.address}


def _check_info(info: Any) -> None:
    if not isinstance(info, dict) or not info.keys() & {"port_id", "subnet_id"}:
        raise bad("router", "Either subnet_id or port_id must be specified")
    for name in ("port_id", "subnet_id"):
        if name in info and not (isinstance(info[name], str) and is_uuid(info[name])):
            raise bad("router", f"'{info[name]}' is not a valid UUID")


def _add_subnet(cloud: Cloud, tx: Tx, ctx: Context, router: Router, info: dict[str, Any]) -> Interface:
    subnet = access.get(tx, ctx, Subnet, info["subnet_id"])
    if subnet.gateway_ip is None:
        raise bad("router", "Subnet for router interface must have a gateway IP")
    if subnet.project_id != ctx.project_id and not access.sees_all(ctx) and not _is_named(tx, ctx, subnet):
        reason = f"subnet {subnet.id} is not owned by project making the request"
        raise bad("router", f"Cannot add interface to router because {reason}")
    _check_advertised(subnet)
    _check_subnets(tx, router, [subnet])
    fixed = [{"subnet_id": subnet.id, "ip_address": subnet.gateway_ip}]
    sixth = _port_of_ipv6(tx, router, subnet.network_id) if subnet.ip_version == 6 else None
    if sixth is not None:
        held = [_as_wanted(item) for item in addresses.of_ports(tx, [sixth.id])[sixth.id]]
        ports.readdress(tx, sixth, held + fixed)
        return Interface(router=router, port=sixth, subnet_ids=[subnet.id])
    quotas.take(cloud, tx, router.project_id, port=1)
    network = access.must(tx, Network, subnet.network_id)
    port = ports.make_own(
        tx, network, ha.owner_inside(router), router.id, fixed, project_id=router.project_id, host=router.host
    )
    return Interface(router=router, port=port, subnet_ids=[subnet.id])


def _is_named(tx: Tx, ctx: Context, subnet: Subnet) -> bool:
    """Whether the subnet's network is shared with the caller's very project: for everybody is not enough."""
    return bool(rbac_policies.shared_with(tx, ctx.project_id or "", [subnet.network_id]))


def _add_port(tx: Tx, ctx: Context, router: Router, port_id: str) -> Interface:
    port = access.get(tx, ctx, Port, port_id)
    if port.device_id:
        raise fault("PortInUse", id=port.id, network_id=port.network_id, device_id=port.device_id)
    held = addresses.of_ports(tx, [port.id])[port.id]
    if not held:
        raise bad("router", "Router port must have at least one fixed IP")
    known = common.by_id(tx, Subnet, [item.subnet_id for item in held])
    subnets = [known[item.subnet_id] for item in held]
    for subnet in subnets:
        _check_advertised(subnet)
    if sum(subnet.ip_version == 4 for subnet in subnets) > 1:
        raise bad("router", "Cannot have multiple IPv4 subnets on router port")
    sixth = _port_of_ipv6(tx, router, port.network_id) if any(subnet.ip_version == 6 for subnet in subnets) else None
    if sixth is not None:
        raise bad(
            "router",
            f"Router already contains IPv6 port {sixth.id} belonging to network id {port.network_id}. "
            "Only one IPv6 port from the same network subnet can be connected to a router.",
        )
    _check_subnets(tx, router, subnets)
    addresses.put_groups(tx, port.id, [])
    common.change(
        tx,
        Port,
        port.id,
        {
            "device_id": router.id,
            "device_owner": ha.owner_inside(router),
            "host": router.host,
            "status": DOWN,
            "port_security_enabled": False,
            "allowed_address_pairs": [],
        },
    )
    return Interface(router=router, port=port, subnet_ids=[subnet.id for subnet in subnets])


def _port_of_ipv6(tx: Tx, router: Router, network_id: str) -> Port | None:
    """The router's port on the network that has IPv6: all IPv6 subnets of one network share it."""
    there = [port for port in lookups.router_interfaces(tx, [router.id]) if port.network_id == network_id]
    held = addresses.of_ports(tx, [port.id for port in there])
    return next((port for port in there if any(":" in item.address for item in held[port.id])), None)


def _check_advertised(subnet: Subnet) -> None:
    """A subnet whose guests listen to a router of somebody else is not for a router of the cloud."""
    if subnet.ip_version == 6 and subnet.ipv6_address_mode is not None and subnet.ipv6_ra_mode is None:
        reason = "configured to receive RAs from an external router cannot be added to Neutron Router."
        raise bad("router", f"IPv6 subnet {subnet.id} {reason}")


def _check_subnets(tx: Tx, router: Router, new: list[Subnet]) -> None:
    """No subnet twice on one router, and none whose addresses another one on it has."""
    for port in legs.of(tx, router):
        held = addresses.of_ports(tx, [port.id])[port.id]
        for subnet in new:
            if subnet.id in {item.subnet_id for item in held}:
                raise bad("router", f"Router already has a port on subnet {subnet.id}")
        if port.device_owner == OWNER_ROUTER_GATEWAY:
            known = common.find_all(tx, Subnet, network_id=[port.network_id])
        else:
            known = list(common.by_id(tx, Subnet, [item.subnet_id for item in held]).values())
        for one in known:
            for other in new:
                legs.check_disjoint(one, other)


def _check_unused(tx: Tx, router: Router, subnet: Subnet) -> None:
    for floating in common.find_all(tx, FloatingIp, router_id=[router.id]):
        if floating.fixed_ip_address and addressing.within(floating.fixed_ip_address, subnet.cidr):
            raise fault("RouterInterfaceInUseByFloatingIP", id=router.id, subnet_id=subnet.id)
        if port_forwardings.lead_into(tx, floating, subnet.cidr):
            raise fault("RouterInterfaceInUseByFloatingIP", id=router.id, subnet_id=subnet.id)
    if any(addressing.within(route["nexthop"], subnet.cidr) for route in router.routes):
        raise fault("RouterInterfaceInUseByRoute", id=router.id, subnet_id=subnet.id)
