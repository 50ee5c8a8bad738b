# SPDX-License-Identifier: Apache-2.0
"""What Neutron says that ports let pass, written from its documentation and from nothing of ours.

Sources: the Networking API reference (security groups, rules, port security, allowed address pairs, address groups) and
the behaviour that OpenStack's networking guide describes. Things are spelled as callers of the API spell them.

- Without port security a port sends and gets everything.
- With it, a sender is a pair of MAC and address: the port's MAC with one of its addresses, or an allowed pair; and each
  such MAC with its link-local address where it has an IPv6 address at all. It never serves DHCP nor advertises routes.
- What goes out needs an egress rule of one of its groups, what comes in an ingress rule; no groups, no rules. A rule
  that names a group admits the addresses of all its ports, those of their allowed pairs too.
- Stateful groups let answers pass; a stateless group does not know what an answer is.
- IPv6 neighbour discovery needs no rule, nor does DHCP: a client's questions and what servers answer, those of DHCPv6
  from their link-local addresses (RFC 8415, section 13.1).
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterable

TCP, UDP, ICMP, ICMPV6, SCTP = 6, 17, 1, 58, 132
# The API reference's list, and the numbers that it gives.
NUMBERS = {
    "ah": 51, "dccp": 33, "egp": 8, "esp": 50, "gre": 47, "icmp": 1, "icmpv6": 58, "igmp": 2, "ipip": 4,
    "ipv6-encap": 41, "ipv6-frag": 44, "ipv6-icmp": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "ipv6-route": 43,
    "ospf": 89, "pgm": 113, "rsvp": 46, "sctp": 132, "tcp": 6, "udp": 17, "udplite": 136, "vrrp": 112,
}  # fmt: skip
ANY = (None, "any", "0", "ip", "hopopt")  # "any or 0"
PORTED = (TCP, UDP, SCTP, 33, 136)
# Multicast listener queries, neighbour solicitations and advertisements come in; router solicitations go out as well.
DISCOVERY_IN, DISCOVERY_OUT = (130, 135, 136), (130, 133, 135, 136)
ROUTER_ADVERTISEMENT = 134


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """A security group rule in the API's words; `addresses` are those of the remote address group."""

    direction: str
    ethertype: str
    protocol: str | None = None
    port_range_min: int | None = None
    port_range_max: int | None = None
    remote_ip_prefix: str | None = None
    remote_group: str | None = None
    addresses: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """A security group."""

    rules: tuple[Rule, ...] = ()
    stateful: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Port:
    """A server's port; `pairs` are (MAC, address or CIDR), `groups` names."""

    mac: str
    addresses: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...] = ()
    secure: bool = True
    groups: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Datagram:
    """An IP packet. `first` and `second` are source and destination port, or ICMP type and code."""

    mac: str
    source: str
    destination: str
    protocol: int
    first: int = 0
    second: int = 0

    @property
    def version(self) -> int:
        return ipaddress.ip_address(self.source).version


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cloud:
    """Ports and groups by name."""

    ports: dict[str, Port]
    groups: dict[str, Group]


def passes(cloud: Cloud, sender: str, receiver: str, packet: Datagram) -> bool:
    """Whether a packet that belongs to no connection yet goes from one port to another of its network."""
    return leaves(cloud, sender, packet) and arrives(cloud, receiver, packet)


def exchanged(cloud: Cloud, sender: str, receiver: str, packet: Datagram, answer: Datagram) -> bool:
    """Whether the packet passes, and then the receiver's answer to it."""
    return passes(cloud, sender, receiver, packet) and answers(cloud, sender, receiver, answer)


def answers(cloud: Cloud, sender: str, receiver: str, answer: Datagram) -> bool:
    """Whether the answer to a packet that has passed comes back to its sender."""
    port = cloud.ports[receiver]
    if knows_connections(cloud, receiver):
        said = not port.secure or (may_use(port, answer) and not _serves(answer))
    else:
        said = leaves(cloud, receiver, answer)
    return said and (knows_connections(cloud, sender) or arrives(cloud, sender, answer))


def knows_connections(cloud: Cloud, name: str) -> bool:
    """Whether the port's groups are stateful, or nothing is filtered there."""
    port = cloud.ports[name]
    return not port.secure or all(cloud.groups[group].stateful for group in port.groups)


def leaves(cloud: Cloud, name: str, packet: Datagram) -> bool:
    """Whether the packet gets out of the port, no connection being known."""
    port = cloud.ports[name]
    if not port.secure:
        return True
    if not may_use(port, packet) or _serves(packet):
        return False
    if packet.protocol == ICMPV6 and packet.first in DISCOVERY_OUT:
        return True
    asks = (packet.protocol, packet.first, packet.second) == (UDP, *((68, 67) if packet.version == 4 else (546, 547)))
    return asks or _admitted(cloud, port, packet, "egress", packet.destination)


def arrives(cloud: Cloud, name: str, packet: Datagram) -> bool:
    """Whether the packet gets into the port, no connection being known."""
    port = cloud.ports[name]
    if not port.secure or (packet.protocol == ICMPV6 and packet.first in DISCOVERY_IN):
        return True
    if _serves(packet) and packet.protocol == UDP and (packet.version == 4 or _within(packet.source, ["fe80::/64"])):
        return True
    return _admitted(cloud, port, packet, "ingress", packet.source)


def may_use(port: Port, packet: Datagram) -> bool:
    """Whether the packet's MAC and source are the port's to send from."""
    own = [(port.mac, address) for address in port.addresses] + list(port.pairs)
    own += [(mac, link_local(mac)) for mac, address in own if ":" in address]
    return not port.secure or any(mac == packet.mac and _within(packet.source, [address]) for mac, address in own)


def link_local(mac: str) -> str:
    """The address that a device with this MAC gives itself (RFC 4291, appendix A)."""
    octets = bytearray.fromhex(mac.replace(":", ""))
    octets[0] ^= 2
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + octets[:3] + b"\xff\xfe" + octets[3:]))


def _serves(packet: Datagram) -> bool:
    """Whether it is what DHCP servers and routers alone say."""
    if packet.protocol == UDP:
        return (packet.first, packet.second) == ((67, 68) if packet.version == 4 else (547, 546))
    return packet.protocol == ICMPV6 and packet.first == ROUTER_ADVERTISEMENT


def _admitted(cloud: Cloud, port: Port, packet: Datagram, direction: str, other: str) -> bool:
    rules = (rule for group in port.groups for rule in cloud.groups[group].rules if rule.direction == direction)
    return any(_is_of(rule, packet) and _comes_from(cloud, rule, other) for rule in rules)


def _is_of(rule: Rule, packet: Datagram) -> bool:
    """Whether it is the kind of packet that the rule is for."""
    if rule.ethertype != f"IPv{packet.version}":
        return False
    if rule.protocol in ANY:
        return True
    number = NUMBERS[rule.protocol] if rule.protocol in NUMBERS else int(str(rule.protocol))
    if number == ICMP and packet.version == 6:
        number = ICMPV6
    if number != packet.protocol:
        return False
    low, high = rule.port_range_min, rule.port_range_max
    if number in (ICMP, ICMPV6):
        return low in (None, packet.first) and high in (None, packet.second)
    return low is None or high is None or low <= packet.second <= high


def _comes_from(cloud: Cloud, rule: Rule, other: str) -> bool:
    """Whether the address of the other end is one that the rule admits."""
    if rule.remote_ip_prefix is not None:
        return _within(other, [rule.remote_ip_prefix])
    if rule.addresses is not None:
        return _within(other, rule.addresses)
    if rule.remote_group is None:
        return True
    return _within(other, members(cloud, rule.remote_group))


def members(cloud: Cloud, group: str) -> list[str]:
    """The addresses that the group stands for as a remote one."""
    of_it = [port for port in cloud.ports.values() if group in port.groups]
    return [address for port in of_it for address in (*port.addresses, *(cidr for _, cidr in port.pairs))]


def _within(address: str, cidrs: Iterable[str]) -> bool:
    """An address of the other version is within no network."""
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(cidr, strict=False) for cidr in cidrs)
