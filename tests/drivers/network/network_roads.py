# SPDX-License-Identifier: Apache-2.0
"""A router between guests and two networks outside, each with somebody else's router that leads to the same places."""

from __future__ import annotations

import contextlib
import select
import socket
import uuid
from collections import Counter
from collections.abc import Iterator

import msgspec
from network_labs import FabricLab, Guest

from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.types import (
    FixedAddress,
    FloatingState,
    ForwardState,
    GatewayState,
    HostState,
    LegState,
    NetworkState,
    PortState,
    RouterState,
    SubnetState,
)

INSIDE, PUBLIC, EAST, WEST = (str(uuid.uuid4()) for _ in range(4))
PLAIN, FLOATED, DOUBLE = (str(uuid.uuid4()) for _ in range(3))
AT_EAST, AT_WEST = (str(uuid.uuid4()) for _ in range(2))
FAR, FAR6 = "192.0.2.200", "fd00:99::1"
PORT = 8080
TRIES = 24  # connections; that all of them take one of two ways is once in eight millions


def port(key: str, network: str, *addresses: str) -> PortState:
    fixed = [
        FixedAddress(address=text.split("/")[0], prefix=int(text.split("/")[1]), subnet_id="s") for text in addresses
    ]
    number = key[-2:]
    return PortState(id=key, network_id=network, mac=f"fa:16:3e:01:{key[:2]}:{number}", addresses=fixed, security=False)


def leg(network: str, number: int, *addresses: str) -> LegState:
    mac = f"fa:16:3e:00:0a:0{number}"
    return LegState(port_id=str(uuid.uuid4()), network_id=network, mac=mac, addresses=list(addresses))


def way(network: str, number: int, addresses: list[str], hops: list[str]) -> GatewayState:
    return GatewayState(leg=leg(network, number, *addresses), nexthop=hops[0], nexthops=hops)


BY_EAST = way(EAST, 1, ["203.0.113.10/24", "fd00:e::10/64"], ["203.0.113.1", "fd00:e::1"])
BY_WEST = way(WEST, 2, ["198.51.100.10/24", "fd00:f::10/64"], ["198.51.100.1", "fd00:f::1"])
BY_PUBLIC = way(PUBLIC, 3, ["198.18.4.10/24"], ["198.18.4.1"])
ROUTER = RouterState(id=str(uuid.uuid4()), legs=[leg(INSIDE, 4, "10.1.0.1/24", "fd00:1::1/64")], gateway=BY_EAST)
STATE = HostState(
    generation=1,
    networks=[
        NetworkState(
            id=INSIDE, mtu=1450, segment=1,
            subnets=[
                SubnetState(id="s", cidr="10.1.0.0/24", gateway="10.1.0.1"),
                SubnetState(id="s6", cidr="fd00:1::/64", version=6, gateway="fd00:1::1"),
            ],
        ),
        NetworkState(id=PUBLIC, mtu=1500, physical="public"),
        NetworkState(id=EAST, mtu=1500, segment=2),
        NetworkState(id=WEST, mtu=1500, segment=3),
    ],
    ports=[
        port(PLAIN, INSIDE, "10.1.0.11/24", "fd00:1::11/64"),
        port(FLOATED, INSIDE, "10.1.0.12/24", "fd00:1::12/64"),
        port(DOUBLE, INSIDE, "10.1.0.13/24", "fd00:1::13/64"),
        port(AT_EAST, EAST, "203.0.113.1/24", "fd00:e::1/64"),
        port(AT_WEST, WEST, "198.51.100.1/24", "fd00:f::1/64"),
    ],
)  # fmt: skip


def state(generation: int, **words: object) -> HostState:
    return msgspec.structs.replace(STATE, generation=generation, routers=[msgspec.structs.replace(ROUTER, **words)])


def two_ways(generation: int, **words: object) -> HostState:
    west = BY_WEST.leg.port_id
    floating = [
        FloatingState(address="198.51.100.20", fixed="10.1.0.12", gateway=west),
        FloatingState(address="203.0.113.30", fixed="10.1.0.13"),
        FloatingState(address="198.51.100.30", fixed="10.1.0.13", gateway=west),
    ]
    ports = {"protocol": "tcp", "low": 90, "high": 90, "fixed": "10.1.0.11", "fixed_low": PORT, "fixed_high": PORT}
    forwards = [ForwardState(address="198.51.100.40", gateway=west, **ports)]
    return state(generation, more_gateways=[BY_WEST], floating=floating, forwards=forwards, **words)


@contextlib.contextmanager
def roads_lab(endpoint: str = "") -> Iterator[FabricLab]:
    """Guests, and a router of somebody else's on either network outside; both have the same places behind them."""
    place = FabricLab(endpoint)
    try:
        assert place.apply(two_ways(1)).failed == {}
        for key in (PLAIN, FLOATED, DOUBLE, AT_EAST, AT_WEST):
            place.boot(key)
        for key, hop in ((AT_EAST, "fd00:e::10"), (AT_WEST, "fd00:f::10")):
            place.guests[key].space.visit(lead_far)
            place.guests[key].space.visit(lambda hop=hop: route({"fd00:1::/64": (hop, "eth0")}))
        yield place
    finally:
        place.close()


def lead_far() -> None:
    with Links() as links:
        links.addresses("lo", ["127.0.0.1/8", "::1/128", f"{FAR}/32", f"{FAR6}/128"])


def arrivals(lab: FabricLab, sender: str, to: str = FAR, tries: int = TRIES) -> Counter[tuple[str, str]]:
    """Connections made by the sender: which router outside took them, as from whom; each carries words both ways."""
    found: Counter[tuple[str, str]] = Counter()
    with contextlib.ExitStack() as stack:
        heard = {_hear(lab.guests[key], to, stack): name for key, name in ((AT_EAST, "east"), (AT_WEST, "west"))}
        for _ in range(tries):
            with lab.guests[sender].space.visit(lambda: socket.create_connection((to, PORT + 1), 3)) as near:
                (listener,) = select.select(list(heard), [], [], 3)[0]
                far, (source, *_) = listener.accept()
                with far:
                    near.sendall(b"to")
                    assert far.recv(8) == b"to"
                    far.sendall(b"fro")
                    assert near.recv(8) == b"fro"
                found[heard[listener], source] += 1
    return found


def _hear(guest: Guest, address: str, stack: contextlib.ExitStack) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = guest.space.visit(lambda: socket.create_server((address, PORT + 1), family=family, backlog=32))
    return stack.enter_context(made)


def comes_in(lab: FabricLab, outer: str, address: str, number: int = PORT) -> bool:
    """Whether somebody far behind the router outside reaches the address."""

    def connect() -> bool:
        try:
            socket.create_connection((address, number), 1.5, source_address=(FAR, 0)).close()
        except OSError:
            return False
        return True

    return lab.guests[outer].space.visit(connect)


def route(routes: dict[str, tuple[str, str]]) -> None:
    with Links() as links:
        links.routes(routes)
