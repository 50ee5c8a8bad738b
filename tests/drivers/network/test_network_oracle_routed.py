# SPDX-License-Identifier: Apache-2.0
"""What comes from network to network, from outside and back is what Neutron says: packets by hand, worlds at random."""

from __future__ import annotations

import ipaddress
import itertools
import os
import secrets
import select
import time
from collections.abc import Iterator
from typing import NamedTuple

import network_frames as frames
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from network_labs import FabricLab
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTSocket

from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fabric.links import sysctl
from cumulet.services.network.drivers.fabric.namespace import Namespace
from support import routed_clouds as clouds
from support.routed_oracle import OUTSIDE, World, arrival, heard_back, turned_back
from support.security_clouds import identity
from support.security_oracle import Cloud, Datagram, Port

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps"),
]

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "10"))
_ECHOES, _ERRORS = (0, 129), {1: (3, 11), 58: (1, 3)}
_OUTGOING = 4  # PACKET_OUTGOING
_PATIENCE, _GRACE = 2.0, 0.15


class Heard(NamedTuple):
    """Who hears it, an answer or the question itself, and from where to where it is sent by then."""

    who: str
    is_answer: bool
    source: str
    destination: str


class Wires:
    """Four guests on three networks, and somebody outside, who say what they are told and write down what they hear."""

    def __init__(self) -> None:
        self.lab = FabricLab()
        self.generation = itertools.count(1)
        self.numbers = itertools.cycle(range(49152, 65535))
        ports = {
            name: Port(mac=clouds.MACS[name], addresses=clouds.ADDRESSES[name], secure=False) for name in clouds.HOMES
        }
        routers = tuple(
            clouds.Router(legs={network: clouds.LEGS[network] for network in joined}, address=address)
            for joined, address in zip(clouds.JOINED, clouds.GATEWAYS, strict=True)
        )
        cloud = Cloud(ports=ports, groups={})
        self.apply(
            World(cloud=cloud, homes=clouds.HOMES, routers=routers, external=clouds.EXTERNAL, outside=clouds.HOST)
        )
        for name in clouds.HOMES:
            self.lab.boot(identity(name))
        guests = {name: self.lab.guests[identity(name)].space for name in clouds.HOMES}
        self.spaces = [
            Namespace(names.fabric(self.lab.mark)),
            *(Namespace(names.router_namespace(self.lab.mark, identity(f"router {at}"))) for at in (0, 1)),
        ]
        for space in (*guests.values(), *self.spaces, self.lab.host):
            space.visit(_answer_always)
        self.wires = {name: space.visit(frames.wire) for name, space in guests.items()}
        self.wires[OUTSIDE] = self.lab.host.visit(lambda: frames.wire(names.host_cable(self.lab.mark)))
        self.host_mac = self.wires[OUTSIDE].getsockname()[4].hex(":")

    def apply(self, world: World) -> None:
        assert self.lab.apply(clouds.state(world, next(self.generation))).failed == {}

    def forget(self) -> None:
        """Let the kernel know of no connections."""
        for space in self.spaces:
            space.visit(_flush)

    def heard(self, asked: dict[bytes, clouds.Question], expected: dict[bytes, set[Heard]]) -> dict[bytes, set[Heard]]:
        """Ask them all; what is heard of each. Waits no longer when all that should be is."""
        for token, one in asked.items():
            packet = one.packet
            self.wires[one.sender].send(
                frames.packet(
                    one.to, mac=packet.mac or self.host_mac, source=packet.source, destination=packet.destination,
                    mark=next(self.numbers), protocol=packet.protocol, first=packet.first, second=packet.second,
                    data=token, hops=one.hops,
                )
            )  # fmt: skip
        found: dict[bytes, set[Heard]] = {token: set() for token in asked}
        missing = any(expected.values())
        end = time.monotonic() + (_PATIENCE if missing else _GRACE)
        while (left := end - time.monotonic()) > 0:
            for name, frame in self._frames(left):
                for token in (token for token in asked if token in frame):
                    found[token].add(_read(name, frame))
            if missing and all(expected[token] <= found[token] for token in asked):
                end, missing = time.monotonic() + _GRACE, False
        return found

    def _frames(self, seconds: float) -> Iterator[tuple[str, bytes]]:
        ready, _, _ = select.select(list(self.wires.values()), [], [], seconds)
        for name, wire in self.wires.items():
            if wire in ready:
                frame, where = wire.recvfrom(2048)
                if where[2] != _OUTGOING:
                    yield name, frame

    def close(self) -> None:
        for wire in self.wires.values():
            wire.close()
        self.lab.close()


def _answer_always() -> None:
    """Kernels say of only a few packets a second that nobody takes them."""
    sysctl("net/ipv4/icmp_ratelimit", "0")
    sysctl("net/ipv6/icmp/ratelimit", "0")


def _flush() -> None:
    with NFCTSocket() as tracked:
        tracked.flush()


def _read(name: str, frame: bytes) -> Heard:
    if frame[12:14] == b"\x86\xdd":
        ends, protocol, kind = (frame[22:38], frame[38:54]), frame[20], frame[54]
    else:
        ends, protocol, kind = (frame[26:30], frame[30:34]), frame[23], frame[14 + 4 * (frame[14] & 15)]
    is_answer = protocol in _ERRORS and kind in (*_ECHOES, *_ERRORS[protocol])
    source, destination = (str(ipaddress.ip_address(end)) for end in ends)
    return Heard(name, is_answer, source, destination)


@pytest.fixture(scope="module")
def wires() -> Iterator[Wires]:
    place = Wires()
    yield place
    place.close()


@st.composite
def rounds(draw: st.DrawFn) -> tuple[World, list[clouds.Question]]:
    """A world, and packets none of which belongs to another's connection."""
    world = draw(clouds.worlds())
    return world, [draw(clouds.questions(world, number)) for number in range(20)]


@pytest.mark.timeout(3600 if EXAMPLES > 100 else 120)
# Threads of the engine throw dice for their advertisements, in the middle of a draw too.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES <= 10,
    report_multiple_bugs=False,
    phases=[Phase.explicit, Phase.generate],
)
@given(asked=rounds())
def test_packets_come_where_neutron_says_and_answers_come_back(
    wires: Wires, asked: tuple[World, list[clouds.Question]]
):
    world, questions = asked
    wires.apply(world)
    wires.forget()
    named = {secrets.token_bytes(16): one for one in questions}
    expected = {token: expectation(world, one) for token, one in named.items()}
    heard = wires.heard(named, expected)
    wrong = [
        f"{one}\n  expected {sorted(expected[token])}\n  heard    {sorted(heard[token])}"
        for token, one in named.items()
        if judged(world, one, heard[token]) != expected[token]
    ]
    assert not wrong, "\n".join([*wrong, *map(str, world.routers), *map(str, world.cloud.ports.items()),
                                 *map(str, world.cloud.groups.items())])  # fmt: skip


def expectation(world: World, one: clouds.Question) -> set[Heard]:
    if one.hops == 1:
        back = turned_back(world, one.sender, one.packet)
        return {_answer(one.sender, back)} if back is not None and _is_own(one) else set()
    came = arrival(world, one.sender, one.packet)
    if came is None:
        return set()
    found = {Heard(came.at, False, came.seen.source, came.seen.destination)} if came.at else set()
    back = heard_back(world, one.sender, one.packet, came)
    return found | ({_answer(one.sender, back)} if back is not None and _is_own(one) else set())


def judged(world: World, one: clouds.Question, heard: set[Heard]) -> set[Heard]:
    """What the oracle speaks of: not of what routers say of packets that they know no way for, nor of stray answers."""
    lost = one.hops > 1 and arrival(world, one.sender, one.packet) is None
    return {each for each in heard if not each.is_answer or (each.who == one.sender and not lost)}


def _answer(sender: str, back: Datagram) -> Heard:
    return Heard(sender, True, back.source, back.destination)


def _is_own(one: clouds.Question) -> bool:
    """Whether whoever looks for the sender's address finds it."""
    return one.sender == OUTSIDE or (
        one.packet.mac == clouds.MACS[one.sender] and one.packet.source in clouds.ADDRESSES[one.sender]
    )
