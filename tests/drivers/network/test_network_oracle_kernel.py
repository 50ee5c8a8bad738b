# SPDX-License-Identifier: Apache-2.0
"""What the kernel lets through is what Neutron says of the rules: packets by hand, for rules and ports at random."""

from __future__ import annotations

import dataclasses
import itertools
import os
import secrets
import select
import time
from collections.abc import Iterator

import network_frames as frames
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from network_labs import FabricLab
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTSocket

from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fabric.namespace import Namespace
from support import security_clouds as clouds
from support.security_oracle import ICMP, ICMPV6, UDP, Cloud, Datagram, Port, answers, passes

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps"),
]

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "30"))
_DHCP = {4: ((68, 67), (67, 68)), 6: ((546, 547), (547, 546))}
_NO_PORTS = (47, 112)
_PATIENCE, _GRACE = 2.0, 0.08


@dataclasses.dataclass(frozen=True)
class Sent:
    """A packet on its way, and whether it should arrive."""

    sender: str
    receiver: str
    packet: Datagram
    expected: bool
    to: str
    token: bytes


class Wires:
    """Three guests who say what they are told, and write down what they hear."""

    def __init__(self) -> None:
        self.lab = FabricLab()
        self.generation = itertools.count(1)
        self.numbers = itertools.cycle(range(49152, 65535))
        self.apply(Cloud(ports={name: _open(name) for name in clouds.NAMES}, groups={}))
        for name in clouds.NAMES:
            self.lab.boot(clouds.identity(name))
        self.wires = {name: self.lab.guests[clouds.identity(name)].space.visit(frames.wire) for name in clouds.NAMES}

    def apply(self, cloud: Cloud) -> None:
        assert self.lab.apply(clouds.state(cloud, next(self.generation))).failed == {}

    def forget(self) -> None:
        """Let the kernel know of no connections."""

        def flush() -> None:
            with NFCTSocket() as tracked:
                tracked.flush()

        Namespace(names.fabric(self.lab.mark)).visit(flush)

    def heard(self, sent: list[Sent]) -> set[bytes]:
        """Send them all; the tokens that came to their receivers. Waits no longer when all that should are there."""
        for one in sent:
            packet, mark = one.packet, next(self.numbers)
            self.wires[one.sender].send(
                frames.packet(
                    one.to, mac=packet.mac, source=packet.source, destination=packet.destination, mark=mark,
                    protocol=packet.protocol, first=packet.first, second=packet.second, data=one.token,
                )
            )  # fmt: skip
        found: set[bytes] = set()
        missing = {one.token for one in sent if one.expected}
        end = time.monotonic() + (_PATIENCE if missing else _GRACE)
        while (left := end - time.monotonic()) > 0:
            for name, frame in self._frames(left):
                found |= {one.token for one in sent if one.receiver == name and one.token in frame}
            if missing and missing <= found:
                end, missing = time.monotonic() + _GRACE, set()
        return found

    def _frames(self, seconds: float) -> Iterator[tuple[str, bytes]]:
        ready, _, _ = select.select(list(self.wires.values()), [], [], seconds)
        for name, wire in self.wires.items():
            if wire in ready:
                yield name, wire.recv(2048)

    def close(self) -> None:
        for wire in self.wires.values():
            wire.close()
        self.lab.close()


def _open(name: str) -> Port:
    return Port(mac=clouds.MACS[name], addresses=clouds.ADDRESSES[name], secure=False)


@pytest.fixture(scope="module")
def wires():
    place = Wires()
    yield place
    place.close()


@st.composite
def questions(draw: st.DrawFn) -> tuple[Cloud, list[tuple[str, str, Datagram]]]:
    """A cloud, and packets with their senders and receivers. No packet belongs to another's connection."""
    cloud, asked = draw(clouds.clouds()), {}
    for number in range(16):
        sender, receiver = draw(st.sampled_from(clouds.WAYS))
        packet = draw(clouds.packets(cloud, sender, receiver))
        if packet.protocol == UDP and draw(st.sampled_from((False, False, False, True))):
            first, second = draw(st.sampled_from(_DHCP[packet.version]))
            packet = dataclasses.replace(packet, first=first, second=second)
        elif packet.protocol in _NO_PORTS:
            packet = dataclasses.replace(packet, first=0)
        elif packet.protocol not in (ICMP, ICMPV6):
            packet = dataclasses.replace(packet, first=50000 + number)
        alone = packet.protocol in (ICMP, ICMPV6) or packet.first >= 50000
        ends = frozenset((packet.source, packet.destination))
        asked.setdefault(number if alone else (packet.protocol, ends), (sender, receiver, packet))
    return cloud, list(asked.values())


@settings(max_examples=EXAMPLES, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(question=questions())
def test_the_kernel_says_what_neutron_says(wires: Wires, question: tuple[Cloud, list[tuple[str, str, Datagram]]]):
    cloud, asked = question
    wires.apply(cloud)
    wires.forget()
    sent = [
        Sent(sender, receiver, packet, passes(cloud, sender, receiver, packet), clouds.MACS[receiver], _token())
        for sender, receiver, packet in asked
    ]
    judge(wires, cloud, sent)
    judge(wires, cloud, [answer(cloud, one) for one in sent if one.expected and may_be_answered(one)])


def judge(wires: Wires, cloud: Cloud, sent: list[Sent]) -> None:
    heard = wires.heard(sent)
    wrong = [one for one in sent if (one.token in heard) != one.expected]
    assert not wrong, (wrong, cloud)


def may_be_answered(one: Sent) -> bool:
    """Whether the bridge knows who has the sender's MAC, and its guest itself says nothing that ends the connection."""
    return one.packet.mac == clouds.MACS[one.sender] and one.packet.protocol == UDP


def answer(cloud: Cloud, one: Sent) -> Sent:
    """What the receiver says to it."""
    packet = one.packet
    back = Datagram(
        mac=clouds.MACS[one.receiver], source=packet.destination, destination=packet.source, protocol=UDP,
        first=packet.second, second=packet.first,
    )  # fmt: skip
    expected = answers(cloud, one.sender, one.receiver, back)
    return Sent(one.receiver, one.sender, back, expected, packet.mac, _token())


def _token() -> bytes:
    return secrets.token_bytes(16)
