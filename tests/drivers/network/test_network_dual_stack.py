# SPDX-License-Identifier: Apache-2.0
"""Routers between networks of both IP versions and the outside: IPv4 hides behind the router, IPv6 does not."""

from __future__ import annotations

import os
import uuid

import msgspec
import pytest
from network_labs import FabricLab, eventually, ping, ping6

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
)

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps"),
]

NETWORK, PUBLIC, OPENED, CLOSED, GROUP, DENIAL = (str(uuid.uuid4()) for _ in range(6))
NEAR4, NEAR6 = "198.18.4.1", "fd00:9::1"
FAR4, FAR6 = "192.0.2.200", "fd00:99::1"
SETTLED = 8.0  # seconds within which the router has looked for duplicates of its own IPv6 addresses
EGRESS = [RuleState(direction="egress", version=version) for version in (4, 6)]


def port(key: str, number: int, group: str) -> PortState:
    fixed = [
        FixedAddress(address=f"10.1.0.{number}", prefix=24, subnet_id="s4"),
        FixedAddress(address=f"fd00:1::{number}", prefix=64, subnet_id="s6"),
    ]
    return PortState(id=key, network_id=NETWORK, mac=f"fa:16:3e:00:00:{number}", addresses=fixed, groups=[group])


def leg(network: str, number: int, *addresses: str) -> LegState:
    return LegState(
        port_id=str(uuid.uuid4()), network_id=network, mac=f"fa:16:3e:00:09:0{number}", addresses=list(addresses)
    )


GATEWAY = GatewayState(leg=leg(PUBLIC, 1, "198.18.4.10/24", "fd00:9::10/64"), nexthop=NEAR4, nexthops=[NEAR4, NEAR6])
ROUTER = RouterState(id=str(uuid.uuid4()), legs=[leg(NETWORK, 2, "10.1.0.1/24", "fd00:1::1/64")], gateway=GATEWAY)
STATE = HostState(
    generation=1,
    networks=[
        NetworkState(
            id=NETWORK, mtu=1450, segment=1,
            subnets=[
                SubnetState(id="s4", cidr="10.1.0.0/24", gateway="10.1.0.1"),
                SubnetState(id="s6", cidr="fd00:1::/64", version=6, gateway="fd00:1::1"),
            ],
        ),
        NetworkState(id=PUBLIC, mtu=1500, physical="public"),
    ],
    ports=[port(OPENED, 11, GROUP), port(CLOSED, 12, DENIAL)],
    groups=[
        GroupState(id=GROUP, rules=[*EGRESS, *(RuleState(direction="ingress", version=version) for version in (4, 6))]),
        GroupState(id=DENIAL, rules=EGRESS),
    ],
    routers=[ROUTER],
)  # fmt: skip


def with_gateway(generation: int, **words: object) -> HostState:
    router = msgspec.structs.replace(ROUTER, gateway=msgspec.structs.replace(GATEWAY, **words))
    return msgspec.structs.replace(STATE, generation=generation, routers=[router])


@pytest.fixture
def lab():
    """The fabric with a device `nic0`, behind which `lab.outside` has a route into the network for each IP version."""
    place = FabricLab(devices={"public": "nic0"})
    place.outside = Namespace(f"lab-{place.mark}-world")
    place.outside.create()
    try:
        place.host.visit(lambda: lay(place.outside))
        place.outside.visit(configure)
        yield place
    finally:
        place.close()
        place.outside.delete()


def lay(outside: Namespace) -> None:
    with Links() as links:
        links.cable("nic0", "port0", outside)


def configure() -> None:
    sysctl("net/ipv6/conf/port0/accept_dad", "0")
    with Links() as links:
        links.settle("lo")
        links.addresses("lo", ["127.0.0.1/8", "::1/128", f"{FAR4}/32", f"{FAR6}/128"])
        links.settle("port0")
        links.addresses("port0", [f"{NEAR4}/24", f"{NEAR6}/64"])
        links.routes({"10.1.0.0/24": ("198.18.4.10", "port0"), "fd00:1::/64": ("fd00:9::10", "port0")})


def test_source_nat_hides_no_ipv6(lab):
    assert lab.apply(STATE).failed == {}
    lab.boot(OPENED)
    lab.boot(CLOSED)
    assert eventually(lambda: lab.outside.visit(lambda: ping6("fd00:1::11")), SETTLED)
    assert not lab.outside.visit(lambda: ping6("fd00:1::12", tries=1)), "its security group lets nothing in"
    assert not lab.outside.visit(lambda: ping("10.1.0.11", tries=1)), "IPv4 is reached by floating addresses only"
    lab.apply(with_gateway(2, snat=False))
    assert lab.outside.visit(lambda: ping("10.1.0.11"))
    assert lab.outside.visit(lambda: ping6("fd00:1::11"))


def test_each_ip_version_has_a_way_out(lab):
    def out(way, address: str) -> bool:
        return lab.guests[OPENED].space.visit(lambda: way(address))

    assert lab.apply(STATE).failed == {}
    lab.boot(OPENED)
    assert out(ping, FAR4)
    assert eventually(lambda: out(ping6, FAR6), SETTLED)
    assert lab.apply(STATE).changes == 0
    lab.apply(with_gateway(2, nexthops=[NEAR4]))
    assert out(ping, FAR4)
    assert not out(ping6, FAR6), "no way out any more"
    lab.apply(with_gateway(3, nexthop=NEAR6, nexthops=[]))
    assert out(ping6, FAR6), "as a control plane of the release before says it"
    assert not out(ping, FAR4)
