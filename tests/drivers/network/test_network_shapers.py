# SPDX-License-Identifier: Apache-2.0
"""QoS rules on the wire: what goes beyond a limit is gone, in either direction, and what guests send is marked."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterator

import msgspec
import pytest
from network_labs import FabricLab

from cumulet.services.network.drivers.fabric import names, nft, shapers
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.types import (
    FixedAddress,
    FloatingState,
    GatewayState,
    HostState,
    LegState,
    NetworkState,
    PortState,
    RouterState,
    ShapeState,
    SubnetState,
    qos,
)

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps"),
]
NET, SUBNET, PUBLIC, ROUTER, A, B, C = (str(uuid.uuid4()) for _ in range(7))
ADDRESS = {"floating": "198.18.4.50", "gateway": "198.18.4.10", "whole": ""}
PORT, SIZE, BURST = 9000, 1000, 1 << 16
WAYS = [(qos.EGRESS, A, B), (qos.INGRESS, B, A)]
PIECES = 400  # of SIZE bytes: six times what any burst lets pass


def port(key: str, number: int, *shapes: ShapeState, security: bool = True) -> PortState:
    addresses = [
        FixedAddress(address=f"10.1.0.{number}", prefix=24, subnet_id=SUBNET),
        FixedAddress(address=f"fd00:1::{number}", prefix=64, subnet_id=SUBNET),
    ]
    mac = f"fa:16:3e:00:01:{number}"
    return PortState(id=key, network_id=NET, mac=mac, addresses=addresses, security=security, shapes=list(shapes))


def state(generation: int, *shapes: ShapeState) -> HostState:
    """Two guests on a network; A is held to the shapes."""
    network = NetworkState(id=NET, mtu=1450, subnets=[SubnetState(id=SUBNET, cidr="10.1.0.0/24")])
    ports = [port(A, 11, *shapes, security=False), port(B, 12, security=False)]
    return HostState(generation=generation, networks=[network], ports=ports)


@pytest.fixture(scope="module")
def lab() -> Iterator[FabricLab]:
    made = FabricLab()
    made.apply(state(1))
    for key in (A, B):
        made.boot(key)
    assert made.ping(A, "10.1.0.12")
    yield made
    made.close()


def arrive(lab: FabricLab, sender: str, target: str, address: str) -> list[int]:
    """The marks of those of PIECES datagrams, sent within half a second, that arrive."""
    receiver = lab.guests[target].space.visit(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    source = lab.guests[sender].space.visit(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    marks = []
    with receiver, source:
        receiver.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        receiver.bind(("0.0.0.0", PORT))
        receiver.settimeout(0.5)
        for number in range(PIECES):
            source.sendto(bytes(SIZE), (address, PORT))
            if number % 8 == 7:
                time.sleep(0.01)
        while True:
            try:
                _, extra, _, _ = receiver.recvmsg(SIZE, 64)
            except TimeoutError:
                return marks
            marks.append(extra[0][2][0] >> 2)


def mark6(lab: FabricLab, sender: str, target: str, address: str) -> int:
    """The mark of a datagram over IPv6."""
    receiver = lab.guests[target].space.visit(lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    source = lab.guests[sender].space.visit(lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    with receiver, source:
        receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
        receiver.bind(("::", PORT))
        receiver.settimeout(2)
        source.sendto(b"x", (address, PORT))
        return int.from_bytes(receiver.recvmsg(64, 64)[1][0][2], "little") >> 2


def limit(type_: str, direction: str, rate: int, burst: int = 0) -> ShapeState:
    return ShapeState(type=type_, direction=direction, rate=rate, burst=burst)


def test_the_kernel_here_holds_ports_to_rules(lab: FabricLab) -> None:
    assert lab.fabric.capabilities.qos_rules == [*shapers.TYPES, *qos.PLACED]
    assert "qos" not in lab.fabric.capabilities.missing


def test_without_rules_everything_arrives(lab: FabricLab) -> None:
    lab.apply(state(2))
    assert len(arrive(lab, A, B, "10.1.0.12")) == PIECES
    assert lab.apply(state(2)).changes == 0


@pytest.mark.parametrize(("direction", "sender", "target"), WAYS, ids=qos.DIRECTIONS[::-1])
def test_bandwidth_ends_at_its_limit(lab: FabricLab, direction: str, sender: str, target: str) -> None:
    lab.apply(state(3, limit(qos.BANDWIDTH_LIMIT, direction, 200)))
    address = "10.1.0.12" if target == B else "10.1.0.11"
    passed = len(arrive(lab, sender, target, address))
    assert BURST // (SIZE + 28) - 1 <= passed <= PIECES // 2
    back = "10.1.0.11" if target == B else "10.1.0.12"
    assert len(arrive(lab, target, sender, back)) == PIECES
    assert lab.apply(state(3, limit(qos.BANDWIDTH_LIMIT, direction, 200))).changes == 0


@pytest.mark.parametrize(("direction", "sender", "target"), WAYS, ids=qos.DIRECTIONS[::-1])
def test_so_do_packets(lab: FabricLab, direction: str, sender: str, target: str) -> None:
    nothing = limit(qos.BANDWIDTH_LIMIT, direction, 0)
    lab.apply(state(4, limit(qos.PACKET_RATE_LIMIT, direction, 1, 1), nothing))
    address = "10.1.0.12" if target == B else "10.1.0.11"
    assert len(arrive(lab, sender, target, address)) == PIECES  # a burst of a thousand
    chain = f"{direction[0]}-{A}"
    rules = lab.fabric._home.visit(lambda: nft._run("list chain bridge " + shapers.TABLE + " " + chain))
    assert "limit rate over 1000/second burst 1000 packets drop" in rules
    assert "bytes" not in rules


def test_what_is_sent_is_marked(lab: FabricLab) -> None:
    lab.apply(state(5, limit(qos.DSCP_MARKING, qos.EGRESS, 26)))
    assert set(arrive(lab, A, B, "10.1.0.12")) == {26}
    assert set(arrive(lab, B, A, "10.1.0.11")) == {0}
    assert mark6(lab, A, B, "fd00:1::12") == 26
    assert mark6(lab, B, A, "fd00:1::11") == 0
    assert lab.ping(A, "10.1.0.12")


def test_rules_that_are_gone_leave_nothing(lab: FabricLab) -> None:
    lab.apply(state(6, limit(qos.BANDWIDTH_LIMIT, qos.EGRESS, 200)))
    lab.restart()
    shaped = state(7, limit(qos.BANDWIDTH_LIMIT, qos.EGRESS, 200))
    lab.apply(shaped)
    assert lab.apply(msgspec.structs.replace(shaped, generation=8)).changes == 0
    lab.apply(state(9))
    assert lab.fabric._home.visit(lambda: nft.chains("bridge", shapers.TABLE)) == set()
    assert len(arrive(lab, A, B, "10.1.0.12")) == PIECES


def outside(generation: int, **shapes: list[ShapeState]) -> HostState:
    """B behind a router, with a floating address; A on the external network. Shapes by `floating` and `gateway`."""
    inner = NetworkState(id=NET, mtu=1450, subnets=[SubnetState(id=SUBNET, cidr="10.1.0.0/24", gateway="10.1.0.1")])
    near = LegState(
        port_id=str(uuid.uuid5(uuid.NAMESPACE_DNS, "near")),
        network_id=NET,
        mac="fa:16:3e:00:05:01",
        addresses=["10.1.0.1/24"],
    )
    far = LegState(
        port_id=str(uuid.uuid5(uuid.NAMESPACE_DNS, "far")),
        network_id=PUBLIC,
        mac="fa:16:3e:00:05:02",
        addresses=["198.18.4.10/24"],
    )
    router = RouterState(
        id=ROUTER,
        legs=[near],
        gateway=GatewayState(leg=far),
        floating=[FloatingState(address="198.18.4.50", fixed="10.1.0.12")],
        shapes={ADDRESS[name]: found for name, found in shapes.items()},
    )
    ports = [
        PortState(
            id=A,
            network_id=PUBLIC,
            mac="fa:16:3e:00:05:03",
            addresses=[FixedAddress(address="198.18.4.11", prefix=24, subnet_id=SUBNET)],
            security=False,
        ),
        port(B, 12, security=False),
        port(C, 13, security=False),
    ]
    networks = [inner, NetworkState(id=PUBLIC, mtu=1450, physical="public")]
    return HostState(generation=generation, networks=networks, ports=ports, routers=[router])


@pytest.fixture(scope="module")
def edge() -> Iterator[FabricLab]:
    made = FabricLab()
    assert made.apply(outside(1)).failed == {}
    for key in (A, B, C):
        made.boot(key)
    assert made.ping(A, "198.18.4.50")
    assert made.ping(C, "198.18.4.11")
    yield made
    made.close()


def test_a_floating_ip_has_limits_of_its_own(edge: FabricLab) -> None:
    few = range(BURST // (SIZE + 28) - 1, PIECES // 2)
    edge.apply(outside(2, floating=[limit(qos.BANDWIDTH_LIMIT, qos.EGRESS, 200)]))
    assert len(arrive(edge, B, A, "198.18.4.11")) in few
    assert len(arrive(edge, C, A, "198.18.4.11")) == PIECES, "by the gateway's address"
    assert len(arrive(edge, A, B, "198.18.4.50")) == PIECES
    edge.apply(outside(3, floating=[limit(qos.BANDWIDTH_LIMIT, qos.INGRESS, 200)]))
    assert len(arrive(edge, A, B, "198.18.4.50")) in few
    assert len(arrive(edge, B, A, "198.18.4.11")) == PIECES
    edge.apply(outside(4))
    assert len(arrive(edge, A, B, "198.18.4.50")) == PIECES


def test_a_gateway_has_limits_of_its_own(edge: FabricLab) -> None:
    shaped = outside(5, gateway=[limit(qos.BANDWIDTH_LIMIT, way, 200) for way in qos.DIRECTIONS])
    edge.apply(shaped)
    assert len(arrive(edge, C, A, "198.18.4.11")) <= PIECES // 2
    assert len(arrive(edge, B, A, "198.18.4.11")) == PIECES
    edge.restart()
    edge.apply(msgspec.structs.replace(shaped, generation=6))
    assert edge.apply(msgspec.structs.replace(shaped, generation=7)).changes == 0
    edge.restart()
    edge.apply(outside(8))
    space = Namespace(names.router_namespace(edge.mark, ROUTER))
    assert space.visit(lambda: nft.chains("inet", shapers.TABLE)) == set()


def test_a_gateway_has_its_networks_limits_and_marks(edge: FabricLab) -> None:
    mark, slow = limit(qos.DSCP_MARKING, qos.EGRESS, 26), limit(qos.BANDWIDTH_LIMIT, qos.INGRESS, 200)
    edge.apply(outside(20, whole=[mark, slow], floating=[limit(qos.BANDWIDTH_LIMIT, qos.EGRESS, 99_999_999)]))
    assert set(arrive(edge, B, A, "198.18.4.11")) == {26}
    assert set(arrive(edge, C, A, "198.18.4.11")) == {26}
    assert len(arrive(edge, A, B, "198.18.4.50")) <= PIECES // 2
    assert edge.ping(C, "198.18.4.11")
    edge.apply(outside(21))
    assert arrive(edge, A, B, "198.18.4.50") == [0] * PIECES


@pytest.mark.parametrize("rate", [1, 99_999_999, 100_000_000, 2**31 - 1])
@pytest.mark.parametrize("burst", [0, 1, 2**31 - 1])
def test_whatever_the_api_takes_the_kernel_takes(lab: FabricLab, rate: int, burst: int) -> None:
    for type_ in (qos.BANDWIDTH_LIMIT, qos.PACKET_RATE_LIMIT):
        shaped = port(A, 11, *(limit(type_, direction, rate, burst) for direction in qos.DIRECTIONS))
        text = shapers.ports_table([shaped])
        assert lab.fabric._home.visit(lambda text=text: nft.replace("bridge", "tried", text))
        assert lab.fabric._home.visit(lambda: nft.remove("bridge", "tried"))
