# SPDX-License-Identifier: Apache-2.0
"""Ports, groups and packets at random for the oracle of security groups, and the same cloud as a host's desired state.

Three ports, A, B and C, are on one network. Pools are small, so that rules and packets meet often.
"""

from __future__ import annotations

import ipaddress
import itertools
import uuid
from datetime import datetime

from hypothesis import strategies as st

from cumulet.services.network.logic.security_group_rules import states
from cumulet.services.network.types import (
    AddressPair,
    FixedAddress,
    GroupState,
    HostState,
    NetworkState,
    PortState,
    RuleState,
    SecurityGroupRule,
    SubnetState,
)
from support.security_oracle import ICMP, ICMPV6, TCP, UDP, Cloud, Datagram, Group, Port, Rule, link_local, members

NAMES, GROUPS = ("A", "B", "C"), ("red", "green", "blue")
PREFIX = {4: 24, 6: 64}
WAYS = tuple(itertools.permutations(NAMES, 2))
MACS = {name: f"fa:16:3e:00:00:1{number}" for number, name in enumerate(NAMES, 1)}
PAIRED_MAC = "fa:16:3e:00:00:99"
ADDRESSES = {
    "A": ("10.1.0.11", "10.1.0.21", "fd00:1::11", "fd00:1::21"),
    "B": ("10.1.0.12", "fd00:1::12"),
    "C": ("10.1.0.13", "fd00:1::13"),
}
PAIRED = ("10.1.0.40", "10.1.0.40/30", "10.1.0.64/27", "fd00:1::40", "fd00:1::40/126", "10.1.0.12", "fd00:1::/112")
FURTHER = ("10.1.0.40", "10.1.0.43", "10.1.0.44", "10.1.0.70", "10.1.0.99", "fd00:1::40", "fd00:1::43", "fd00:1::44",
           "fd00:2::5", link_local(PAIRED_MAC))  # fmt: skip
CIDRS = {
    4: ("0.0.0.0/0", "10.1.0.0/24", "10.1.0.12/32", "10.1.0.12/30", "10.1.0.11/31", "10.1.0.40/29", "192.0.2.0/24"),
    6: ("::/0", "fd00:1::/64", "fd00:1::12/128", "fd00:1::13/126", "fd00:1::40/125", "fe80::/10", "2001:db8::/32"),
}
PORTED = ("tcp", "6", "udp", "17", "sctp", "132", "udplite", "dccp", "33")
ICMPS = {4: ("icmp", "1"), 6: ("icmp", "icmpv6", "ipv6-icmp", "1", "58")}
OTHERS = {4: ("gre", "47", "vrrp", "112", "ospf", "255"), 6: ("gre", "47", "vrrp", "ipv6-encap", "41")}
EVERYTHING = (None, None, None, "any", "0", "ip", "hopopt")
RANGES = (
    (None, None), (22, 22), (80, 80), (22, 80), (23, 1023), (1, 65534), (80, 65535), (1024, 49151), (49152, 65535),
)  # fmt: skip
# Those that begin an exchange: questions.
ASKING = {4: (8, 13), 6: (128,)}
ICMP_TYPES = {4: (0, 3, 8, 13, 255), 6: (1, 128, 129, 200)}
_WHEN = datetime(2026, 1, 1)

_some = st.sampled_from((1, 1, 1, 0))
_codes = st.sampled_from((None, 0, 1))


@st.composite
def _kinds(draw: st.DrawFn, version: int) -> tuple[str | None, int | None, int | None]:
    """A rule's protocol, and its range of ports or its type and code."""
    sort = draw(st.sampled_from(("ported", "icmp", "ported", "other", "any", "any", "any")))
    if sort == "ported":
        return draw(st.sampled_from(PORTED)), *draw(st.sampled_from(RANGES))
    if sort == "icmp":
        kind = draw(st.sampled_from((None, *ICMP_TYPES[version])))
        return draw(st.sampled_from(ICMPS[version])), kind, None if kind is None else draw(_codes)
    return draw(st.sampled_from(OTHERS[version] if sort == "other" else EVERYTHING)), None, None


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    version = draw(st.sampled_from((4, 6)))
    protocol, low, high = draw(_kinds(version))
    remote = draw(st.sampled_from(("anyone", "prefix", "group", "addresses", "anyone", "group")))
    listed = st.lists(st.sampled_from(CIDRS[4][1:] + CIDRS[6][1:]), max_size=3, unique=True)
    return Rule(
        direction=draw(st.sampled_from(("ingress", "egress"))),
        ethertype=f"IPv{version}",
        protocol=protocol,
        port_range_min=low,
        port_range_max=high,
        remote_ip_prefix=draw(st.sampled_from(CIDRS[version])) if remote == "prefix" else None,
        remote_group=draw(st.sampled_from(GROUPS)) if remote == "group" else None,
        addresses=tuple(_clean(cidr) for cidr in draw(listed)) if remote == "addresses" else None,
    )


@st.composite
def ports(draw: st.DrawFn, name: str, groups: tuple[str, ...]) -> Port:
    pair = st.tuples(st.sampled_from((MACS[name], PAIRED_MAC)), st.sampled_from(PAIRED))
    secure = draw(st.sampled_from((*[True] * 9, False)))
    return Port(
        mac=MACS[name],
        addresses=ADDRESSES[name],
        pairs=tuple(draw(st.lists(pair, max_size=2, unique=True))) if secure else (),
        secure=secure,
        groups=tuple(draw(st.lists(st.sampled_from(groups), min_size=draw(_some), max_size=2, unique=True)))
        if secure
        else (),
    )


@st.composite
def clouds(draw: st.DrawFn) -> Cloud:
    """`blue` is stateless or not, the others are stateful; a port is in groups of one sort."""
    stateful = draw(st.booleans())
    ways = [(way, key) for way in ("egress", "ingress", "egress") for key in GROUPS]
    free = draw(st.lists(st.sampled_from(ways), min_size=2, max_size=4, unique=True))
    groups = {}
    for key in GROUPS:
        wide = [Rule(direction=way, ethertype=f"IPv{version}") for way, of in free if of == key for version in (4, 6)]
        own = draw(st.lists(rules(), max_size=4, unique=True))
        groups[key] = Group(rules=(*wide, *own), stateful=stateful or key != "blue")
    sorts = [GROUPS] if stateful else [GROUPS[:2], GROUPS[2:]]
    return Cloud(ports={name: draw(ports(name, draw(st.sampled_from(sorts)))) for name in NAMES}, groups=groups)


@st.composite
def sources(draw: st.DrawFn, cloud: Cloud, name: str, version: int) -> tuple[str, str]:
    """A MAC and an address to send from: mostly the port's, else a pair's, a neighbour's or an invented one."""
    port = cloud.ports[name]
    own = [address for address in port.addresses if (":" in address) == (version == 6)]
    if version == 6:
        own.append(link_local(port.mac))
    if draw(st.sampled_from((True, True, True, False))):
        return port.mac, draw(st.sampled_from(own))
    known = [address for addresses in ADDRESSES.values() for address in addresses] + list(FURTHER)
    known += [link_local(mac) for mac in MACS.values()]
    far = [address for address in known if (":" in address) == (version == 6)]
    return draw(st.sampled_from((port.mac, PAIRED_MAC))), draw(st.sampled_from(far))


@st.composite
def packets(draw: st.DrawFn, cloud: Cloud, sender: str, receiver: str, first: int = 49152) -> Datagram:
    """A packet that may begin an exchange, to one of the receiver's addresses; `first` is its source port."""
    version = draw(st.sampled_from((4, 6)))
    mac, source = draw(sources(cloud, sender, version))
    to = draw(st.sampled_from([one for one in ADDRESSES[receiver] if (":" in one) == (version == 6)]))
    protocol = draw(st.sampled_from((TCP, UDP, TCP, ICMP if version == 4 else ICMPV6, 132, 47, 112)))
    second = 0
    if protocol in (ICMP, ICMPV6):
        first, second = draw(st.sampled_from(ASKING[version])), draw(st.sampled_from((0, 0, 1)))
    elif protocol in (TCP, UDP, 132):
        second = draw(st.sampled_from((22, 23, 80, 1024, 40000)))
    return Datagram(mac=mac, source=source, destination=to, protocol=protocol, first=first, second=second)


def state(cloud: Cloud, generation: int = 1) -> HostState:
    """The cloud as the desired state of the host that all three ports are on."""
    network = identity("network")
    subnets = [
        SubnetState(id=identity("s4"), cidr="10.1.0.0/24"),
        SubnetState(id=identity("s6"), cidr="fd00:1::/64", version=6),
    ]
    return HostState(
        generation=generation,
        networks=[NetworkState(id=network, mtu=1450, segment=1, subnets=subnets)],
        ports=[_port(name, port, network) for name, port in cloud.ports.items()],
        groups=[
            GroupState(
                id=identity(name),
                rules=[made for rule in group.rules for made in rule_states(rule)],
                members=sorted(set(members(cloud, name))),
                stateful=group.stateful,
            )
            for name, group in cloud.groups.items()
        ],
    )


def identity(name: str) -> str:
    """The UUID of what the tests call so."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


def _port(name: str, port: Port, network: str) -> PortState:
    fixed = [
        FixedAddress(address=address, prefix=PREFIX[version], subnet_id=identity(f"s{version}"))
        for address in port.addresses
        for version in [6 if ":" in address else 4]
    ]
    return PortState(
        id=identity(name),
        network_id=network,
        mac=port.mac,
        addresses=fixed,
        pairs=[AddressPair(mac=mac, cidr=cidr) for mac, cidr in port.pairs],
        security=port.secure,
        groups=[identity(group) for group in port.groups],
    )


def rule_states(rule: Rule) -> list[RuleState]:
    """The rule as hosts take it, by the way of its row."""
    row = SecurityGroupRule(
        identity("rule"), "p", "g", rule.direction, rule.ethertype, rule.protocol, rule.port_range_min,
        rule.port_range_max, rule.remote_ip_prefix, identity(rule.remote_group) if rule.remote_group else None,
        "", 0, _WHEN, _WHEN, None if rule.addresses is None else "addresses",
    )  # fmt: skip
    return states(row, {"addresses": list(rule.addresses or ())})


def _clean(cidr: str) -> str:
    """As address groups are kept: without host bits."""
    return str(ipaddress.ip_network(cidr, strict=False))
