# SPDX-License-Identifier: Apache-2.0
"""A router that is on both of two hosts at once, asked with packets."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import network_frames as frames
import pytest
from network_labs import BRIEF, FabricHeld, FabricLab, Held, eventually, ping
from network_pairs import ENDPOINTS, FabricPair, FakePair, Pair, outside_of, power
from pyroute2 import IPRoute
from test_fabric import EGRESS, GATEWAY, ICMP, OPEN, PUBLIC, SSH, SUBNET1, SUBNET2, leg, network, port
from test_network_two_hosts import NET1, NET2, A, B, C, far

from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fabric.namespace import Namespace, in_thread
from cumulet.services.network.types import (
    DistributedState,
    FloatingState,
    GroupState,
    HostState,
    LegState,
    NetworkState,
    RemoteState,
    RouterState,
)

ROUTER = "5b1c1f0e-3c52-4a6e-8f39-0d3a6f5f7c11"
FLOATING, EDGE_MAC = "198.18.4.41", "fa:16:3f:00:00:41"
LEGS = [leg(NET1, 1), leg(NET2, 2)]
SNAT = [
    LegState(
        port_id=f"{number}9d2a5c4-0000-4000-8000-00000000000{number}",
        network_id=key,
        mac=f"fa:16:3e:00:0{number}:05",
        addresses=[f"10.{number}.0.5/24"],
    )
    for number, key in ((1, NET1), (2, NET2))
]
# One network of each host has no other port there.
PORT_A = port(A, NET1, SUBNET1, "10.1.0.11", [OPEN])
PORT_B = port(B, NET2, SUBNET2, "10.2.0.12", [OPEN])
PORT_C = port(C, NET2, SUBNET2, "10.2.0.13", [OPEN])
GROUPS = [GroupState(id=OPEN, rules=[EGRESS, ICMP, SSH])]
NETWORKS = [network(NET1, SUBNET1, 1), network(NET2, SUBNET2, 2), NetworkState(id=PUBLIC, mtu=1500, physical="public")]
EDGE = msgspec.structs.replace(GATEWAY, leg=msgspec.structs.replace(GATEWAY.leg, mac=EDGE_MAC, addresses=[]))


def remote(item: LegState, at: int, router: str = "") -> RemoteState:
    return RemoteState(
        id=item.port_id,
        network_id=item.network_id,
        mac=item.mac,
        addresses=[text.split("/")[0] for text in item.addresses],
        endpoint=ENDPOINTS[at],
        router=router,
    )


CENTRAL = HostState(
    epoch="a cloud",
    generation=1,
    networks=NETWORKS,
    ports=[PORT_A],
    groups=GROUPS,
    routers=[RouterState(id=ROUTER, legs=LEGS, gateway=GATEWAY, distributed=DistributedState(central=True, snat=SNAT))],
    remotes=[far(PORT_B, 1), far(PORT_C, 1), *(remote(item, 1, ROUTER) for item in LEGS)],
)
OTHER = HostState(
    epoch="a cloud",
    generation=1,
    networks=NETWORKS,
    ports=[PORT_B, PORT_C],
    groups=GROUPS,
    routers=[
        RouterState(
            id=ROUTER,
            legs=LEGS,
            gateway=EDGE,
            floating=[FloatingState(address=FLOATING, fixed="10.2.0.12")],
            distributed=DistributedState(snat=SNAT, outside=["198.18.4.0/24"]),
        )
    ],
    remotes=[far(PORT_A, 0), *(remote(item, 0, ROUTER) for item in LEGS), *(remote(item, 0) for item in SNAT)],
)
STATES = (CENTRAL, OTHER)


class Outside:
    """Two hosts, each with a card on one network outside."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.labs = pair.labs
        self.space = outside_of(pair) if isinstance(pair, FabricPair) else None
        for lab, state in zip(self.labs, STATES, strict=True):
            assert lab.apply(state).failed == {}
            for item in state.ports:
                lab.boot(item.id)

    def ping(self) -> bool:
        return self.labs[1].ping(None, FLOATING) if self.space is None else self.space.visit(lambda: ping(FLOATING))

    def hold(self) -> Held:
        """A connection to the address's SSH."""
        if self.space is None:
            return self.labs[1].hold(None, FLOATING, 22)
        stream = self.space.visit(lambda: socket.create_connection((FLOATING, 22), 2))
        self.labs[1].held.append(stream)
        return FabricHeld(stream)

    def lose_the_central_host(self) -> None:
        if self.space is None:
            self.labs[0].fabric._underlay.fabrics.pop(ENDPOINTS[0])
            return
        power(self.pair, self.space, 0, up=False)

    def close(self) -> None:
        self.pair.close()
        if self.space is not None:
            self.space.delete()


@pytest.fixture(params=["fake", pytest.param("fabric", marks=pytest.mark.root)])
def world(request: pytest.FixtureRequest) -> Iterator[Outside]:
    if request.param == "fabric" and os.geteuid() != 0:
        pytest.skip("needs root: makes namespaces and taps")
    found = Outside(FakePair() if request.param == "fake" else FabricPair({"public": "nic0"}))
    yield found
    found.close()


def test_who_sends_to_a_floating_address_that_leads_elsewhere_is_told(world: Outside):
    """The host that it is on has no other way to outside than for what belongs to such addresses."""
    one = world.labs[1]
    held = world.hold()
    assert held.goes_on()
    router = OTHER.routers[0]
    turned = msgspec.structs.replace(router, floating=[FloatingState(address=FLOATING, fixed="10.2.0.13")])
    one.apply(msgspec.structs.replace(OTHER, generation=2, routers=[turned]))
    assert held.is_told()
    assert world.ping()


def test_networks_reach_each_other_from_host_to_host(world: Outside):
    one, two = world.labs
    assert one.ping(A, "10.2.0.12")
    assert two.ping(B, "10.1.0.11")
    assert one.tcp(A, "10.2.0.12", 22)
    assert two.tcp(C, "10.1.0.11", 22)
    assert not one.tcp(A, "10.2.0.12", 8080, patience=BRIEF), "rules hold on the way"
    assert one.ping(A, "10.1.0.1")
    assert two.ping(B, "10.2.0.1"), "each by the router on its own host"
    if isinstance(two, FabricLab):
        home = Namespace(names.fabric(two.mark))
        before = [home.visit(lambda key=key: received(names.tunnel(key))) for key in (NET1, NET2)]
        assert one.ping(A, "10.2.0.12")
        after = [home.visit(lambda key=key: received(names.tunnel(key))) for key in (NET1, NET2)]
        assert after[0] == before[0], "it was routed where it was sent"
        assert after[1] > before[1]
        assert one.guests[A].space.visit(lambda: answers("10.1.0.1")) == 1, "the router of another host is silent"


def test_a_floating_address_is_on_the_host_of_its_port(world: Outside):
    _, two = world.labs
    assert world.ping()
    if world.space is not None:
        assert world.space.visit(lambda: mac_of(FLOATING)) == EDGE_MAC
        assert two.ping(B, "198.18.4.1")
        assert world.space.visit(lambda: seen_from(lambda: two.ping(B, "198.18.4.1"))) == {FLOATING}


def test_others_leave_by_the_central_host(world: Outside):
    one, two = world.labs
    assert two.ping(C, "198.18.4.1")
    assert one.ping(A, "198.18.4.1")
    if world.space is not None:
        assert world.space.visit(lambda: seen_from(lambda: two.ping(C, "198.18.4.1"))) == {"198.18.4.10"}
    world.lose_the_central_host()
    if world.space is not None:
        assert not two.ping(C, "198.18.4.1", tries=1)


def test_guests_reach_each_other_by_floating_addresses(world: Outside):
    one, two = world.labs
    assert two.ping(C, FLOATING), "on the same host, and the same network"
    if world.space is not None:
        assert one.ping(A, FLOATING), "out by the central host, and in by the other"
        assert two.ping(B, FLOATING), "itself"


def test_all_but_source_nat_does_without_the_central_host(world: Outside):
    _, two = world.labs
    world.lose_the_central_host()
    assert world.ping()
    assert two.ping(C, "10.2.0.1")
    near = msgspec.structs.replace(port(A, NET1, SUBNET1, "10.1.0.11", [OPEN]))
    assert (
        two.apply(msgspec.structs.replace(OTHER, generation=2, ports=[near, PORT_B, PORT_C], remotes=[])).failed == {}
    )
    two.boot(A)
    assert two.ping(A, "10.2.0.13")
    assert two.tcp(B, "10.1.0.11", 22)
    assert world.ping()


def test_the_same_twice_changes_nothing_and_another_kind_leaves_nothing(world: Outside):
    for lab, state in zip(world.labs, STATES, strict=True):
        assert lab.apply(state).changes == 0
        if isinstance(lab, FabricLab):
            lab.restart()
            assert lab.apply(state).changes == 0, "a new agent finds it as it should be"
    one, two = world.labs
    alone = msgspec.structs.replace(CENTRAL.routers[0], distributed=None)
    near = msgspec.structs.replace(CENTRAL, generation=2, routers=[alone], remotes=[far(PORT_B, 1), far(PORT_C, 1)])
    legs = [remote(item, 0) for item in LEGS]
    away = msgspec.structs.replace(OTHER, generation=2, routers=[], remotes=[far(PORT_A, 0), *legs])
    assert one.apply(near).failed == {}
    assert two.apply(away).failed == {}
    assert eventually(lambda: two.ping(B, "10.1.0.11"))
    assert one.ping(A, "10.2.0.12")
    assert two.ping(B, "10.2.0.1")


def test_links_too_short_for_ipv6_have_none_of_it(world: Outside):
    """The kernel takes no IPv6 neighbours there."""
    _, two = world.labs
    short = [msgspec.structs.replace(one, mtu=1200) if one.id == NET1 else one for one in NETWORKS]
    six = [msgspec.structs.replace(LEGS[0], addresses=[*LEGS[0].addresses, "fd00:1::1/64"]), LEGS[1]]
    beyond = msgspec.structs.replace(far(PORT_A, 0), addresses=["10.1.0.11", "fd00:1::11"])
    state = msgspec.structs.replace(
        OTHER, generation=2, networks=short, remotes=[beyond, *OTHER.remotes[1:]],
        routers=[msgspec.structs.replace(OTHER.routers[0], legs=six)],
    )  # fmt: skip
    assert two.apply(state).failed == {}
    assert two.ping(B, "10.1.0.11")


def received(device: str) -> int:
    lines = Path("/proc/thread-self/net/dev").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[2]) for line in lines if line.strip().startswith(f"{device}:"))


def mac_of(address: str) -> str | None:
    with IPRoute() as route:
        found = route.get_neighbours(family=socket.AF_INET, dst=address)
        return found[0].get_attr("NDA_LLADDR") if found else None


def seen_from(work: object) -> set[str]:
    """The senders of echo requests to this namespace while `work` is done."""
    assert callable(work)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        in_thread(work, "work")
        sock.setblocking(False)
        found = set()
        try:
            while True:
                data = sock.recv(2048)
                if data[20] == 8:
                    found.add(socket.inet_ntoa(data[12:16]))
        except BlockingIOError:
            return found


def answers(address: str) -> int:
    """How many answers one question for the address's MAC gets."""
    with frames.wire(kind=0x0806) as wire:
        mac, target = wire.getsockname()[4], socket.inet_aton(address)
        own = socket.inet_aton("10.1.0.11")
        head = b"\xff" * 6 + mac + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1)
        wire.send(head + mac + own + bytes(6) + target)
        count, end = 0, time.monotonic() + 0.5
        while (left := end - time.monotonic()) > 0:
            wire.settimeout(left)
            try:
                frame = wire.recv(128)
            except TimeoutError:
                break
            count += frame[20:22] == b"\x00\x02" and frame[28:32] == target
        return count
