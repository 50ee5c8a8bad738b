# SPDX-License-Identifier: Apache-2.0
"""What the engine in memory lets through is what Neutron says of the rules, for rules, ports and packets at random."""

from __future__ import annotations

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from cumulet.services.network.types import reach
from support import security_clouds as clouds
from support.security_oracle import ICMP, ICMPV6, Cloud, Datagram, exchanged

_ANSWERS = {8: 0, 13: 14, 128: 129}


@st.composite
def questions(draw: st.DrawFn) -> tuple[Cloud, list[tuple[str, str, Datagram]]]:
    """A cloud, and packets with their senders and receivers."""
    cloud, asked = draw(clouds.clouds()), []
    for _ in range(8):
        sender, receiver = draw(st.sampled_from(clouds.WAYS))
        asked.append((sender, receiver, draw(clouds.packets(cloud, sender, receiver))))
    return cloud, asked


def answer(cloud: Cloud, receiver: str, packet: Datagram) -> Datagram:
    """What the receiver's guest says to it."""
    first, second = packet.second, packet.first
    if packet.protocol in (ICMP, ICMPV6):
        first, second = _ANSWERS[packet.first], 0
    turned = dataclasses.replace(packet, source=packet.destination, destination=packet.source)
    return dataclasses.replace(turned, mac=cloud.ports[receiver].mac, first=first, second=second)


@settings(max_examples=250, deadline=None)
@given(questions())
def test_the_walker_in_memory_says_what_neutron_says(question: tuple[Cloud, list[tuple[str, str, Datagram]]]):
    cloud, asked = question
    state = clouds.state(cloud)
    for sender, receiver, packet in asked:
        expected = exchanged(cloud, sender, receiver, packet, answer(cloud, receiver, packet))
        assert reach.reaches(state, of_reach(sender, packet)) == expected, (sender, receiver, packet)


def of_reach(sender: str, packet: Datagram) -> reach.Packet:
    low = high = packet.second or None
    if packet.protocol in (ICMP, ICMPV6):
        low, high = packet.first, packet.second
    return reach.Packet(
        port=clouds.identity(sender), mac=packet.mac, source=packet.source, destination=packet.destination,
        protocol=packet.protocol, low=low, high=high,
    )  # fmt: skip
