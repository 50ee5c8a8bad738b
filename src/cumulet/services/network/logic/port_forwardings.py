# SPDX-License-Identifier: Apache-2.0
"""What can be done with port forwardings.

A floating IP that has any stands for no port, and yet has a router: the one that all of them pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.network.logic import access, addressing, floating_routers
from cumulet.services.network.logic.faults import bad, fault
from cumulet.services.network.store import addresses, common, lookups
from cumulet.services.network.types import DOWN, Allocation, FloatingIp, Port
from cumulet.services.network.types.port_forwardings import PortForwarding

_NAME = "port_forwarding"
Range = tuple[int, int]


def create(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> PortForwarding:
    """Let ports of a floating IP that stands for nobody lead to those of an address."""
    floating = access.must(tx, FloatingIp, values["floatingip_id"])
    outer, inner = asked(values, "external"), asked(values, "internal")
    if outer is None or inner is None:
        raise bad(_NAME, "Both an external and an internal port, or range of ports, must be specified")
    now = clock.utcnow()
    made = PortForwarding(
        id=ids.new_uuid(),
        floatingip_id=floating.id,
        internal_port_id=values["internal_port_id"],
        internal_ip_address=values["internal_ip_address"],
        protocol=values["protocol"],
        external_low=outer[0],
        external_high=outer[1],
        internal_low=inner[0],
        internal_high=inner[1],
        description=values["description"],
        revision_number=1,
        created_at=now,
        updated_at=now,
    )
    _check_ranges(tx, made)
    _check_unbound(tx, made)
    if floating.port_id is not None:
        raise fault(
            "FloatingIPPortAlreadyAssociated",
            address=floating.floating_ip_address,
            id=floating.id,
            port_id=made.internal_port_id,
            fixed=made.internal_ip_address,
            network_id=floating.floating_network_id,
        )
    router_id = _router(tx, ctx, floating, made)
    common.add(tx, made)
    common.change(tx, FloatingIp, floating.id, {"router_id": router_id})
    common.touch(tx, Port, made.internal_port_id)
    return made


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> PortForwarding:
    """Change where the ports lead, which they are, or the words."""
    old = access.must(tx, PortForwarding, key)
    outer, inner = asked(values, "external") or (old.external_low, old.external_high), asked(values, "internal")
    inner = inner or (old.internal_low, old.internal_high)
    plain = ("internal_port_id", "internal_ip_address", "protocol", "description")
    changes = {name: values[name] for name in plain if name in values}
    changes |= {"external_low": outer[0], "external_high": outer[1]}
    changes |= {"internal_low": inner[0], "internal_high": inner[1]}
    if changes.get("internal_port_id", old.internal_port_id) != old.internal_port_id:
        changes.setdefault("internal_ip_address", _first_address(tx, ctx, changes["internal_port_id"]))
    new = msgspec.structs.replace(old, **changes)
    if "internal_port_id" in values:
        _check_unbound(tx, new)
    floating = access.must(tx, FloatingIp, old.floatingip_id)
    if new.internal_port_id != old.internal_port_id:
        _router(tx, ctx, floating, new)
    _check_address(tx, ctx, new)
    _check_same(tx, new, floating)
    _check_ranges(tx, new)
    common.change(tx, PortForwarding, key, changes)
    common.touch(tx, FloatingIp, floating.id)
    for port_id in {old.internal_port_id, new.internal_port_id}:
        common.touch(tx, Port, port_id)
    return access.must(tx, PortForwarding, key)


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Remove it; a floating IP without any has no router any more."""
    remove(tx, [access.must(tx, PortForwarding, key)])


def remove(tx: Tx, gone: Iterable[PortForwarding]) -> None:
    """Remove these, whoever asks."""
    listed = list(gone)
    common.remove(tx, PortForwarding, [each.id for each in listed])
    touched = {each.floatingip_id for each in listed}
    left = {each.floatingip_id for each in common.find_all(tx, PortForwarding, floatingip_id=touched)}
    for key in touched:
        common.change(tx, FloatingIp, key, {} if key in left else {"router_id": None, "status": DOWN})


def readdressed(tx: Tx, port: Port) -> None:
    """The port has other addresses: what led to one that it has no more leads nowhere."""
    leading = common.find_all(tx, PortForwarding, internal_port_id=[port.id])
    if leading:
        held = {item.address for item in addresses.of_ports(tx, [port.id])[port.id]}
        remove(tx, [each for each in leading if each.internal_ip_address not in held])


def forget(tx: Tx, port_ids: list[str]) -> None:
    """Ports go, and with them what led to them."""
    remove(tx, common.find_all(tx, PortForwarding, internal_port_id=port_ids))


def are_of(floating: FloatingIp) -> bool:
    """Whether the floating IP has any."""
    return floating.port_id is None and floating.router_id is not None


def lead_into(tx: Tx, floating: FloatingIp, cidr: str) -> bool:
    """Whether any of the floating IP's leads to an address of the subnet."""
    found = common.find_all(tx, PortForwarding, floatingip_id=[floating.id]) if are_of(floating) else []
    return any(addressing.within(each.internal_ip_address, cidr) for each in found)


def asked(values: Mapping[str, Any], side: str) -> Range | None:
    """The ports asked for on the side `external` or `internal`; a single port counts more than a range."""
    single, listed = values.get(f"{side}_port"), values.get(f"{side}_port_range")
    if single is not None:
        return int(single), int(single)
    if listed is None:
        return None
    low, _, high = str(listed).partition(":")
    return int(low), int(high or low)


def text(low: int, high: int) -> str:
    """A range as the API spells it."""
    return f"{low}:{high}"


def _check_ranges(tx: Tx, wanted: PortForwarding) -> None:
    """The ranges fit each other, and none of their ports is another forwarding's."""
    outer, inner = (wanted.external_low, wanted.external_high), (wanted.internal_low, wanted.internal_high)
    if inner[1] > inner[0] and inner[1] - inner[0] != outer[1] - outer[0]:
        relation = "The relation between internal and external ports must be N-N or 1-N"
        raise bad(_NAME, f"Invalid ranges of internal and/or external ports. {relation}")
    same_protocol = {"protocol": [wanted.protocol]}
    inside = common.find_all(
        tx,
        PortForwarding,
        internal_port_id=[wanted.internal_port_id],
        internal_ip_address=[wanted.internal_ip_address],
        **same_protocol,
    )
    _check_apart(
        wanted, "internal_port_range", inner, [(each, each.internal_low, each.internal_high) for each in inside]
    )
    outside = common.find_all(tx, PortForwarding, floatingip_id=[wanted.floatingip_id], **same_protocol)
    _check_apart(
        wanted, "external_port_range", outer, [(each, each.external_low, each.external_high) for each in outside]
    )


def _check_apart(
    wanted: PortForwarding, name: str, asked_for: Range, taken: list[tuple[PortForwarding, int, int]]
) -> None:
    for other, low, high in taken:
        if other.id != wanted.id and low <= asked_for[1] and asked_for[0] <= high:
            raise bad(
                _NAME,
                f"There is a port collision with the {name}. The following ranges collide: {text(low, high)} and "
                f"{text(*asked_for)}",
            )


def _check_unbound(tx: Tx, wanted: PortForwarding) -> None:
    """A floating IP that stands for the port leads to all of its ports already."""
    for floating in lookups.floating_of_ports(tx, [wanted.internal_port_id]):
        raise fault(
            "PortHasBindingFloatingIP",
            address=floating.floating_ip_address,
            id=floating.id,
            port_id=wanted.internal_port_id,
            fixed=wanted.internal_ip_address,
        )


def _fixed(tx: Tx, ctx: Context, port_id: str) -> list[Allocation]:
    """The IPv4 addresses of a port that the caller may see."""
    port = access.get(tx, ctx, Port, port_id)
    return [item for item in addresses.of_ports(tx, [port.id])[port.id] if ":" not in item.address]


def _first_address(tx: Tx, ctx: Context, port_id: str) -> str:
    held = _fixed(tx, ctx, port_id)
    if not held:
        raise bad(_NAME, f"Requested internal port {port_id} must allocate an IPv4 address at least.")
    return held[0].address


def _router(tx: Tx, ctx: Context, floating: FloatingIp, wanted: PortForwarding) -> str:
    """The router that leads there, which has to be that of the floating IP's other forwardings."""
    held = _fixed(tx, ctx, wanted.internal_port_id)
    if not held:
        raise bad(_NAME, f"Requested internal port {wanted.internal_port_id} must allocate an IPv4 address at least.")
    subnet_id = next((item.subnet_id for item in held if item.address == wanted.internal_ip_address), None)
    if subnet_id is None:
        raise bad(
            _NAME,
            f"Requested internal IP address {wanted.internal_ip_address} is not suitable for internal neutron port "
            f"{wanted.internal_port_id}, as its fixed_ips are {_shown(held)}",
        )
    router = floating_routers.between(tx, floating.floating_network_id, subnet_id)
    if router is None:
        raise bad(
            _NAME,
            f"External network {floating.floating_network_id} is not reachable from subnet {subnet_id}. Cannot set "
            f"Port forwarding for port {wanted.internal_port_id} with Floating IP {floating.id}",
        )
    if floating.router_id is not None and floating.router_id != router.id:
        raise bad(
            _NAME,
            f"The Floating IP {floating.id} had been set on router {floating.router_id}, the internal Neutron port "
            f"{wanted.internal_port_id} can not reach it",
        )
    return router.id


def _check_address(tx: Tx, ctx: Context, wanted: PortForwarding) -> None:
    held = _fixed(tx, ctx, wanted.internal_port_id)
    if not any(item.address == wanted.internal_ip_address for item in held):
        raise bad(
            _NAME,
            "The internal IP does not correspond to an address on the internal port, which has fixed_ips "
            f"{_shown(held)}",
        )


def _check_same(tx: Tx, wanted: PortForwarding, floating: FloatingIp) -> None:
    """No other forwarding of the floating IP has the same socket outside or inside."""
    others = common.find_all(tx, PortForwarding, floatingip_id=[floating.id], protocol=[wanted.protocol])
    for other in (each for each in others if each.id != wanted.id):
        outer, inner = (wanted.external_low, wanted.external_high), (wanted.internal_low, wanted.internal_high)
        conflict: dict[str, Any] | None = None
        if (other.external_low, other.external_high) == outer:
            conflict = {"floating_ip_address": floating.floating_ip_address, "external_port": outer[0]}
        elif (other.internal_port_id, other.internal_ip_address, other.internal_low, other.internal_high) == (
            wanted.internal_port_id,
            wanted.internal_ip_address,
            *inner,
        ):
            conflict = {
                "internal_port_id": wanted.internal_port_id,
                "internal_ip_address": wanted.internal_ip_address,
                "internal_port": inner[0],
            }
        if conflict is not None:
            reason = "Another port forwarding entry with the same attributes already exists, conflicting values are"
            raise bad(_NAME, f"{reason} {conflict}")


def _shown(held: list[Allocation]) -> list[dict[str, str]]:
    return [{"subnet_id": item.subnet_id, "ip_address": item.address} for item in held]
