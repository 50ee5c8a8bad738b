# SPDX-License-Identifier: Apache-2.0
"""Networks that are VLANs of a physical one, or a whole one, over two hosts: with packets, on every engine."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterator

import msgspec
import pytest
from network_frames import arp, wire
from network_labs import BRIEF, FabricLab
from network_pairs import FabricPair, FakePair, Pair
from test_fabric import EGRESS, ICMP, devices, leg, network, port

from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.types import (
    FixedAddress,
    FloatingState,
    GatewayState,
    GroupState,
    HostState,
    LegState,
    NetworkState,
    PortState,
    RouterState,
    VlanState,
)

RED, BLUE, PLAIN, OUT, WORLD = (str(uuid.uuid4()) for _ in range(5))
RED_A, RED_B, BLUE_A, BLUE_B, PLAIN_A, PLAIN_B = (str(uuid.uuid4()) for _ in range(6))
SUBNETS = {key: str(uuid.uuid4()) for key in (RED, BLUE, PLAIN)}
OPEN = str(uuid.uuid4())
FLOATING = "198.18.4.31"
_AUX, _HAS_TAG = 8, 0x10  # PACKET_AUXDATA, TP_STATUS_VLAN_VALID


def of(key: str, **words: object) -> NetworkState:
    made = network(key, SUBNETS[key], 1)
    return msgspec.structs.replace(made, segment=0, mtu=1500, **words)


def seat(key: str, net: str, last: int, **words: object) -> PortState:
    return msgspec.structs.replace(port(key, net, SUBNETS[net], f"10.1.0.{last}", [OPEN]), **words)


NETWORKS = [
    of(RED, vlan=VlanState(physical="physnet1", number=101)),
    of(BLUE, vlan=VlanState(physical="physnet1", number=102)),
    of(PLAIN, physical="physnet1"),
]
GROUPS = [GroupState(id=OPEN, rules=[EGRESS, ICMP])]
FIRST = HostState(
    generation=1,
    networks=NETWORKS,
    groups=GROUPS,
    ports=[seat(RED_A, RED, 11), seat(BLUE_A, BLUE, 11), seat(PLAIN_A, PLAIN, 11, security=False, groups=[])],
)
SECOND = HostState(
    generation=1,
    networks=NETWORKS,
    groups=GROUPS,
    ports=[seat(RED_B, RED, 12), seat(BLUE_B, BLUE, 13), seat(PLAIN_B, PLAIN, 14, security=False, groups=[])],
)
ROUTER = RouterState(
    id=str(uuid.uuid4()),
    legs=[leg(RED, 1)],
    gateway=GatewayState(
        leg=LegState(port_id=str(uuid.uuid4()), network_id=OUT, mac="fa:16:3e:00:09:01", addresses=["198.18.4.10/24"]),
        nexthop="198.18.4.1",
        nexthops=["198.18.4.1"],
    ),
    floating=[FloatingState(address=FLOATING, fixed="10.1.0.12")],
)
root = pytest.mark.root
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps")


@pytest.fixture(params=["fake", pytest.param("fabric", marks=root)])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    if request.param == "fabric" and os.geteuid() != 0:
        pytest.skip("needs root: makes namespaces and taps")
    place: Pair = FakePair() if request.param == "fake" else joined()
    yield place
    place.close()


def joined() -> FabricPair:
    """Two hosts whose devices nic0 are joined by a cable that carries all tags."""
    pair = FabricPair({"physnet1": "nic0"})
    one, two = (lab.host for lab in pair.labs)

    def lay() -> None:
        with Links() as links:
            links.cable("nic0", "nic0", two)

    one.visit(lay)
    return pair


def started(pair: Pair, *keys: str) -> Pair:
    for lab, state in zip(pair.labs, (FIRST, SECOND), strict=True):
        assert lab.apply(state).failed == {}
        for item in state.ports:
            if item.id in keys:
                lab.boot(item.id)
    return pair


def test_each_network_is_its_own_on_one_wire(pair: Pair):
    one, two = started(pair, RED_A, RED_B, BLUE_A, BLUE_B, PLAIN_A, PLAIN_B).labs
    assert one.ping(RED_A, "10.1.0.12")
    assert two.ping(RED_B, "10.1.0.11")
    assert one.ping(BLUE_A, "10.1.0.13")
    assert one.ping(PLAIN_A, "10.1.0.14")
    assert not one.ping(RED_A, "10.1.0.13", tries=1), "that one is blue"
    assert not one.ping(PLAIN_A, "10.1.0.12", tries=1), "that one has a tag"
    assert not one.ping(BLUE_A, "10.1.0.14", tries=1), "that one has none"
    assert one.lease(RED_A)["address"] == "10.1.0.11"
    assert two.lease(RED_B)["address"] == "10.1.0.12"


def test_rules_hold_over_provider_links(pair: Pair):
    one, two = started(pair, RED_A, RED_B).labs
    assert not one.tcp(RED_A, "10.1.0.12", 8080, patience=BRIEF)
    assert not one.ping(RED_A, "10.1.0.12", source="10.1.0.99", tries=1)
    assert not one.ping(RED_A, "10.1.0.12", mac="fa:16:3e:aa:aa:aa", tries=1)
    two.apply(msgspec.structs.replace(SECOND, generation=2, groups=[GroupState(id=OPEN, rules=[EGRESS])]))
    assert not one.ping(RED_A, "10.1.0.12", tries=1)


def test_a_router_on_one_host_serves_a_tagged_network_on_both(pair: Pair):
    one, two = started(pair, RED_A, RED_B).labs
    external = NetworkState(id=OUT, mtu=1500, vlan=VlanState(physical="physnet1", number=200))
    fixed = [FixedAddress(address="198.18.4.1", prefix=24, subnet_id=str(uuid.uuid4()))]
    world = PortState(id=WORLD, network_id=OUT, mac="02:00:00:00:00:01", addresses=fixed, security=False)
    networks = [*NETWORKS, external]
    assert one.apply(msgspec.structs.replace(FIRST, generation=2, networks=networks, routers=[ROUTER])).failed == {}
    assert two.ping(RED_B, "10.1.0.1")
    ports = [*SECOND.ports, world]
    assert two.apply(msgspec.structs.replace(SECOND, generation=2, networks=networks, ports=ports)).failed == {}
    two.boot(WORLD)
    assert two.ping(RED_B, "198.18.4.1"), "out by the tagged external network"
    if isinstance(one, FabricLab):
        assert two.ping(WORLD, FLOATING)


@root
@needs_root
def test_frames_on_the_wire_have_the_networks_tags():
    pair = joined()
    try:
        one, _ = started(pair, RED_A, BLUE_A, PLAIN_A).labs
        hearing = Namespace(names.fabric(pair.labs[1].mark)).visit(ear)
        for key in (RED_A, BLUE_A, PLAIN_A):
            one.ping(key, "10.1.0.77")
            assert one.ping(key, "10.1.0.2"), "the services of its own host"
        known, seen = {item.mac for item in FIRST.ports}, heard(hearing)
        assert {tag for mac, tag in seen if mac in known} == {101, 102, 0}
        assert "fa:16:3e:00:01:02" not in {mac for mac, _ in seen}, "what every host's services say stays on it"
    finally:
        pair.close()


@root
@needs_root
def test_strange_tags_reach_nobody_and_guests_cannot_choose_them():
    pair = joined()
    try:
        one, two = started(pair, RED_A, RED_B, PLAIN_A, PLAIN_B).labs
        question = arp(1, mac="02:00:00:00:00:01", address="10.1.0.1", target="10.1.0.12")
        ears = [two.guests[key].space.visit(lambda: listening("eth0")) for key in (RED_B, PLAIN_B)]
        mouth = Namespace(names.fabric(one.mark)).visit(lambda: listening("nic0"))
        mouth.send(tagged(question, 77))
        assert not any(question[6:12] in frame for hearing in ears for frame in frames(hearing))
        mouth.send(tagged(question, 101))
        got = [[frame for frame in frames(hearing) if question[6:12] in frame] for hearing in ears]
        assert [len(each) for each in got] == [1, 0], "red alone, once"
        assert got[0][0] == question, "without its tag"
        guest = one.guests[PLAIN_A].space.visit(lambda: listening("eth0"))
        guest.send(tagged(question, 101))
        assert not any(question[6:12] in frame for hearing in ears for frame in frames(hearing))
    finally:
        pair.close()


@root
@needs_root
def test_links_are_mended_changed_and_given_back():
    pair = joined()
    try:
        one, _ = started(pair, RED_A, RED_B).labs
        assert one.apply(FIRST).changes == 0
        assert one.host.visit(one.fabric.repair).changes == 0
        one.restart()
        assert one.apply(FIRST).changes == 0
        assert one.ping(RED_A, "10.1.0.12")
        Namespace(names.fabric(one.mark)).visit(harm)
        assert not one.ping(RED_A, "10.1.0.12", tries=1)
        assert one.host.visit(one.fabric.repair).changes > 0
        assert one.ping(RED_A, "10.1.0.12")
        unsound = [layer.name for layer in one.host.visit(lambda: one.fabric.look(RED_A)) if not layer.sound]
        assert unsound == []
        renumbered = [msgspec.structs.replace(NETWORKS[0], vlan=VlanState(physical="physnet1", number=300))]
        one.apply(HostState(generation=2, networks=renumbered, groups=GROUPS, ports=FIRST.ports[:1]))
        assert not one.ping(RED_A, "10.1.0.12", tries=1), "the other host still has the old number"
        one.apply(msgspec.structs.replace(FIRST, generation=3))
        assert one.ping(RED_A, "10.1.0.12")
        one.apply(HostState(generation=4))
        left = Namespace(names.fabric(one.mark)).visit(devices)
        assert not any(name.startswith(("vl-", "vs-")) for name in left)
        one.host.visit(one.fabric.shutdown)
        assert "nic0" in one.host.visit(devices), "given back"
    finally:
        pair.close()


@root
@needs_root
def test_a_host_says_what_leads_to_no_physical_network():
    lab = FabricLab(devices={"physnet1": "nic9"})
    try:
        elsewhere = of(BLUE, vlan=VlanState(physical="physnet2", number=5))
        failed = lab.apply(HostState(generation=1, networks=[NETWORKS[0], elsewhere])).failed
        assert "nic9" in failed[RED]
        assert "physnet2" in failed[BLUE]
    finally:
        lab.close()


def harm() -> None:
    """Somebody takes the program away, and the device off its bridge."""
    with Links() as links:
        links.end_program("nic0")
        links._route.link("set", index=links.devices[names.vlan(RED)].index, master=0)


def ear() -> socket.socket:
    return listening("nic0")


def listening(device: str) -> socket.socket:
    found = wire(device)
    found.setsockopt(263, _AUX, 1)
    return found


def heard(sock: socket.socket, seconds: float = 0.5) -> list[tuple[str, int]]:
    """Sender and tag (0: none) of the frames that came."""
    found, end = [], time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            data, extra, _, _ = sock.recvmsg(2048, 128)
        except TimeoutError:
            break
        tag = 0
        for _, _, words in extra:
            if int.from_bytes(words[:4], "little") & _HAS_TAG:
                tag = int.from_bytes(words[16:18], "little") & 0xFFF
        found.append((data[6:12].hex(":"), tag))
    return found


def frames(sock: socket.socket, seconds: float = 0.4) -> list[bytes]:
    """The frames that came, tags as they are in them."""
    found, end = [], time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            data, _, _, sender = sock.recvmsg(2048, 128)
        except TimeoutError:
            break
        if sender[2] != socket.PACKET_OUTGOING:
            found.append(data)
    return found


def tagged(frame: bytes, number: int) -> bytes:
    return frame[:12] + b"\x81\x00" + number.to_bytes(2, "big") + frame[12:]
