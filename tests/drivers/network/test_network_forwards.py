# SPDX-License-Identifier: Apache-2.0
"""Floating IPs whose ports lead to ports of several guests."""

from __future__ import annotations

import socket
import uuid

import msgspec
import pytest
from network_labs import BRIEF, FabricLab, Lab

from cumulet.services.network.types import (
    FixedAddress,
    ForwardState,
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

NET, PUBLIC, SUBNET, GROUP, A, B = (str(uuid.uuid4()) for _ in range(6))
ADDRESS = {A: "10.1.0.11", B: "10.1.0.12"}
SHARED, OUTSIDE = "198.18.4.21", "198.18.4.1"
PATIENCE = 20.0  # seconds that a datagram may take on a busy machine


def _port(key: str) -> PortState:
    fixed = FixedAddress(address=ADDRESS[key], prefix=24, subnet_id=SUBNET)
    mac = f"fa:16:3e:00:02:{ADDRESS[key].rpartition('.')[2]}"
    return PortState(id=key, network_id=NET, mac=mac, addresses=[fixed], groups=[GROUP])


def _leg(network: str, number: int, address: str) -> LegState:
    return LegState(port_id=str(uuid.uuid4()), network_id=network, mac=f"fa:16:3e:00:08:0{number}", addresses=[address])


def forward(low: int, high: int, key: str, fixed_low: int, fixed_high: int, protocol: str = "tcp") -> ForwardState:
    return ForwardState(
        address=SHARED,
        protocol=protocol,
        low=low,
        high=high,
        fixed=ADDRESS[key],
        fixed_low=fixed_low,
        fixed_high=fixed_high,
    )


ROUTER = RouterState(
    id=str(uuid.uuid4()),
    legs=[_leg(NET, 1, "10.1.0.1/24")],
    gateway=GatewayState(leg=_leg(PUBLIC, 2, "198.18.4.10/24"), nexthop=OUTSIDE),
    forwards=[
        forward(2222, 2222, A, 22, 22),
        forward(20, 25, B, 20, 25),
        forward(9000, 9004, B, 8078, 8082),
        forward(7000, 7003, A, 8080, 8080),
        forward(53, 53, B, 5353, 5353, "udp"),
        forward(53, 53, B, 22, 22, "sctp"),
        forward(53, 60, B, 63, 70, "dccp"),
    ],
)
STATE = HostState(
    generation=1,
    networks=[
        NetworkState(
            id=NET, mtu=1450, segment=1, subnets=[SubnetState(id=SUBNET, cidr="10.1.0.0/24", gateway="10.1.0.1")]
        ),
        NetworkState(id=PUBLIC, mtu=1500, physical="public"),
    ],
    ports=[_port(A), _port(B)],
    groups=[
        GroupState(
            id=GROUP,
            rules=[
                RuleState(direction="egress", version=4),
                RuleState(direction="ingress", version=4, protocol=6),
                RuleState(direction="ingress", version=4, protocol=17),
            ],
        )
    ],
    routers=[ROUTER],
)


def with_router(generation: int, **words: object) -> HostState:
    router = msgspec.structs.replace(ROUTER, **words)
    return msgspec.structs.replace(STATE, generation=generation, routers=[router])


@pytest.fixture
def begun(lab: Lab) -> Lab:
    assert lab.apply(STATE).failed == {}
    for key in (A, B):
        lab.boot(key)
    return lab


def test_ports_of_one_address_lead_to_several_guests(begun: Lab):
    assert begun.tcp(None, SHARED, 2222), "one port to another"
    assert begun.tcp(None, SHARED, 22), "a range to the same ports"
    assert begun.tcp(None, SHARED, 9002), "a range to other ports, each to its counterpart"
    assert begun.tcp(None, SHARED, 7001), "a range to one port"
    assert begun.tcp(None, SHARED, 7003)
    assert not begun.tcp(None, SHARED, 7004, patience=BRIEF), "beyond the range"
    assert not begun.tcp(None, SHARED, 8080, patience=BRIEF), "not forwarded"
    assert not begun.tcp(None, SHARED, 53, patience=BRIEF), "forwarded for other protocols"
    assert begun.ping(None, SHARED), "the router answers"


def test_guests_use_the_address_too(begun: Lab):
    assert begun.tcp(B, SHARED, 2222), "a neighbour"
    assert begun.tcp(A, SHARED, 2222), "itself"
    assert not begun.tcp(B, SHARED, 8080, patience=BRIEF)
    assert begun.ping(B, SHARED), "the router answers"


def test_forwardings_change_and_go(begun: Lab):
    begun.apply(with_router(2, forwards=[forward(80, 80, B, 8080, 8080)]))
    assert begun.tcp(None, SHARED, 80)
    assert not begun.tcp(None, SHARED, 2222, patience=BRIEF)
    begun.apply(with_router(3, forwards=[]))
    assert not begun.tcp(None, SHARED, 80, patience=BRIEF)


def test_the_same_forwardings_change_nothing(begun: Lab):
    assert begun.apply(msgspec.structs.replace(STATE, generation=2)).changes == 0


def test_without_source_nat_they_work_as_well(begun: Lab):
    begun.apply(with_router(2, gateway=msgspec.structs.replace(ROUTER.gateway, snat=False)))
    assert begun.tcp(None, SHARED, 2222)


def test_datagrams_are_forwarded(begun: Lab):
    if not isinstance(begun, FabricLab):
        pytest.skip("the fake knows first packets only")

    def receiver() -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((ADDRESS[B], 5353))
        sock.settimeout(PATIENCE)
        return sock

    def sender() -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(PATIENCE)
        sock.sendto(b"asked", (SHARED, 53))
        return sock

    with begun.guests[B].space.visit(receiver) as inside, begun.host.visit(sender) as outside:
        asked, source = inside.recvfrom(64)
        assert (asked, source[0]) == (b"asked", OUTSIDE)
        inside.sendto(b"told", source)
        assert outside.recvfrom(64) == (b"told", (SHARED, 53))
