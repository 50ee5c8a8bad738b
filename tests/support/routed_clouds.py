# SPDX-License-Identifier: Apache-2.0
"""Worlds and packets at random for the oracle of routed packets, and the same as a host's desired state.

The ports A and B are on the network `one`, C on `two`, which a router joins; D is on `three`, behind another router.
Both routers have a gateway on one external network.
"""

from __future__ import annotations

import dataclasses

from hypothesis import strategies as st

from cumulet.services.network.types import (
    AddressPair,
    FixedAddress,
    FloatingState,
    GatewayState,
    GroupState,
    HostState,
    LegState,
    NetworkState,
    PortState,
    RouterState,
    SubnetState,
)
from support import security_clouds as plain
from support.routed_oracle import OUTSIDE, Router, World
from support.security_oracle import ICMP, ICMPV6, TCP, UDP, Cloud, Datagram, Group, Port, Rule, members

NETWORKS = {"one": 1, "two": 2, "three": 3}
HOMES = {"A": "one", "B": "one", "C": "two", "D": "three"}
MACS = {name: f"fa:16:3e:00:00:1{number}" for number, name in enumerate(HOMES, 1)}
ADDRESSES = {
    name: tuple(f"{start}1{number}" for start in (f"10.{NETWORKS[home]}.0.", f"fd00:{NETWORKS[home]}::"))
    for number, (name, home) in enumerate(HOMES.items(), 1)
}
LEGS = {name: (f"10.{number}.0.1/24", f"fd00:{number}::1/64") for name, number in NETWORKS.items()}
LEG_MACS = {name: f"fa:16:3e:00:0{number}:01" for name, number in NETWORKS.items()}
JOINED = (("one", "two"), ("three",))  # by each router
GATEWAYS = ("198.18.4.10", "198.18.4.11")
GATEWAY_MACS = ("fa:16:3e:00:09:01", "fa:16:3e:00:09:02")
EXTERNAL, HOST = "198.18.4.0/24", "198.18.4.1"
FLOATING = {name: f"198.18.4.4{number}" for number, name in enumerate(HOMES)}
GROUPS = ("red", "green", "blue")
PAIRS = {name: (f"10.{NETWORKS[home]}.0.40/30", f"fd00:{NETWORKS[home]}::40/126") for name, home in HOMES.items()}
CIDRS = {
    4: ("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/24", "10.2.0.13/32", "10.1.0.40/29", "198.18.4.0/24", "198.18.4.10/32",
        "198.18.4.40/30", "198.18.4.1/32"),
    6: ("::/0", "fd00:1::/64", "fd00:2::/64", "fd00:1::11/128"),
}  # fmt: skip
KINDS = {
    4: ((None, None, None), (None, None, None), ("icmp", None, None), ("icmp", 8, 0), ("icmp", 0, None), ("icmp", 3, 3),
        ("icmp", 11, None), ("udp", None, None), ("udp", 1000, 3000), ("tcp", 80, 80), ("tcp", None, None)),
    6: ((None, None, None), (None, None, None), ("ipv6-icmp", None, None), ("icmpv6", 128, None),
        ("ipv6-icmp", 129, None), ("ipv6-icmp", 1, 4), ("ipv6-icmp", 3, None), ("udp", 2000, 65535), ("tcp", 22, 80)),
}  # fmt: skip
PORTS = (80, 2000, 33434)


@dataclasses.dataclass(frozen=True)
class Question:
    """A packet that a port, or somebody OUTSIDE, sends to the device `to`; `hops` is how far it may go."""

    sender: str
    to: str
    packet: Datagram
    hops: int = 64


@st.composite
def _rules(draw: st.DrawFn, *, wide: bool = False) -> Rule:
    """A `wide` one lets in all protocols."""
    version = draw(st.sampled_from((4, 4, 6)))
    protocol, low, high = (None, None, None) if wide else draw(st.sampled_from(KINDS[version]))
    remote = draw(st.sampled_from(("anyone", "prefix", "group", "group")))
    return Rule(
        direction="ingress" if wide else draw(st.sampled_from(("ingress", "ingress", "egress"))),
        ethertype=f"IPv{version}",
        protocol=protocol,
        port_range_min=low,
        port_range_max=high,
        remote_ip_prefix=draw(st.sampled_from(CIDRS[version])) if remote == "prefix" else None,
        remote_group=draw(st.sampled_from(GROUPS)) if remote == "group" else None,
    )


@st.composite
def _ports(draw: st.DrawFn, name: str, sorts: list[tuple[str, ...]]) -> Port:
    secure = draw(st.sampled_from((True, True, True, True, False)))
    own = draw(st.lists(st.sampled_from(draw(st.sampled_from(sorts))), min_size=1, max_size=2, unique=True))
    pair = (draw(st.sampled_from((MACS[name], plain.PAIRED_MAC))), draw(st.sampled_from(PAIRS[name])))
    return Port(
        mac=MACS[name],
        addresses=ADDRESSES[name],
        pairs=(pair,) if secure and draw(st.booleans()) else (),
        secure=secure,
        groups=tuple(own) if secure else (),
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Groups let out all of one IP version at least, mostly; `blue` is stateless or not."""
    stateful = draw(st.booleans())
    groups = {}
    for key in GROUPS:
        wide = draw(st.sampled_from(((4, 6), (4, 6), (4, 6), (4, 6), (4,), ())))
        out = [Rule(direction="egress", ethertype=f"IPv{version}") for version in wide]
        own = draw(st.lists(_rules(), max_size=4, unique=True))
        own += draw(st.lists(_rules(wide=True), min_size=1, max_size=3, unique=True))
        groups[key] = Group(rules=(*out, *dict.fromkeys(own)), stateful=stateful or key != "blue")
    sorts: list[tuple[str, ...]] = [GROUPS] if stateful else [GROUPS[:2], GROUPS[2:]]
    routers = []
    for joined, address in zip(JOINED, GATEWAYS, strict=True):
        floating = [name for name in HOMES if HOMES[name] in joined and draw(st.booleans())]
        routers.append(
            Router(
                legs={network: LEGS[network] for network in joined},
                address=address,
                snat=draw(st.sampled_from((True, True, False))),
                floating={FLOATING[name]: ADDRESSES[name][0] for name in floating},
            )
        )
    cloud = Cloud(ports={name: draw(_ports(name, sorts)) for name in HOMES}, groups=groups)
    return World(cloud=cloud, homes=HOMES, routers=tuple(routers), external=EXTERNAL, outside=HOST)


@st.composite
def questions(draw: st.DrawFn, world: World, number: int) -> Question:
    """`number` sets its flow apart from others."""
    if draw(st.sampled_from((True, False, False, False, False))):
        return draw(_from_outside(world, number))
    sender = draw(st.sampled_from(tuple(HOMES)))
    version = draw(st.sampled_from((4, 4, 6)))
    index = 0 if version == 4 else 1
    others = tuple(name for name in HOMES if name != sender)
    goals = [ADDRESSES[name][index] for name in others] + [LEGS[HOMES[sender]][index].split("/")[0]]
    if version == 4:
        goals += [*FLOATING.values(), *FLOATING.values(), HOST, GATEWAYS[1]]
    goal = draw(st.sampled_from(goals))
    source = ADDRESSES[sender][index]
    mac = MACS[sender]
    if draw(st.sampled_from((True, False, False, False))):
        start = ("10.{}.0.", "fd00:{}::")[index]
        own, any_one = (start.format(number) for number in (NETWORKS[HOMES[sender]], draw(st.sampled_from((1, 2, 3)))))
        mac, source = (
            draw(st.sampled_from((mac, plain.PAIRED_MAC))),
            draw(st.sampled_from((f"{own}41", f"{any_one}77"))),
        )
    packet = draw(_packets(mac, source, goal, number))
    near = next((MACS[name] for name in others if goal in ADDRESSES[name] and HOMES[name] == HOMES[sender]), None)
    router = world.router_of(HOMES[sender])
    across = router is not None and near is None and goal not in router.own and router.network_of(goal) is not None
    hops = 1 if across and draw(st.sampled_from((True, False, False, False))) else 64
    return Question(sender, near or LEG_MACS[HOMES[sender]], packet, hops)


@st.composite
def _from_outside(draw: st.DrawFn, world: World, number: int) -> Question:
    """To a floating IP, or to who has it, by the router that has it or might have it."""
    name = draw(st.sampled_from(tuple(HOMES)))
    at = next(at for at, joined in enumerate(JOINED) if HOMES[name] in joined)
    goal = draw(st.sampled_from((FLOATING[name], FLOATING[name], ADDRESSES[name][0])))
    return Question(OUTSIDE, GATEWAY_MACS[at], draw(_packets("", HOST, goal, number)))


@st.composite
def _packets(draw: st.DrawFn, mac: str, source: str, goal: str, number: int) -> Datagram:
    """Only pings are for the host outside, which takes nothing else."""
    six = ":" in goal
    protocol = draw(st.sampled_from((ICMPV6 if six else ICMP, UDP, UDP, TCP)))
    if protocol in (ICMP, ICMPV6) or goal in (HOST, *GATEWAYS) or goal.endswith((".1", "::1")):
        kind = ICMPV6 if six else ICMP
        return Datagram(mac=mac, source=source, destination=goal, protocol=kind, first=128 if six else 8)
    second = draw(st.sampled_from(PORTS))
    return Datagram(mac=mac, source=source, destination=goal, protocol=protocol, first=50000 + number, second=second)


def state(world: World, generation: int) -> HostState:
    """The world as the desired state of the host that all of it is on."""
    networks = [
        NetworkState(
            id=plain.identity(name),
            mtu=1450,
            segment=number,
            subnets=[
                SubnetState(id=plain.identity(f"{name}4"), cidr=f"10.{number}.0.0/24", gateway=f"10.{number}.0.1"),
                SubnetState(
                    id=plain.identity(f"{name}6"), cidr=f"fd00:{number}::/64", version=6, gateway=f"fd00:{number}::1"
                ),
            ],
        )
        for name, number in NETWORKS.items()
    ]
    return HostState(
        generation=generation,
        networks=[*networks, NetworkState(id=plain.identity("public"), mtu=1500, physical="public")],
        ports=[_port(name, port) for name, port in world.cloud.ports.items()],
        groups=[
            GroupState(
                id=plain.identity(name),
                rules=[made for rule in group.rules for made in plain.rule_states(rule)],
                members=sorted(set(members(world.cloud, name))),
                stateful=group.stateful,
            )
            for name, group in world.cloud.groups.items()
        ],
        routers=[_router(at, router) for at, router in enumerate(world.routers)],
    )


def _port(name: str, port: Port) -> PortState:
    home = HOMES[name]
    fixed = [
        FixedAddress(address=address, prefix=24 if "." in address else 64, subnet_id=plain.identity(f"{home}{version}"))
        for address, version in zip(port.addresses, (4, 6), strict=True)
    ]
    return PortState(
        id=plain.identity(name),
        network_id=plain.identity(home),
        mac=port.mac,
        addresses=fixed,
        pairs=[AddressPair(mac=mac, cidr=cidr) for mac, cidr in port.pairs],
        security=port.secure,
        groups=[plain.identity(group) for group in port.groups],
    )


def _router(at: int, router: Router) -> RouterState:
    outer = LegState(
        port_id=plain.identity(f"gateway {at}"),
        network_id=plain.identity("public"),
        mac=GATEWAY_MACS[at],
        addresses=[f"{router.address}/24"],
    )
    return RouterState(
        id=plain.identity(f"router {at}"),
        legs=[
            LegState(
                port_id=plain.identity(f"leg {name}"), network_id=plain.identity(name), mac=LEG_MACS[name],
                addresses=list(addresses),
            )
            for name, addresses in router.legs.items()
        ],
        gateway=GatewayState(leg=outer, nexthop=HOST, nexthops=[HOST], snat=router.snat),
        floating=[FloatingState(address=outer, fixed=fixed) for outer, fixed in router.floating.items()],
    )  # fmt: skip
