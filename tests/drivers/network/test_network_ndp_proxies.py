# SPDX-License-Identifier: Apache-2.0
"""Routers that answer outside for IPv6 addresses inside: nobody needs a route, and no other address is reached."""

from __future__ import annotations

import os
import uuid

import msgspec
import pytest
from network_labs import FabricLab, eventually, ping6

from cumulet.services.network.drivers.fabric.links import Links, sysctl
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.types import (
    FixedAddress,
    GatewayState,
    GroupState,
    HostState,
    LegState,
    NetworkState,
    PortState,
    RouterState,
    RuleState,
    SubnetState,
    reach,
)

NETWORK, PUBLIC, ONE, OTHER, GROUP, SCOPE = (str(uuid.uuid4()) for _ in range(6))
NEAR, INSIDE = "fd00:9::1", {ONE: "fd00:1::11", OTHER: "fd00:1::12"}
SETTLED = 8.0  # seconds within which the router has looked for duplicates of its own IPv6 addresses

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps")


def port(key: str) -> PortState:
    fixed = FixedAddress(address=INSIDE[key], prefix=64, subnet_id="s6")
    mac = f"fa:16:3e:00:06:{INSIDE[key][-2:]}"
    return PortState(id=key, network_id=NETWORK, mac=mac, addresses=[fixed], groups=[GROUP])


def leg(network: str, number: int, address: str) -> LegState:
    mac = f"fa:16:3e:00:06:0{number}"
    return LegState(port_id=str(uuid.uuid4()), network_id=network, mac=mac, addresses=[address], scope6=SCOPE)


ROUTER = RouterState(
    id=str(uuid.uuid4()),
    legs=[leg(NETWORK, 2, "fd00:1::1/64")],
    gateway=GatewayState(leg=leg(PUBLIC, 1, "fd00:9::10/64"), nexthop=NEAR, nexthops=[NEAR]),
    proxied=[INSIDE[ONE]],
)
STATE = HostState(
    generation=1,
    networks=[
        NetworkState(
            id=NETWORK,
            mtu=1450,
            segment=1,
            subnets=[SubnetState(id="s6", cidr="fd00:1::/64", version=6, gateway="fd00:1::1")],
        ),
        NetworkState(id=PUBLIC, mtu=1500, physical="public"),
    ],
    ports=[port(ONE), port(OTHER)],
    groups=[GroupState(id=GROUP, rules=[RuleState(direction=way, version=6) for way in ("egress", "ingress")])],
    routers=[ROUTER],
)


def with_proxied(generation: int, proxied: list[str] | None) -> HostState:
    router = msgspec.structs.replace(ROUTER, proxied=proxied)
    return msgspec.structs.replace(STATE, generation=generation, routers=[router])


@pytest.fixture
def lab():
    """The fabric with a device, behind which `lab.outside` takes the inside's addresses for its neighbours'."""
    place = FabricLab(devices={"public": "nic0"})
    place.outside = Namespace(f"lab-{place.mark}-world")
    place.outside.create()
    try:
        place.host.visit(lambda: _lay(place.outside))
        place.outside.visit(_configure)
        yield place
    finally:
        place.close()
        place.outside.delete()


def _lay(outside: Namespace) -> None:
    with Links() as links:
        links.cable("nic0", "port0", outside)


def _configure() -> None:
    sysctl("net/ipv6/conf/port0/accept_dad", "0")
    with Links() as links:
        links.settle("lo")
        links.settle("port0")
        links.addresses("port0", [f"{NEAR}/64"])
        links.on_link("port0", "fd00:1::/64")


def _lead(address: str) -> None:
    with Links() as links:
        links.routes({f"{address}/128": ("fd00:9::10", "port0")})


@pytest.mark.root
@needs_root
def test_a_router_answers_for_what_is_behind_it(lab):
    def reached(key: str) -> bool:
        return lab.outside.visit(lambda: ping6(INSIDE[key]))

    assert lab.apply(STATE).failed == {}
    for key in (ONE, OTHER):
        lab.boot(key)
    assert eventually(lambda: reached(ONE), SETTLED)
    assert not reached(OTHER), "nobody answers for it"
    lab.outside.visit(lambda: _lead(INSIDE[OTHER]))
    assert not reached(OTHER), "a route is no way in"
    assert lab.guests[OTHER].space.visit(lambda: ping6(NEAR)), "but from inside all get out"
    assert lab.apply(msgspec.structs.replace(STATE, generation=2)).changes == 0
    lab.apply(with_proxied(3, [INSIDE[OTHER]]))
    assert eventually(lambda: reached(OTHER), SETTLED)
    lab.apply(with_proxied(4, []))
    assert not reached(OTHER)
    lab.apply(with_proxied(5, None))
    assert reached(OTHER), "by the route, where nothing is proxied"


@pytest.mark.parametrize(("proxied", "reached"), [([INSIDE[ONE]], True), ([], False), (None, True)])
def test_the_fake_knows_who_is_reached(proxied, reached):
    packet = reach.Packet(source=NEAR, destination=INSIDE[ONE], protocol=58, low=128, high=0)
    assert reach.reaches(with_proxied(1, proxied), packet) is reached
