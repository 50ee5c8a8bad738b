# SPDX-License-Identifier: Apache-2.0
"""A router that two hosts share, asked with packets while one of them dies and comes back."""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import struct
import threading
import time
from collections.abc import Iterator

import msgspec
import network_frames as frames
import pytest
from network_labs import FabricLab, eventually, ping
from network_pairs import ENDPOINTS, FabricPair, FakePair, Pair, outside_of, power
from test_fabric import ICMP
from test_network_two_hosts import (
    FIRST,
    FLOATING,
    GROUPS,
    LEG,
    NET1,
    PORT_A,
    PORT_B,
    ROUTER,
    A,
    B,
    far,
)

from cumulet.services.network.drivers.fabric import election, names
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.types import HaState, HostState, RemoteState

PATIENCE = election.DEAD + election.STEP + 3.0  # until another host has taken over, on a busy machine
SIOCOUTQ = 0x5411
NETWORKS = [FIRST.networks[0], FIRST.networks[-1]]
OPENED = [msgspec.structs.replace(GROUPS[0], rules=[*GROUPS[0].rules, ICMP])]


def shared(at: int) -> HostState:
    """The state of one of the hosts: a guest on each, and the router on both."""
    other = ENDPOINTS[1 - at]
    ha = HaState(rank=at, others=[other], active=at == 0)
    leg = RemoteState(
        id=LEG.port_id, network_id=NET1, mac=LEG.mac, addresses=["10.1.0.1"], endpoint=other, router=ROUTER.id
    )
    return HostState(
        epoch="a cloud",
        generation=1,
        networks=NETWORKS,
        ports=[PORT_A if at == 0 else PORT_B],
        groups=OPENED,
        routers=[msgspec.structs.replace(ROUTER, ha=ha)],
        remotes=[far(PORT_B, 1) if at == 0 else far(PORT_A, 0), leg],
    )


STATES = (shared(0), shared(1))


class Outside:
    """Two hosts, each with a card on one network outside, and somebody there who asks."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.labs = pair.labs
        self.space = outside_of(pair) if isinstance(pair, FabricPair) else None

    def start(self) -> None:
        for lab, state in zip(self.labs, STATES, strict=True):
            assert lab.apply(state).failed == {}
            lab.boot(state.ports[0].id)
        assert eventually(lambda: self.forwarding() == [0], PATIENCE)

    def forwarding(self) -> list[int]:
        """Which of the hosts says that the router forwards there."""
        return [at for at, lab in enumerate(self.labs) if lab.fabric.active() == [ROUTER.id]]

    def ping(self) -> bool:
        if self.space is None:
            at = self.forwarding()
            return bool(at) and self.labs[at[0]].ping(None, FLOATING)
        return self.space.visit(lambda: ping(FLOATING))

    def kill(self, at: int) -> None:
        """End the agent without a word; its kernel stays as it is."""
        lab = self.labs[at]
        if isinstance(lab, FabricLab):
            lab.fabric._roles._leave = lambda *_: None  # type: ignore[method-assign]
            lab.fabric.stop()
        else:
            self.pair.labs[0].fabric._underlay.fabrics.pop(ENDPOINTS[at])

    def revive(self, at: int) -> None:
        lab = self.labs[at]
        if isinstance(lab, FabricLab):
            lab.fabric = lab.host.visit(lab._engine)
        else:
            lab.fabric._underlay.fabrics[ENDPOINTS[at]] = lab.fabric
        assert lab.apply(STATES[at]).failed == {}

    def pull_plug(self, at: int) -> None:
        """All cables of a host, as when its power fails."""
        assert self.space is not None
        power(self.pair, self.space, at, up=False)

    def plug_in(self, at: int) -> None:
        assert self.space is not None
        power(self.pair, self.space, at, up=True)

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


@pytest.fixture
def kernel_world() -> Iterator[Outside]:
    if os.geteuid() != 0:
        pytest.skip("needs root: makes namespaces and taps")
    found = Outside(FabricPair({"public": "nic0"}))
    yield found
    found.close()


def test_one_host_forwards_and_the_guests_of_both_use_it(world: Outside):
    world.start()
    one, two = world.labs
    assert world.ping()
    assert one.ping(A, "10.1.0.1")
    assert two.ping(B, "10.1.0.1")
    if world.space is not None:
        assert one.ping(A, "198.18.4.1")
        assert two.ping(B, "198.18.4.1"), "by the other host, though the router stands by here"
        assert world.space.visit(lambda: answers(FLOATING)) == 1
    for lab, state in zip(world.labs, STATES, strict=True):
        assert lab.apply(state).changes == 0


def test_another_host_takes_over_when_an_agent_dies_and_the_old_one_stays_silent(world: Outside):
    world.start()
    assert world.ping()
    began = time.monotonic()
    world.kill(0)
    if world.space is not None:
        assert not eventually(lambda: two_answer(world), election.DEAD), "never both"
    assert eventually(world.ping, PATIENCE)
    print(f"the router was silent for at most {time.monotonic() - began:.1f} s")
    assert world.labs[1].ping(B, "10.1.0.1")
    assert world.labs[0].ping(A, "10.1.0.12"), "what needs no router goes on"
    if world.space is not None:
        assert world.space.visit(lambda: answers(FLOATING)) == 1
    world.revive(0)
    time.sleep(election.FIRST + 1.0)
    assert world.forwarding() == [1], "who comes back interrupts nothing"
    assert world.labs[0].ping(A, "10.1.0.1")
    assert world.ping()
    if world.space is not None:
        assert world.space.visit(lambda: answers(FLOATING)) == 1
        assert world.labs[0].ping(A, "198.18.4.1")


@pytest.mark.root
def test_connections_outlive_a_host(kernel_world: Outside):
    world = kernel_world
    world.start()
    assert world.space is not None
    with world.space.visit(lambda: socket.create_connection((FLOATING, 22), 3)) as connection:
        connection.sendall(b"before")
        assert eventually(lambda: unsent(connection) == 0)
        with Silence(world.space) as silence:
            world.pull_plug(0)
            assert eventually(lambda: world.forwarding()[-1:] == [1], PATIENCE)
            assert eventually(world.ping, PATIENCE)
        print(f"a host without power: silence of {silence.longest:.1f} s")
        assert silence.longest < PATIENCE
        connection.sendall(b"after")
        assert eventually(lambda: unsent(connection) == 0, 10)
    world.plug_in(0)
    assert eventually(lambda: world.forwarding() == [1], 3), "two forwarded; the one with the older term gave way"
    assert eventually(lambda: world.space.visit(lambda: answers(FLOATING)) == 1)
    assert eventually(lambda: world.labs[0].ping(A, "198.18.4.1"))


@pytest.mark.root
def test_an_agent_that_is_ended_hands_its_routers_over(kernel_world: Outside):
    world = kernel_world
    world.start()
    assert world.space is not None
    turned = threading.Event()
    world.labs[1].fabric.on_turn(turned.set)
    with Silence(world.space) as silence:
        world.labs[0].fabric.stop()
        assert eventually(lambda: world.forwarding() == [1], election.DEAD)
        assert turned.wait(election.DEAD), "the control plane is to hear of it"
        assert eventually(world.ping)
    print(f"a router that is handed over: silence of {silence.longest:.1f} s")
    assert silence.longest < election.LEASE
    world.revive(0)


@pytest.mark.root
def test_a_router_that_is_taken_off_a_host_is_handed_over(kernel_world: Outside):
    world = kernel_world
    world.start()
    left = msgspec.structs.replace(STATES[0], generation=2, routers=[], networks=NETWORKS[:1])
    assert world.labs[0].apply(left).failed == {}
    assert eventually(lambda: world.forwarding() == [1], election.DEAD)
    assert eventually(world.ping)
    assert eventually(lambda: world.labs[0].ping(A, "198.18.4.1"))


@pytest.mark.root
def test_what_others_say_is_not_believed(kernel_world: Outside):
    """Words of no host of the router, and of another cloud."""
    world = kernel_world
    world.start()
    one = world.labs[0]
    word = election.Word(ROUTER.id, 99, 0, True)
    for epoch, words in (
        ("another", [word]),
        ("a cloud", [msgspec.structs.replace(word, router="x")]),
        ("a cloud", [word]),  # not from the port that the other host's agent has
    ):
        sent = msgspec.msgpack.encode((epoch, words))
        world.labs[1].host.visit(lambda sent=sent: send(sent))
    world.labs[1].host.visit(lambda: send(b"\xff\x00nonsense"))
    time.sleep(1)
    assert world.forwarding() == [0]
    assert names.router_plug(LEG.port_id)
    assert one.ping(A, "10.1.0.1")


@pytest.mark.root
def test_who_cannot_hear_the_others_stands_by_and_says_why(kernel_world: Outside):
    world = kernel_world
    one, two = world.labs

    def occupy() -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((ENDPOINTS[0], 4799))
        return sock

    with one.host.visit(occupy):
        assert "4799" in one.apply(STATES[0]).failed[ROUTER.id]
        one.boot(A)
        assert two.apply(STATES[1]).failed == {}
        two.boot(B)
        assert eventually(lambda: world.forwarding() == [1], PATIENCE)
        assert eventually(world.ping)
        assert world.space is not None
        assert world.space.visit(lambda: answers(FLOATING)) == 1
    assert one.apply(STATES[0]).failed == {}
    assert eventually(lambda: one.ping(A, "198.18.4.1"))
    assert world.forwarding() == [1]


def send(data: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(data, (ENDPOINTS[0], 4799))


class Silence:
    """Pings the floating address; `longest` is the longest time in seconds without an answer."""

    def __init__(self, space: Namespace) -> None:
        self.longest = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: space.visit(self._watch))

    def __enter__(self) -> Silence:
        self._thread.start()
        time.sleep(0.3)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        heard = time.monotonic()
        while not self._ended.is_set():
            if ping(FLOATING, tries=1, patience=0.1):
                self.longest = max(self.longest, time.monotonic() - heard)
                heard = time.monotonic()
                time.sleep(0.02)
        self.longest = max(self.longest, time.monotonic() - heard)


def two_answer(world: Outside) -> bool:
    assert world.space is not None
    return world.space.visit(lambda: answers(FLOATING)) > 1


def answers(address: str) -> int:
    """How many answers one echo request gets: it is sent to all on the wire, as to two hosts with the same MAC."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock,
        frames.wire("lan", 0x0806) as wire,
    ):
        number = secrets.randbelow(65536)
        body = struct.pack("!BBHHH", 8, 0, 0, number, 0)
        total = sum(struct.unpack("!4H", body))
        check = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
        sock.sendto(body[:2] + struct.pack("!H", check) + body[4:], (address, 0))
        mac = wire.getsockname()[4]
        own, target = socket.inet_aton("198.18.4.1"), socket.inet_aton(address)
        head = b"\xff" * 6 + mac + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1)
        wire.send(head + mac + own + bytes(6) + target)
        echoes, claims = 0, 0
        end = time.monotonic() + 0.5
        while (left := end - time.monotonic()) > 0:
            wire.settimeout(left)
            try:
                frame = wire.recv(128)
            except TimeoutError:
                break
            claims += frame[20:22] == b"\x00\x02" and frame[28:32] == target
        sock.setblocking(False)
        try:
            while True:
                data = sock.recv(2048)
                echoes += data[20] == 0 and struct.unpack("!H", data[24:26])[0] == number
        except BlockingIOError:
            return max(echoes, claims)


def unsent(connection: socket.socket) -> int:
    """Bytes that the other end has not said to have."""
    return struct.unpack("i", fcntl.ioctl(connection, SIOCOUTQ, b"\0" * 4))[0]
