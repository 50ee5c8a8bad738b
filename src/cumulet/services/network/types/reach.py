# SPDX-License-Identifier: Apache-2.0
"""Which packets desired states let through: networks, routers and security groups without a kernel."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import msgspec

from cumulet.services.network.types.local_ips import LocalIpState
from cumulet.services.network.types.rows import PHYSICAL
from cumulet.services.network.types.states import (
    FloatingState,
    GatewayState,
    GroupState,
    HostState,
    LegState,
    NetworkState,
    PortState,
    RouterState,
    RuleState,
    VlanState,
)

_EPHEMERAL = 49152  # the first port that senders take for themselves (RFC 6335)
_REPLIES = {8: 0, 13: 14, 128: 129}  # ICMP types: echo, timestamp, ICMPv6's echo

_ICMP = 1
_PROTOCOLS = {"tcp": 6, "udp": 17, "dccp": 33, "sctp": 132}


Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


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


class Place(msgspec.Struct, kw_only=True, frozen=True):
    """A host's state, and those of other hosts by endpoint: at the far ends of its tunnels, and on the same wires.

    `said` is what the packet has met so far, in words for people.
    """

    state: HostState
    others: Mapping[str, HostState] = {}
    said: list[str] = []

    def at(self, endpoint: str) -> Place | None:
        """The place at another end."""
        state = self.others.get(endpoint)
        return Place(state=state, others=self.others, said=self.said) if state is not None else None

    def says(self, words: str, verdict: bool) -> bool:
        """Note what was met; the verdict."""
        self.said.append(words)
        return verdict


def reaches(state: HostState, packet: Packet, others: Mapping[str, HostState] | None = None) -> bool:
    """Whether the packet arrives at a port that has the destination, or leaves for the outside world.

    `state` is that of the host where the packet begins.
    """
    return passes(Place(state=state, others=others or {}), packet)


def passes(here: Place, packet: Packet) -> bool:
    """See `reaches`; `here.said` tells why."""
    state = here.state
    if packet.port is None:
        outside = ipaddress.ip_address(packet.source or ("::" if ":" in packet.destination else "0.0.0.0"))  # noqa: S104
        return any(_comes_in(here, router, packet, outside) for router in state.routers if forwards(router))
    port = _port(state, packet.port)
    if port is None:
        return here.says(f"port {packet.port} is not on the host", False)
    if not _is_up(state, port):
        return here.says(f"port {port.id} is switched off", False)
    family = ":" in packet.destination
    source = packet.source or next((one.address for one in port.addresses if (":" in one.address) == family), "")
    if not source:
        return here.says(f"port {port.id} has no address of the destination's IP version", False)
    if not may_send(port, packet.mac or port.mac, source):
        return here.says(f"{source} is no sender of port {port.id}, nor one of its allowed address pairs", False)
    here.says(f"port {port.id} may send from {source}", True)
    meant = _meant(state, port, packet.destination)
    if meant is not None:
        return _leads(here, port, *meant, packet, source)
    if not _leaves(here, port, packet):
        return False
    if packet.destination in _service_addresses(state, port.network_id):
        return here.says("the network's own services answer pings", packet.protocol in (1, 58))
    near = _holder(here, port.network_id, packet.destination)
    if near is not None:
        return near[1].id == port.id or _arrives(here, *near, packet, source)
    routers = [(place, router) for place, router in _routers(here, port.network_id) if router.up]
    if not routers:
        return here.says("no router is on the network", False)
    return any(_routed(place, router, port, packet, source) for place, router in routers)


def _meant(state: HostState, port: PortState, address: str) -> tuple[PortState, LocalIpState] | None:
    """The port that the address means on the host for the others of its network, if it is a local IP."""
    if any(one.address == address for one in port.local_ips):
        return None
    near = [each for each in state.ports if each.network_id == port.network_id and each.local_ips]
    for each in sorted(near, key=lambda one: one.id):
        for one in each.local_ips:
            if one.address == address:
                return each, one
    return None


def _leads(here: Place, port: PortState, near: PortState, one: LocalIpState, packet: Packet, source: str) -> bool:
    """Whether a packet to a local IP arrives at the port that is meant."""
    here.says(f"{one.address} is a local IP, and means port {near.id} at {one.fixed} on this host", True)
    if one.translate:
        packet = msgspec.structs.replace(packet, destination=one.fixed)
    return _leaves(here, port, packet) and _arrives(here, here.state, near, packet, source)


def may_send(port: PortState, mac: str, source: str) -> bool:
    """Whether anti-spoofing lets the port use this sender."""
    if not port.security:
        return True
    address = ipaddress.ip_address(source)
    cidrs = [one.address for one in port.addresses] if mac == port.mac else []
    cidrs += [pair.cidr for pair in port.pairs if pair.mac == mac]
    if any(":" in cidr for cidr in cidrs):
        cidrs.append(_link_local(mac))
    return any(_within(address, cidr) for cidr in cidrs)


def _link_local(mac: str) -> str:
    """The address that a device gives itself by its MAC (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    own = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + own))


def _routed(here: Place, router: RouterState, port: PortState, packet: Packet, source: str) -> bool:
    own = [text.split("/")[0] for leg in router.legs for text in leg.addresses]
    if packet.destination in own:
        return here.says(f"router {router.id} itself answers pings", packet.protocol in (1, 58))
    inside = _inward(router, packet)
    if inside is not None and router.gateway is not None:
        here.says(f"router {router.id} sends it on to {inside.destination} as from {_outward(router, source)}", True)
        return _delivered(here, router, inside, _outward(router, source))
    edge = router.distributed is not None and not router.distributed.central
    if edge and _leg_to(router, packet.destination) is None and not _floats_here(router, source):
        return _by_the_center(here, router, port, packet, source)
    if _forwards_at(router, packet.destination):
        words = f"router {router.id} has the address for some ports alone, and answers pings"
        return here.says(words, packet.protocol == _ICMP)
    entry = next(leg for leg in router.legs if leg.network_id == port.network_id)
    exit_leg = _leg_to(router, packet.destination)
    if exit_leg is entry:
        return here.says(f"no port of the network has {packet.destination}", False)
    if exit_leg is not None:
        if not _share_scope(entry, exit_leg, packet):
            return here.says(f"router {router.id} does not forward between address scopes", False)
        here.says(f"router {router.id} forwards it to network {exit_leg.network_id}", True)
        return _delivered(here, router, packet, source)
    way = _way_out(router, source, packet.destination)
    if way is None:
        lacks = "no gateway" if router.gateway is None else "BFD hears no next hop"
        return here.says(f"router {router.id} has no way to {packet.destination}: {lacks}", False)
    if not _is_translated(router, source) and not _share_scope(entry, way.leg, packet):
        return here.says(f"router {router.id} does not let another address scope out untranslated", False)
    for other in filter(forwards, here.state.routers):
        if other.id != router.id and (_inward(other, packet) or _forwards_at(other, packet.destination)):
            here.says(f"router {router.id} sends it outside, to router {other.id}", True)
            return _floats_in(here, other, packet, ipaddress.ip_address(_outward(router, source, way)))
    leaves = way.snat or any(one.fixed == source for one in router.floating)
    words = f"out as from {_outward(router, source, way)}" if leaves else "nothing out: its source NAT is off"
    words += ", while BFD hears the next hop" if leaves and router.bfd else ""
    return here.says(f"router {router.id} lets {words}", leaves)


def _floats_here(router: RouterState, source: str) -> bool:
    """Whether the sender has a floating IP on this host."""
    return any(one.fixed == source for one in router.floating)


def _by_the_center(here: Place, router: RouterState, port: PortState, packet: Packet, source: str) -> bool:
    """What leaves a distributed router by source NAT does so on its central host."""
    assert router.distributed is not None
    legs = {leg.port_id for leg in router.distributed.snat if leg.network_id == port.network_id}
    for remote in here.state.remotes:
        there = here.at(remote.endpoint) if remote.id in legs else None
        for other in there.state.routers if there is not None else ():
            if there is not None and other.id == router.id and other.distributed is not None:
                here.says(f"router {router.id} sends it to its central host", True)
                return other.distributed.central and _routed(there, other, port, packet, source)
    return here.says(f"router {router.id} has no way to {packet.destination} but by its central host: none", False)


def _comes_in(here: Place, router: RouterState, packet: Packet, sender: Address) -> bool:
    """From outside: to a floating address, or, where the router hides nothing, by a route to the inside."""
    if _floats_in(here, router, packet, sender):
        return True
    inside = _leg_to(router, packet.destination)
    if router.gateway is None or not router.up or inside is None:
        return False
    if sender.version == 4 and router.gateway.snat and not inside.scope4:
        return False
    if sender.version == 6 and router.proxied is not None and packet.destination not in router.proxied:
        return False
    shared = any(_share_scope(way.leg, inside, packet) for way in router.gateways)
    return shared and _delivered(here, router, packet, str(sender))


def _leg_to(router: RouterState, address: str) -> LegState | None:
    """The leg on whose network the address would be."""
    target = ipaddress.ip_address(address)
    return next((leg for leg in router.legs if any(_within(target, cidr) for cidr in leg.addresses)), None)


def _share_scope(one: LegState, other: LegState, packet: Packet) -> bool:
    """Whether the router forwards between the two without translation."""
    return one.scope6 == other.scope6 if ":" in packet.destination else one.scope4 == other.scope4


def _is_translated(router: RouterState, source: str) -> bool:
    """Whether the sender's address is another outside."""
    assert router.gateway is not None
    return ":" not in source and (router.gateway.snat or any(one.fixed == source for one in router.floating))


def _floats_in(here: Place, router: RouterState, packet: Packet, sender: Address) -> bool:
    inside = _inward(router, packet)
    if router.gateway is None or not router.up:
        return False
    if inside is None:
        return packet.protocol == _ICMP and _forwards_at(router, packet.destination)
    here.says(f"router {router.id} sends it on to {inside.destination}", True)
    return _delivered(here, router, inside, str(sender))


def _forwards_at(router: RouterState, address: str) -> bool:
    """Whether the address is the router's own, but for ports that lead inside."""
    return any(one.address == address for one in router.forwards)


def _inward(router: RouterState, packet: Packet) -> Packet | None:
    """The packet as the router sends it inside, where its destination is one of the router's external addresses."""
    for floating in router.floating:
        if floating.address == packet.destination:
            return msgspec.structs.replace(packet, destination=floating.fixed)
    for one in router.forwards:
        asked = packet.low if packet.protocol == _PROTOCOLS.get(one.protocol) else None
        if one.address == packet.destination and asked is not None and one.low <= asked <= one.high:
            port = one.fixed_low if one.fixed_low == one.fixed_high else asked - one.low + one.fixed_low
            return msgspec.structs.replace(packet, destination=one.fixed, low=port, high=port)
    return None


def leads(routers: Iterable[RouterState], packet: Packet) -> tuple[str, int | None] | None:
    """The address and port inside to which the routers that forward here lead a packet; None where none does."""
    found = (_inward(router, packet) for router in routers if forwards(router))
    return next(((inside.destination, inside.low) for inside in found if inside is not None), None)


def _delivered(here: Place, router: RouterState, packet: Packet, sender: str) -> bool:
    for leg in router.legs:
        target = _holder(here, leg.network_id, packet.destination)
        if target is not None:
            return _arrives(here, *target, packet, sender)
    return here.says(f"no port on the router's networks has {packet.destination}", False)


def _routers(here: Place, network_id: str) -> Iterator[tuple[Place, RouterState]]:
    """The routers with a leg on the network: the host's own, and those that its tunnels lead to."""
    for router in filter(forwards, here.state.routers):
        if any(leg.network_id == network_id for leg in router.legs):
            yield here, router
    for remote in here.state.remotes:
        places = (remote.endpoint, *remote.standbys) if remote.network_id == network_id else ()
        if any(router.id == remote.router and router.distributed is not None for router in here.state.routers):
            continue  # this host's own part of it does that
        for there in filter(None, map(here.at, places)):
            if there.state is not here.state and _joined(here.state, there.state, network_id):
                for router in filter(forwards, there.state.routers):
                    if any(leg.port_id == remote.id for leg in router.legs):
                        yield there, router
    for there in _on_the_wire(here, network_id):
        for router in filter(forwards, there.state.routers):
            if any(leg.network_id == network_id for leg in router.legs):
                yield there, router


def forwards(router: RouterState) -> bool:
    """Whether the router does so here, or stands by while another host's does."""
    return router.ha is None or router.ha.active


def _on_the_wire(here: Place, network_id: str) -> Iterator[Place]:
    """The hosts that have the network from the same wire as this one."""
    own = _wire(here.state, network_id)
    for endpoint, state in here.others.items() if own is not None else ():
        there = here.at(endpoint) if state is not here.state else None
        if there is not None and _wire(state, network_id) == own:
            yield there


def is_on_a_wire(network: NetworkState) -> bool:
    """Whether hosts have the network from a wire; the physical network that each is on by itself joins none."""
    physical = network.vlan.physical if network.vlan is not None else network.physical
    return physical not in (None, PHYSICAL)


def _wire(state: HostState, network_id: str) -> VlanState | str | None:
    """What of the world outside the network is."""
    found = next((network for network in state.networks if network.id == network_id), None)
    return (found.vlan or found.physical) if found is not None and is_on_a_wire(found) else None


def _is_up(state: HostState, port: PortState) -> bool:
    """Whether the port, and the one in whose trunk it is, is switched on."""
    parent = _port(state, port.trunk.parent) if port.trunk is not None else port
    return port.up and parent is not None and parent.up


def _joined(one: HostState, other: HostState, network_id: str) -> bool:
    """Whether the network is the same tunnel on both hosts."""
    numbers = [
        next((network.segment for network in state.networks if network.id == network_id), 0) for state in (one, other)
    ]
    return numbers[0] != 0 and numbers[0] == numbers[1]


def _service_addresses(state: HostState, network_id: str) -> set[str]:
    """Where the network's own services answer pings."""
    services = (one.service for one in state.networks if one.id == network_id and one.service is not None)
    return {text.split("/")[0] for service in services for text in service.addresses}


def _way_out(router: RouterState, source: str, to: str) -> GatewayState | None:
    """The gateway by which the sender's packets leave: that of its floating address, else the first.

    Where its next hop is silent, it is the next one that has another.
    """
    floating = _floating_of(router, source)
    way = router.gateway_of(floating) if floating is not None else router.gateway
    if way is None or not router.silent or any(_within(ipaddress.ip_address(to), cidr) for cidr in way.leg.addresses):
        return way
    if not _hops(way, to) & set(router.silent):
        return way
    return next((each for each in router.gateways if _hops(each, to) - set(router.silent)), None)


def _hops(way: GatewayState, to: str) -> set[str]:
    return {hop for hop in way.hops if (":" in hop) == (":" in to)}


def _floating_of(router: RouterState, source: str) -> FloatingState | None:
    """The floating address that the sender leaves with; it may have one of each gateway."""
    return min((one for one in router.floating if one.fixed == source), key=lambda one: one.address, default=None)


def _outward(router: RouterState, source: str, way: GatewayState | None = None) -> str:
    """The sender's address after the router's source NAT, where it leaves by `way`, or by the first gateway."""
    floating = _floating_of(router, source)
    if floating is not None and way in (None, router.gateway_of(floating)):
        return floating.address
    way = way or router.gateway
    if way is None:
        return source
    own = next((text.split("/")[0] for text in way.leg.addresses), source)
    return own if way.snat else source


def _leaves(here: Place, port: PortState, packet: Packet) -> bool:
    if not port.security:
        return here.says(f"port {port.id} has no port security: nothing is filtered", True)
    return _exchanged(here, here.state, port, packet, "egress", packet.destination)


def _arrives(here: Place, state: HostState, port: PortState, packet: Packet, sender: str) -> bool:
    """`state` is that of the port's host."""
    if state is not here.state:
        way = "the tunnel" if _wire(state, port.network_id) is None else "the provider link"
        here.says(f"it goes through {way} to another host", True)
    if not _is_up(state, port):
        return here.says(f"port {port.id} is switched off", False)
    if not port.security:
        return here.says(f"port {port.id} has no port security: nothing is filtered", True)
    return _exchanged(here, state, port, packet, "ingress", sender)


def is_stateless(port: PortState, groups: Mapping[str, GroupState]) -> bool:
    """Whether the port's groups, those that there are, know no connections; `groups` by id."""
    own = [groups[key] for key in port.groups if key in groups]
    return bool(own) and not any(group.stateful for group in own)


def _exchanged(here: Place, state: HostState, port: PortState, packet: Packet, direction: str, other: str) -> bool:
    """Whether the port's rules let the packet pass, and its answer where connections are not known."""
    if not _allowed(here, state, port, packet, direction, other):
        return False
    if not is_stateless(port, {group.id: group for group in state.groups}):
        return True
    here.says("its groups are stateless: the answer needs a rule of its own", True)
    back = "ingress" if direction == "egress" else "egress"
    return _allowed(here, state, port, _answer(packet), back, other)


def _answer(packet: Packet) -> Packet:
    """What comes back: to a port of the sender's choice, or the reply to an ICMP question."""
    low, high = _EPHEMERAL, _EPHEMERAL
    if packet.protocol in (1, 58):
        low, high = _REPLIES.get(packet.low or 0, 0 if packet.protocol == 1 else 129), 0
    return msgspec.structs.replace(packet, low=low, high=high)


def _allowed(here: Place, state: HostState, port: PortState, packet: Packet, direction: str, other: str) -> bool:
    members = {group.id: group.members for group in state.groups}
    for group in (group for group in state.groups if group.id in port.groups):
        for rule in (rule for rule in group.rules if rule.direction == direction):
            if _matches(rule, packet, other, members.get(rule.remote_group or "", [])):
                return here.says(f"{direction} of port {port.id}: security group {group.id} lets it pass", True)
    words = " ".join(port.groups) or "none"
    return here.says(f"{direction} of port {port.id}: no rule of its security groups ({words}) lets it pass", False)


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


def _holder(here: Place, network_id: str, address: str) -> tuple[HostState, PortState] | None:
    """The port that has the address on the network, with its host's state."""
    for port in here.state.ports:
        if port.network_id == network_id and any(one.address == address for one in port.addresses):
            return here.state, port
    for remote in here.state.remotes:
        there = here.others.get(remote.endpoint)
        if remote.network_id == network_id and address in remote.addresses and there is not None:
            far = _port(there, remote.id)
            if far is not None and _joined(here.state, there, network_id):
                return there, far
    for place in _on_the_wire(here, network_id):
        for port in place.state.ports:
            if port.network_id == network_id and any(one.address == address for one in port.addresses):
                return place.state, port
    return None


def _within(address: Address, cidr: str) -> bool:
    return address in ipaddress.ip_network(cidr, strict=False)
