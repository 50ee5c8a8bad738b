# SPDX-License-Identifier: Apache-2.0
"""Trunks: one guest on several networks by the tags of its frames, asked with packets, on every engine."""

from __future__ import annotations

import os
import uuid

import msgspec
import pytest
from network_frames import arp, delivered, udp4
from network_labs import BRIEF, FabricLab, Lab, ask_dhcp, get, ping
from test_fabric import EGRESS, ICMP, SSH, SUBNET1, SUBNET2, network, port

from cumulet.kernel.errors import NotFound
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.names import fabric as fabric_of
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.drivers.fabric.tags import Tagged, Tags
from cumulet.services.network.types import GroupState, HostState, PortState, TrunkState

NET1, NET2, NET3 = (str(uuid.uuid4()) for _ in range(3))
PARENT, SUB, THIRD, NEAR, FAR, OTHER = (str(uuid.uuid4()) for _ in range(6))
SUBNET3 = str(uuid.uuid4())
OPEN, WEB = (str(uuid.uuid4()) for _ in range(2))
SUB_PORT = msgspec.structs.replace(
    port(SUB, NET2, SUBNET2, "10.2.0.21", [WEB]), trunk=TrunkState(parent=PARENT, number=7)
)
THIRD_PORT = msgspec.structs.replace(
    port(THIRD, NET3, SUBNET3, "10.3.0.22", [OPEN]), trunk=TrunkState(parent=PARENT, number=4094)
)
STATE = HostState(
    generation=1,
    networks=[network(NET1, SUBNET1, 1), network(NET2, SUBNET2, 2), network(NET3, SUBNET3, 3)],
    ports=[
        port(PARENT, NET1, SUBNET1, "10.1.0.11", [OPEN]),
        port(NEAR, NET1, SUBNET1, "10.1.0.12", [OPEN]),
        port(FAR, NET2, SUBNET2, "10.2.0.13", [OPEN]),
        port(OTHER, NET3, SUBNET3, "10.3.0.14", [OPEN]),
        SUB_PORT,
        THIRD_PORT,
    ],
    groups=[
        GroupState(id=OPEN, rules=[EGRESS, ICMP]),
        GroupState(id=WEB, rules=[EGRESS, SSH]),
    ],
)
DEVICES = {7: "v7", 4094: "v4094"}
only_with_packets = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps"),
]


@pytest.fixture
def kernel():
    place = FabricLab()
    yield place
    place.close()


def with_port(state: HostState, changed: PortState) -> HostState:
    """The next generation, with the port as it is given."""
    ports = [changed if one.id == changed.id else one for one in state.ports]
    return msgspec.structs.replace(state, generation=state.generation + 1, ports=ports)


def without(state: HostState, key: str) -> HostState:
    ports = [one for one in state.ports if one.id != key]
    return msgspec.structs.replace(state, generation=state.generation + 1, ports=ports)


def started(lab: Lab, *keys: str) -> Lab:
    assert lab.apply(STATE).failed == {}
    for key in keys:
        lab.boot(key)
    if isinstance(lab, FabricLab) and PARENT in keys:
        lab.guests[PARENT].space.visit(lambda: tag(SUB_PORT, THIRD_PORT))
    return lab


def tag(*ports: PortState) -> None:
    """In the guest: a device for each tag, as its own system would make them."""
    way = Tags("bpf")
    with Links() as links:
        wanted = [
            Tagged(one.trunk.number, DEVICES[one.trunk.number], f"s{one.trunk.number}", 1450)
            for one in ports
            if one.trunk is not None
        ]
        way.settle(links, "eth0", wanted)
        for one in ports:
            name = DEVICES[one.trunk.number]
            links._route.link("set", index=links.devices[name].index, address=one.mac)
            links.settle(name)
            links.addresses(name, [f"{fixed.address}/{fixed.prefix}" for fixed in one.addresses])


def ask(lab: Lab, key: str, address: str) -> bool:
    """Ping from a subport's address."""
    if isinstance(lab, FabricLab):
        return lab.guests[PARENT].space.visit(lambda: ping(address))
    return lab.ping(key, address)


def test_a_guest_is_on_several_networks_by_its_tags(lab: Lab):
    started(lab, PARENT, NEAR, FAR, OTHER)
    assert lab.ping(PARENT, "10.1.0.12"), "without a tag it is on its own network"
    assert ask(lab, SUB, "10.2.0.13")
    assert ask(lab, THIRD, "10.3.0.14")
    assert ask(lab, SUB, "10.2.0.2"), "the services of that network"


def test_subports_stand_with_their_parent(lab: Lab):
    started(lab, NEAR)
    assert lab.fabric.report().ports == [NEAR]
    lab.boot(PARENT)
    assert lab.fabric.report().ports == sorted([NEAR, PARENT, SUB, THIRD])
    lab.apply(with_port(STATE, msgspec.structs.replace(THIRD_PORT, up=False)))
    assert lab.fabric.report().ports == sorted([NEAR, PARENT, SUB])
    with pytest.raises(NotFound):
        lab.fabric.open_tap(SUB)


def test_subports_have_security_groups_of_their_own(lab: Lab):
    started(lab, PARENT, FAR, OTHER)
    assert lab.ping(OTHER, "10.3.0.22")
    assert not lab.ping(FAR, "10.2.0.21", tries=1), "its group lets ssh in, no ping"
    assert lab.tcp(FAR, "10.2.0.21", 22)
    assert not lab.tcp(FAR, "10.2.0.21", 8080, patience=BRIEF)


def test_subports_come_and_go_and_change_their_tags(lab: Lab):
    started(lab, PARENT, FAR)
    assert ask(lab, SUB, "10.2.0.13")
    lab.apply(without(STATE, SUB))
    assert not ask(lab, SUB, "10.2.0.13")
    lab.apply(msgspec.structs.replace(STATE, generation=3))
    assert ask(lab, SUB, "10.2.0.13")
    switched = with_port(msgspec.structs.replace(STATE, generation=3), msgspec.structs.replace(SUB_PORT, up=False))
    lab.apply(switched)
    assert not ask(lab, SUB, "10.2.0.13")


def test_a_subport_that_leaves_its_trunk_is_a_port_like_any_other(lab: Lab):
    started(lab, PARENT, FAR)
    assert ask(lab, SUB, "10.2.0.13")
    assert lab.apply(with_port(STATE, msgspec.structs.replace(SUB_PORT, trunk=None))).failed == {}
    assert SUB not in lab.fabric.report().ports
    lab.boot(SUB)
    assert SUB in lab.fabric.report().ports
    assert lab.ping(SUB, "10.2.0.13")


def test_subports_are_explained(lab: Lab):
    started(lab)
    words = {layer.name: layer for layer in lab.fabric.look(SUB)}
    assert not words["trunk"].sound
    lab.boot(PARENT)
    words = {layer.name: layer for layer in lab.fabric.look(SUB)}
    assert all(layer.sound for layer in words.values())
    assert words["trunk"].words == f"tag 7 of port {PARENT}"


class TestWithPackets:
    """What only real frames can show."""

    pytestmark = only_with_packets

    def test_dhcp_and_metadata_answer_behind_tags(self, kernel: FabricLab):
        started(kernel, PARENT)
        inside = kernel.guests[PARENT].space
        lease = inside.visit(lambda: ask_dhcp(SUB_PORT.mac, "v7"))
        assert lease["address"] == "10.2.0.21"
        inside.visit(by_the_tag)
        assert inside.visit(lambda: get("169.254.169.254", "/x")) == (200, f"{NET2} 10.2.0.21 /x")

    def test_senders_behind_tags_cannot_pretend(self, kernel: FabricLab):
        started(kernel, PARENT, FAR, NEAR)
        good = arp(1, mac=SUB_PORT.mac, address="10.2.0.21", target="10.2.0.13")
        assert delivered_tagged(kernel, FAR, good, 7)
        assert not delivered_tagged(kernel, FAR, arp(1, mac=SUB_PORT.mac, address="10.2.0.99", target="10.2.0.13"), 7)
        assert not delivered_tagged(
            kernel, FAR, arp(1, mac="02:00:00:00:00:01", address="10.2.0.21", target="10.2.0.13"), 7
        )
        assert not delivered_tagged(kernel, FAR, udp4(mac=SUB_PORT.mac, source="10.2.0.21", ports=(67, 68)), 7)

    def test_other_tags_lead_nowhere(self, kernel: FabricLab):
        started(kernel, PARENT, FAR, NEAR)
        kernel.apply(with_port(STATE, msgspec.structs.replace(STATE.ports[0], security=False, groups=[])))
        for net, receiver in ((NET1, NEAR), (NET2, FAR)):
            frame = arp(1, mac=SUB_PORT.mac, address="10.2.0.21", target="10.2.0.13")
            assert not delivered_tagged(kernel, receiver, frame, 8), net
        twice = tagged(arp(1, mac=SUB_PORT.mac, address="10.2.0.21", target="10.2.0.13"), 7)
        assert not delivered_tagged(kernel, FAR, twice, 7), "what is tagged twice has no sender that may be"

    def test_a_guest_that_starts_again_has_its_tags_again(self, kernel: FabricLab):
        started(kernel, PARENT, FAR)
        assert ask(kernel, SUB, "10.2.0.13")
        kernel.guests.pop(PARENT).close()
        kernel.fabric.close_tap(PARENT)
        assert kernel.fabric.report().ports == [FAR]
        kernel.boot(PARENT)
        kernel.guests[PARENT].space.visit(lambda: tag(SUB_PORT, THIRD_PORT))
        assert ask(kernel, SUB, "10.2.0.13")

    def test_what_was_broken_by_hand_is_mended(self, kernel: FabricLab):
        started(kernel, PARENT, FAR)
        assert kernel.apply(STATE).changes == 0
        assert kernel.host.visit(kernel.fabric.repair).changes == 0
        kernel.restart()
        assert kernel.apply(STATE).changes == 0
        assert ask(kernel, SUB, "10.2.0.13")
        home = Namespace(fabric_of(kernel.mark))
        for harm in (no_program, no_stub):
            home.visit(harm)
            assert not ask(kernel, SUB, "10.2.0.13")
            assert kernel.host.visit(kernel.fabric.repair).changes > 0
            assert ask(kernel, SUB, "10.2.0.13")


def by_the_tag() -> None:
    with Links() as links:
        links.on_link("v7", "169.254.169.254/32")


def no_program() -> None:
    with Links() as links:
        links.end_program(f"tap{PARENT[:11]}")


def no_stub() -> None:
    with Links() as links:
        links.remove(f"spt-{SUB[:11]}")


def tagged(frame: bytes, number: int) -> bytes:
    return frame[:12] + b"\x81\x00" + number.to_bytes(2, "big") + frame[12:]


def delivered_tagged(lab: FabricLab, receiver: str, frame: bytes, number: int) -> bool:
    """Whether what the parent's guest sends with the tag comes to the receiver, as it was before the tag."""
    return delivered(lab, PARENT, receiver, tagged(frame, number), frame)
