# SPDX-License-Identifier: Apache-2.0
"""Which packets a desired state lets through: networks, routers and security groups without a kernel."""

from __future__ import annotations

import ipaddress

import msgspec

from cumulet.services.network.types import HostState, PortState, RouterState, RuleState


class Packet(msgspec.Struct, kw_only=True, frozen=True):
    """The first packet of a flow. `port` is the id of the sender's port, None for the outside world.

    `source` is the sender's address where it is not the port's first one; `low`/`high` are the destination port twice,
    or ICMP type and code.
    """

    destination: str
    port: str | None = None
    source: str | None = None
    mac: str | None = None
    protocol: int = 6
    low: int | None = None
    high: int | None = None


def reaches(state: HostState, packet: Packet) -> bool:
    """Whether the packet arrives at a port of the host that has the destination, or leaves for the outside world."""
    if packet.port is None:
        return any(
            _floats_in(state, router, packet, ipaddress.ip_address(packet.source or "0.0.0.0"))  # noqa: S104
            for router in state.routers
        )
    port = _port(state, packet.port)
    if port is None or not port.up:
        return False
    source = packet.source or next((one.address for one in port.addresses), "")
    if not source or not may_send(port, packet.mac or port.mac, source) or not _leaves(state, port, packet):
        return False
    if packet.destination in _service_addresses(state, port.network_id):
        return packet.protocol in (1, 58)
    near = _holder(state, port.network_id, packet.destination)
    if near is not None:
        return near.id == port.id or _arrives(state, near, packet, source)
    return any(_routed(state, router, port, packet, source) for router in state.routers if router.up)


def may_send(port: PortState, mac: str, source: str) -> bool:
    """Whether anti-spoofing lets the port use this sender."""
    if not port.security:
        return True
    address = ipaddress.ip_address(source)
    own = mac == port.mac and any(ipaddress.ip_address(one.address) == address for one in port.addresses)
    pairs = (pair for pair in port.pairs if pair.mac == mac)
    return own or any(_within(address, pair.cidr) for pair in pairs)


def _routed(state: HostState, router: RouterState, port: PortState, packet: Packet, source: str) -> bool:
    if not any(leg.network_id == port.network_id for leg in router.legs):
        return False
    own = [text.split("/")[0] for leg in router.legs for text in leg.addresses]
    if packet.destination in own:
        return packet.protocol in (1, 58)
    for floating in router.floating:
        if floating.address == packet.destination and router.gateway is not None:
            sender = _outward(router, source)
            inside = msgspec.structs.replace(packet, destination=floating.fixed)
            return _delivered(state, router, inside, sender)
    if any(_within(ipaddress.ip_address(packet.destination), cidr) for leg in router.legs for cidr in leg.addresses):
        return _delivered(state, router, packet, source)
    if router.gateway is None:
        return False
    for other in state.routers:
        if other.id != router.id and any(one.address == packet.destination for one in other.floating):
            return _floats_in(state, other, packet, ipaddress.ip_address(_outward(router, source)))
    return router.gateway.snat or any(one.fixed == source for one in router.floating)


def _floats_in(
    state: HostState, router: RouterState, packet: Packet, sender: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> bool:
    floating = next((one for one in router.floating if one.address == packet.destination), None)
    if floating is None or router.gateway is None or not router.up:
        return False
    return _delivered(state, router, msgspec.structs.replace(packet, destination=floating.fixed), str(sender))


def _delivered(state: HostState, router: RouterState, packet: Packet, sender: str) -> bool:
    for leg in router.legs:
        target = _holder(state, leg.network_id, packet.destination)
        if target is not None:
            return _arrives(state, target, packet, sender)
    return False


def _service_addresses(state: HostState, network_id: str) -> set[str]:
    """Where the network's own services answer pings."""
    services = (one.service for one in state.networks if one.id == network_id and one.service is not None)
    return {text.split("/")[0] for service in services for text in service.addresses}


def _outward(router: RouterState, source: str) -> str:
    """The sender's address after the router's source NAT."""
    floating = next((one.address for one in router.floating if one.fixed == source), None)
    if floating is not None or router.gateway is None:
        return floating or source
    own = next((text.split("/")[0] for text in router.gateway.leg.addresses), source)
    return own if router.gateway.snat else source


def _leaves(state: HostState, port: PortState, packet: Packet) -> bool:
    return not port.security or _allowed(state, port, packet, "egress", packet.destination)


def _arrives(state: HostState, port: PortState, packet: Packet, sender: str) -> bool:
    return port.up and (not port.security or _allowed(state, port, packet, "ingress", sender))


def _allowed(state: HostState, port: PortState, packet: Packet, direction: str, other: str) -> bool:
    members = {group.id: group.members for group in state.groups}
    rules = (rule for group in state.groups if group.id in port.groups for rule in group.rules)
    return any(
        rule.direction == direction and _matches(rule, packet, other, members.get(rule.remote_group or "", []))
        for rule in rules
    )


def _matches(rule: RuleState, packet: Packet, other: str, members: list[str]) -> bool:
    address = ipaddress.ip_address(other)
    if rule.version != address.version:
        return False
    if rule.remote_group is not None and not any(_within(address, member) for member in members):
        return False
    if rule.remote_cidr is not None and not _within(address, rule.remote_cidr):
        return False
    if rule.protocol is not None and rule.protocol != packet.protocol:
        return False
    if rule.protocol is None or rule.low is None:
        return True
    if rule.protocol in (1, 58):
        return packet.low == rule.low and rule.high in (None, packet.high)
    return packet.low is not None and rule.low <= packet.low <= (rule.low if rule.high is None else rule.high)


def _port(state: HostState, port_id: str) -> PortState | None:
    return next((port for port in state.ports if port.id == port_id), None)


def _holder(state: HostState, network_id: str, address: str) -> PortState | None:
    return next(
        (
            port
            for port in state.ports
            if port.network_id == network_id and any(one.address == address for one in port.addresses)
        ),
        None,
    )


def _within(address: ipaddress.IPv4Address | ipaddress.IPv6Address, cidr: str) -> bool:
    return address in ipaddress.ip_network(cidr, strict=False)
