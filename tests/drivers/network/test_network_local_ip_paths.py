# SPDX-License-Identifier: Apache-2.0
"""Packets to a local IP go to the port that it means on their host, and come back as from there."""

from __future__ import annotations

import os
import socket
import uuid

import msgspec
import pytest
from network_labs import BRIEF, FabricLab, FakeLab

from cumulet.services.network.drivers.fabric import local_ips, nft
from cumulet.services.network.types import (
    AddressPair,
    FixedAddress,
    GroupState,
    HostState,
    NetworkState,
    PortState,
    RuleState,
    SubnetState,
    reach,
)
from cumulet.services.network.types.local_ips import LocalIpState

NET, APART, GROUP, SENDER, NEAR, OWNER, OTHER = (str(uuid.uuid4()) for _ in range(7))
ADDRESS = {SENDER: "10.6.0.11", NEAR: "10.6.0.12", OWNER: "10.6.0.99", OTHER: "10.6.0.13"}
LOCAL = ADDRESS[OWNER]
ALONE = "10.6.0.98"  # a local IP that no other port has
HERE = LocalIpState(address=LOCAL, fixed=ADDRESS[NEAR])
EMPTY = LocalIpState(address=ALONE, fixed=ADDRESS[NEAR])


def _port(number: int, key: str, network: str = NET) -> PortState:
    return PortState(
        id=key,
        network_id=network,
        mac=f"fa:16:3e:00:0b:{number:02}",
        addresses=[FixedAddress(address=ADDRESS[key], prefix=24, subnet_id=network)],
        groups=[GROUP],
    )


def state(generation: int, *meant: LocalIpState, pairs: tuple[AddressPair, ...] = ()) -> HostState:
    """A sender, the port that is meant, who really has the address, and a port of another network."""
    rules = [RuleState(direction="egress", version=4)]
    rules += [RuleState(direction="ingress", version=4, protocol=1)]
    rules += [RuleState(direction="ingress", version=4, protocol=6, low=8080, high=8080)]
    networks = [
        NetworkState(id=key, mtu=1450, segment=number, subnets=[SubnetState(id=key, cidr="10.6.0.0/24")])
        for number, key in enumerate((NET, APART), 1)
    ]
    ports = [_port(1, SENDER), _port(2, NEAR), _port(3, OWNER), _port(4, OTHER, APART)]
    ports[1] = msgspec.structs.replace(ports[1], local_ips=list(meant), pairs=list(pairs))
    return HostState(generation=generation, networks=networks, ports=ports, groups=[GroupState(id=GROUP, rules=rules)])


@pytest.fixture(params=["fake", pytest.param("fabric", marks=pytest.mark.root)])
def place(request):
    if request.param == "fabric" and os.geteuid() != 0:
        pytest.skip("needs root: makes namespaces and taps")
    lab = FakeLab() if request.param == "fake" else FabricLab()
    yield lab
    lab.close()


@pytest.fixture
def fabric():
    if os.geteuid() != 0:
        pytest.skip("needs root: makes namespaces and taps")
    lab = FabricLab()
    yield lab
    lab.close()


def start(lab: FakeLab | FabricLab, wanted: HostState) -> None:
    assert lab.apply(wanted).failed == {}
    for key in ADDRESS:
        lab.boot(key)


def test_a_local_ip_means_the_port_on_the_host(place):
    start(place, state(1, EMPTY))
    assert place.ping(SENDER, ALONE)
    assert place.tcp(SENDER, ALONE, 8080)
    assert not place.tcp(SENDER, ALONE, 22, patience=BRIEF)
    assert not place.ping(NEAR, ALONE, tries=1)
    assert not place.ping(OTHER, ALONE, tries=1)
    assert place.ping(SENDER, ADDRESS[NEAR])
    assert place.tcp(SENDER, ADDRESS[NEAR], 8080)
    place.apply(state(2))
    assert not place.tcp(SENDER, ALONE, 8080, patience=BRIEF)


@pytest.mark.root
def test_who_has_the_address_is_not_spoken_with(fabric):
    start(fabric, state(1))
    assert seen(fabric, LOCAL) == OWNER
    assert fabric.apply(state(2, HERE)).changes > 0
    assert fabric.apply(state(2, HERE)).changes == 0
    assert seen(fabric, LOCAL) == NEAR
    assert seen(fabric, ADDRESS[NEAR]) == NEAR
    assert seen(fabric, LOCAL, NEAR) == OWNER
    fabric.restart()
    assert fabric.apply(state(2, HERE)).changes == 0
    assert seen(fabric, LOCAL) == NEAR
    fabric.apply(state(3))
    assert seen(fabric, LOCAL) == OWNER


def seen(lab: FabricLab, address: str, sender: str = SENDER) -> str | None:
    """The port whose server takes a connection to the address."""
    made = lab.guests[sender].space.visit(lambda: socket.create_connection((address, 8080), 5))
    with made:
        assert made.getpeername()[0] == address
        return next((key for key in (NEAR, OWNER) if _taken(lab, key)), None)


def _taken(lab: FabricLab, key: str) -> bool:
    """Whether a connection waits at the guest's listener for port 8080."""
    listener = lab.guests[key]._listeners[1]
    listener.settimeout(0.5)
    try:
        connection, peer = listener.accept()
    except OSError:
        return False
    connection.close()
    return peer[0] in ADDRESS.values()


@pytest.mark.root
def test_a_port_may_take_packets_as_they_are(fabric):
    mac = "fa:16:3e:00:0b:02"
    passed = msgspec.structs.replace(EMPTY, translate=False)
    start(fabric, state(1, passed, pairs=(AddressPair(mac=mac, cidr=ALONE),)))
    assert not fabric.tcp(SENDER, ALONE, 8080, patience=BRIEF)
    with fabric.guests[NEAR].pretending(ALONE, None):
        assert fabric.tcp(SENDER, ALONE, 8080)
        assert fabric.ping(SENDER, ALONE)


def test_the_way_is_told():
    wanted = state(1, EMPTY)
    here = reach.Place(state=wanted, said=[])
    packet = reach.Packet(port=SENDER, destination=ALONE, protocol=1, low=8, high=0)
    assert reach.passes(here, packet)
    assert f"{ALONE} is a local IP, and means port {NEAR} at {ADDRESS[NEAR]} on this host" in here.said


@pytest.mark.root
def test_an_answer_by_arp_is_renamed_once(fabric):
    start(fabric, state(1, EMPTY))
    assert fabric.ping(SENDER, ALONE)
    assert fabric.tcp(SENDER, ALONE, 8080)

    def remembered(kind: str) -> bool:
        text = fabric.fabric._home.visit(lambda: nft._run(f"list map bridge {local_ips.TABLE} {kind}-{NEAR}\n"))
        return "elements" in text

    assert (remembered("a"), remembered("p"), remembered("f")) == (False, True, True)


@pytest.mark.root
def test_a_host_without_local_ips_has_no_table(fabric):
    fabric.apply(state(1))
    assert fabric.fabric._home.visit(lambda: nft.chains("bridge", local_ips.TABLE)) == set()
    fabric.apply(state(2, HERE))
    assert fabric.fabric._home.visit(lambda: nft.chains("bridge", local_ips.TABLE)) != set()
    fabric.apply(state(3))
    assert fabric.fabric._home.visit(lambda: nft.chains("bridge", local_ips.TABLE)) == set()
