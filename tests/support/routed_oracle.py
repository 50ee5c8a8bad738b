# SPDX-License-Identifier: Apache-2.0
"""Where packets between several networks arrive, and what comes back: what Neutron says of routers, added to
`security_oracle`, which says what ports let pass. Nothing of ours is asked.

Sources: the Networking guide on routers, source NAT and floating IPs (an instance that reaches a floating IP of its own
router is seen from its own floating IP, or from the router's address outside), RFC 792, 1122, 4443 and 5508 for what
hosts and routers answer, and what connection tracking calls related.

- Security groups see a packet as it is on the port's own network: on its way out with the floating IP that it is sent
  to, on its way in with the source that it has by then. So members of a remote group are known across routers, and
  are not known by their floating IPs.
- IPv6 is routed between the networks of a router and never translated.
- Nobody outside gets in but by a floating IP, where the router hides the inside; else its addresses are routed.
- An answer, or an error, comes back through the same translations. Where groups are stateless it needs rules.
"""

from __future__ import annotations

import dataclasses
import ipaddress

from support.security_oracle import ICMP, ICMPV6, UDP, Cloud, Datagram, arrives, knows_connections, leaves

OUTSIDE = "outside"  # the sender or receiver on the external network
ECHO = {ICMP: (8, 0), ICMPV6: (128, 129)}  # the question's type and the answer's
NOBODY_THERE = {4: (ICMP, 3, 3), 6: (ICMPV6, 1, 4)}  # what a host says of a UDP port that nobody listens at
TOO_FAR = {4: (ICMP, 11, 0), 6: (ICMPV6, 3, 0)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Router:
    """`legs` are its addresses (`10.1.0.1/24`) by network, `address` its own outside; `floating` lead to fixed ones."""

    legs: dict[str, tuple[str, ...]]
    address: str | None = None
    snat: bool = True
    floating: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def own(self) -> set[str]:
        inside = {text.split("/")[0] for addresses in self.legs.values() for text in addresses}
        return inside | ({self.address} if self.address else set())

    def network_of(self, address: str) -> str | None:
        """The network inside that the address lies in."""
        for name, addresses in self.legs.items():
            if any(ipaddress.ip_address(address) in ipaddress.ip_interface(text).network for text in addresses):
                return name
        return None

    def outer(self, address: str) -> str:
        """What an address inside is outside, or where its router leads it back inside."""
        floating = next((outer for outer, fixed in self.floating.items() if fixed == address), None)
        return floating or (str(self.address) if self.snat else address)


@dataclasses.dataclass(frozen=True, kw_only=True)
class World:
    """A cloud whose ports are on networks (`homes`), joined by `routers`.

    `outside` is the address of somebody on the external network (`external`, a CIDR) who gets all that is sent farther
    than that, takes nothing but pings, and knows no way to what is not translated.
    """

    cloud: Cloud
    homes: dict[str, str]
    routers: tuple[Router, ...]
    external: str
    outside: str

    def router_of(self, network: str) -> Router | None:
        return next((router for router in self.routers if network in router.legs), None)

    def holder(self, network: str, address: str) -> str | None:
        """The port of the network that has the address."""
        own = (name for name, home in self.homes.items() if home == network)
        return next((name for name in own if address in self.cloud.ports[name].addresses), None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arrival:
    """Where a packet came, and what it is by then. `at` is a port, OUTSIDE, or "" for a router itself.

    `returns` says whether what is answered finds the way back.
    """

    at: str
    seen: Datagram
    returns: bool = True


def arrival(world: World, sender: str, packet: Datagram) -> Arrival | None:
    """Where the first packet of a connection comes; None where it is lost or dropped on its way."""
    if sender == OUTSIDE:
        return _comes_in(world, packet)
    if not leaves(world.cloud, sender, packet):
        return None
    home = world.homes[sender]
    near = world.holder(home, packet.destination)
    if near is not None:
        return _delivered(world, home, packet)
    router = world.router_of(home)
    if router is None:
        return None
    if packet.destination in router.own:
        return Arrival(at="", seen=packet)
    return _routed(world, router, packet)


def _routed(world: World, router: Router, packet: Datagram) -> Arrival | None:
    """What becomes of a packet that a router got from inside."""
    fixed = router.floating.get(packet.destination)
    if fixed is not None:
        source = next((outer for outer, own in router.floating.items() if own == packet.source), router.address)
        turned = dataclasses.replace(packet, source=str(source), destination=fixed)
        return _delivered(world, str(router.network_of(fixed)), turned)
    inside = router.network_of(packet.destination)
    if inside is not None:
        return _delivered(world, inside, packet)
    if packet.version == 6 or router.address is None:
        return None
    sent = dataclasses.replace(packet, source=router.outer(packet.source))
    returns = sent.source != packet.source
    for other in world.routers:
        if packet.destination == other.address:
            return Arrival(at="", seen=sent, returns=returns)
        if packet.destination in other.floating:
            found = _let_in(world, other, sent)
            return dataclasses.replace(found, returns=returns) if found is not None else None
    near = ipaddress.ip_address(packet.destination) in ipaddress.ip_network(world.external)
    if packet.protocol != ICMP or (near and packet.destination != world.outside):
        return None
    return Arrival(at=OUTSIDE, seen=sent, returns=returns and packet.destination == world.outside)


def _comes_in(world: World, packet: Datagram) -> Arrival | None:
    """What becomes of a packet from outside that the router of its destination got."""
    for router in world.routers:
        found = _let_in(world, router, packet)
        if found is not None:
            return found
        inside = router.network_of(packet.destination)
        if inside is not None:
            return None if router.snat else _delivered(world, inside, packet)
    return None


def _let_in(world: World, router: Router, packet: Datagram) -> Arrival | None:
    fixed = router.floating.get(packet.destination)
    if fixed is None:
        return None
    return _delivered(world, str(router.network_of(fixed)), dataclasses.replace(packet, destination=fixed))


def _delivered(world: World, network: str, packet: Datagram) -> Arrival | None:
    receiver = world.holder(network, packet.destination)
    if receiver is None or not arrives(world.cloud, receiver, packet):
        return None
    return Arrival(at=receiver, seen=packet)


def heard_back(world: World, sender: str, packet: Datagram, came: Arrival) -> Datagram | None:
    """What the sender hears of who got its packet: an echo, or that nobody listens there.

    Only for packets that are of the sender's own MAC and address: nobody answers to others.
    """
    kind, first, second = _reply(came.seen)
    if not came.returns or kind == 0 or (came.at in ("", OUTSIDE) and packet.protocol not in ECHO):
        return None
    if came.at not in ("", OUTSIDE):
        mac = world.cloud.ports[came.at].mac
        said = Datagram(
            mac=mac, source=came.seen.destination, destination=came.seen.source, protocol=kind, first=first,
            second=second,
        )  # fmt: skip
        if not knows_connections(world.cloud, came.at) and not leaves(world.cloud, came.at, said):
            return None
    back = Datagram(
        mac="", source=packet.destination, destination=packet.source, protocol=kind, first=first, second=second
    )
    return back if _takes(world, sender, back) else None


def turned_back(world: World, sender: str, packet: Datagram) -> Datagram | None:
    """What the sender hears of the first router of a packet for another of its networks that may go no farther."""
    router = world.router_of(world.homes[sender])
    if router is None or not leaves(world.cloud, sender, packet):
        return None
    kind, first, second = TOO_FAR[packet.version]
    leg = router.legs[world.homes[sender]]
    own = next(text.split("/")[0] for text in leg if (":" in text) == (packet.version == 6))
    back = Datagram(mac="", source=own, destination=packet.source, protocol=kind, first=first, second=second)
    return back if _takes(world, sender, back) else None


def _takes(world: World, sender: str, back: Datagram) -> bool:
    return sender == OUTSIDE or knows_connections(world.cloud, sender) or arrives(world.cloud, sender, back)


def _reply(seen: Datagram) -> tuple[int, int, int]:
    """Protocol, type and code of what a host says to it; zeros where it says nothing that names it."""
    if seen.protocol in ECHO and seen.first == ECHO[seen.protocol][0]:
        return seen.protocol, ECHO[seen.protocol][1], 0
    return NOBODY_THERE[seen.version] if seen.protocol == UDP else (0, 0, 0)
