# SPDX-License-Identifier: Apache-2.0
"""What can be done with floating IPs."""

from __future__ import annotations

from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.network.logic import access, floating_routers, port_forwardings, ports, quotas
from cumulet.services.network.logic.faults import bad, fault
from cumulet.services.network.store import addresses, common, lookups
from cumulet.services.network.types import (
    DOWN,
    OWNER_FLOATING,
    FloatingIp,
    Network,
    Port,
    Router,
    Subnet,
)

_UNSERVED = ("network:dhcp", "network:router_gateway", "network:floatingip")
Target = dict[str, Any]


def create(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> FloatingIp:
    """A new external address, the one asked for or any, that stands for a port's if one is named."""
    network = access.get(tx, ctx, Network, values["floating_network_id"])
    if not network.external:
        raise bad("floatingip", f"Network {network.id} is not a valid external network")
    if not any(subnet.ip_version == 4 for subnet in common.find_all(tx, Subnet, network_id=[network.id])):
        raise bad("floatingip", f"Network {network.id} does not contain any IPv4 subnet")
    quotas.take(cloud, tx, values["project_id"], floatingip=1)
    key = ids.new_uuid()
    port = _external_port(tx, network, key, values)
    address = next(
        (item.address for item in addresses.of_ports(tx, [port.id])[port.id] if ":" not in item.address), None
    )
    if address is None:
        raise fault("ExternalIpAddressExhausted", id=network.id)
    if common.find_all(tx, FloatingIp, floating_network_id=[network.id], floating_ip_address=[address]):
        raise fault("IpAddressInUse", id=network.id, address=address)
    now = clock.utcnow()
    floating = FloatingIp(
        id=key,
        project_id=values["project_id"],
        floating_network_id=network.id,
        floating_port_id=port.id,
        floating_ip_address=address,
        port_id=None,
        fixed_ip_address=None,
        router_id=None,
        status=DOWN,
        description=values["description"],
        tags=[],
        revision_number=int(values.get("qos_policy_id") is not None),  # Neutron attaches it afterwards
        created_at=now,
        updated_at=now,
        **common.optional(FloatingIp, values),
    )
    common.add(tx, floating)
    if values.get("port_id") is not None or values.get("fixed_ip_address") is not None:
        common.set_quietly(tx, FloatingIp, [key], _target(tx, ctx, floating, values))
    return access.must(tx, FloatingIp, key)


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> FloatingIp:
    """Let the address stand for another port, or for none, or pass another router; else only words change.

    Without any attribute it stands for nobody afterwards, as it was when an association was all that one had.
    """
    floating = access.must(tx, FloatingIp, key)
    changes: dict[str, Any] = {name: values[name] for name in ("description",) if name in values}
    changes |= common.optional(FloatingIp, values)
    if not values or "port_id" in values or "fixed_ip_address" in values:
        changes |= _target(tx, ctx, floating, values)
    elif "router_id" in values and floating.port_id is not None:
        same = {"port_id": floating.port_id, "fixed_ip_address": floating.fixed_ip_address}
        changes |= _target(tx, ctx, floating, {**values, **same})
    common.change(tx, FloatingIp, key, changes)
    return access.must(tx, FloatingIp, key)


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    floating = access.must(tx, FloatingIp, key)
    _check_not_forwarding(floating)
    common.remove(tx, FloatingIp, [key])
    ports.remove(tx, common.find_all(tx, Port, id=[floating.floating_port_id]))


def _external_port(tx: Tx, network: Network, key: str, values: dict[str, Any]) -> Port:
    fixed: list[dict[str, str]] | None = None
    if values.get("floating_ip_address") is not None:
        fixed = [{"ip_address": values["floating_ip_address"]}]
        if values.get("subnet_id") is not None:
            fixed[0]["subnet_id"] = values["subnet_id"]
    elif values.get("subnet_id") is not None:
        fixed = [{"subnet_id": values["subnet_id"]}]
    return ports.make_own(tx, network, OWNER_FLOATING, key, fixed, versions=(4,))


def _target(tx: Tx, ctx: Context, floating: FloatingIp, values: dict[str, Any]) -> Target:
    """The columns that say for whom the address stands."""
    if values.get("port_id") is None:
        if values.get("fixed_ip_address") is not None:
            raise bad("floatingip", "fixed_ip_address cannot be specified without a port_id")
        if port_forwardings.are_of(floating):
            return {}
        return {"port_id": None, "fixed_ip_address": None, "router_id": None, "status": DOWN}
    port = access.get(tx, ctx, Port, values["port_id"])
    if port.project_id != floating.project_id and not ctx.is_admin:
        reason = f"Port {port.id}, since that port is owned by a different project"
        raise bad("floatingip", f"Cannot process floating IP association with {reason}")
    if port.device_owner in _UNSERVED:
        raise bad("floatingip", f"Port {port.id} is unable to be assigned a floating IP")
    subnet_id, fixed = _fixed_address(tx, port, values.get("fixed_ip_address"))
    router = _router_for(tx, ctx, floating, port, subnet_id, values.get("router_id"))
    for other in lookups.floating_of_ports(tx, [port.id]):
        same_network = other.floating_network_id == floating.floating_network_id
        if other.id != floating.id and other.fixed_ip_address == fixed and same_network:
            raise fault(
                "FloatingIPPortAlreadyAssociated",
                address=floating.floating_ip_address,
                id=floating.id,
                port_id=port.id,
                fixed=fixed,
                network_id=floating.floating_network_id,
            )
    _check_not_forwarding(floating)
    target = {"port_id": port.id, "fixed_ip_address": fixed, "router_id": router.id}
    return target if _leads(floating, target) else {**target, "status": DOWN}


def _leads(floating: FloatingIp, target: Target) -> bool:
    """Whether the address stands for that already; until its router's host has heard of it, it is DOWN."""
    return all(getattr(floating, name) == value for name, value in target.items())


def _check_not_forwarding(floating: FloatingIp) -> None:
    if port_forwardings.are_of(floating):
        raise fault("FipInUseByPortForwarding", id=floating.id)


def _fixed_address(tx: Tx, port: Port, wanted: str | None) -> tuple[str, str]:
    held = [item for item in addresses.of_ports(tx, [port.id])[port.id] if ":" not in item.address]
    if wanted is not None:
        if ":" in wanted:
            reason = f"with {wanted}, since that is not an IPv4 address"
            raise bad("floatingip", f"Cannot process floating IP association {reason}")
        held = [item for item in held if item.address == wanted]
        if not held:
            raise bad("floatingip", f"Port {port.id} does not have fixed ip {wanted}")
    if not held:
        raise bad("floatingip", f"Cannot add floating IP to port {port.id} that has no fixed IPv4 addresses")
    if len(held) > 1:
        raise bad(
            "floatingip",
            f"Port {port.id} has multiple fixed IPv4 addresses.  Must provide a specific IPv4 address when assigning "
            "a floating IP",
        )
    return held[0].subnet_id, held[0].address


def _router_for(tx: Tx, ctx: Context, floating: FloatingIp, port: Port, subnet_id: str, wanted: str | None) -> Router:
    """The router named, or else the one between the subnet and the external network."""
    if wanted is not None:
        return floating_routers.chosen(tx, ctx, wanted, floating.floating_network_id)
    router = floating_routers.between(tx, floating.floating_network_id, subnet_id)
    if router is None:
        raise fault(
            "ExternalGatewayForFloatingIPNotFound",
            network_id=floating.floating_network_id,
            subnet_id=subnet_id,
            port_id=port.id,
        )
    return router
