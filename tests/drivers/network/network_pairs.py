# SPDX-License-Identifier: Apache-2.0
"""Two hosts with an engine each and a wire between them: in memory, or two namespaces joined by a cable."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Protocol

from network_labs import FabricLab, FakeLab, Lab

from cumulet.services.network.drivers.fabric import nft
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace, in_thread
from cumulet.services.network.drivers.fake import FakeUnderlay
from cumulet.services.network.types import HostState

ENDPOINTS = ("198.18.6.1", "198.18.6.2")
UNDERLAY_MTU = 1500


class Pair(Protocol):
    """The first and the second host, whose tunnels begin at ENDPOINTS."""

    labs: tuple[Lab, Lab]

    def move(self, port_id: str, states: tuple[HostState, HostState]) -> None:
        """Let a guest of the first host go on at the second, as live migration does; then `states` hold."""

    def host_has(self) -> list[set[str]]:
        """The devices and firewall tables that each host sees in its own namespace."""

    def close(self) -> None: ...


class FakePair:
    """Two fakes on one wire."""

    def __init__(self) -> None:
        wire = FakeUnderlay()
        self.labs = (FakeLab(ENDPOINTS[0], wire), FakeLab(ENDPOINTS[1], wire))

    def move(self, port_id: str, states: tuple[HostState, HostState]) -> None:
        self.labs[0].fabric.close_tap(port_id)
        self.labs[1].apply(states[1])
        self.labs[1].boot(port_id)
        self.labs[0].apply(states[0])

    def host_has(self) -> list[set[str]]:
        return [set(), set()]

    def close(self) -> None:
        for lab in self.labs:
            lab.close()


class FabricPair:
    """Two kernel fabrics."""

    def __init__(self, devices: Mapping[str, str] | None = None, kind: type[FabricLab] = FabricLab) -> None:
        self.labs = (kind(ENDPOINTS[0], devices), kind(ENDPOINTS[1], devices))
        in_thread(self._join, "join hosts")

    def _join(self) -> None:
        one, two = (lab.host for lab in self.labs)

        def lay() -> None:
            with Links() as links:
                links.cable("wire0", "wire0", two, mtu=UNDERLAY_MTU)

        one.visit(lay)
        for lab in self.labs:
            lab.host.visit(lambda own=lab.endpoint: _configure(own))

    def move(self, port_id: str, states: tuple[HostState, HostState]) -> None:
        source, target = self.labs
        target.apply(states[1])
        guest = source.guests.pop(port_id)
        guest.resume_on(target.fabric.open_tap(port_id))
        target.guests[port_id] = guest
        source.apply(states[0])

    def host_has(self) -> list[set[str]]:
        return [lab.host.visit(_seen) for lab in self.labs]

    def close(self) -> None:
        for lab in self.labs:
            lab.close()


def outside_of(pair: FabricPair) -> Namespace:
    """A network outside, with 198.18.4.1 on it, that each host has a card on: `nic0`, whose far ends are `port0` and
    `port1`.
    """
    space = Namespace(f"lab-{pair.labs[0].mark}-world")
    space.create()
    space.visit(_make_lan)
    for number, lab in enumerate(pair.labs):
        in_thread(lambda number=number, lab=lab: lab.host.visit(lambda: _join_lan(space, number)), "lan")
    space.visit(lambda: _use_lan(len(pair.labs)))
    return space


def power(pair: FabricPair, outside: Namespace, at: int, *, up: bool) -> None:
    """Take a host's cables away, to the other one and outside, as when its power fails; or bring them back."""

    def settle(device: str) -> None:
        with Links() as links:
            links.settle(device, up=up)

    pair.labs[at].host.visit(lambda: settle("wire0"))
    outside.visit(lambda: settle(f"port{at}"))


def _make_lan() -> None:
    with Links() as links:
        links.bridge("lan", 1500, 1)
        links.addresses("lan", ["198.18.4.1/24"])


def _join_lan(outside: Namespace, number: int) -> None:
    with Links() as links:
        links.cable("nic0", f"port{number}", outside)


def _use_lan(count: int) -> None:
    with Links() as links:
        for number in range(count):
            links.settle(f"port{number}", master="lan")


def _configure(own: str) -> None:
    with Links() as links:
        links.settle("lo")
        links.settle("wire0", mtu=UNDERLAY_MTU)
        links.addresses("wire0", [f"{own}/24"])


def _seen() -> set[str]:
    tables = {f"{family} table" for family in ("inet", "ip", "bridge") if nft.chains(family, "cumulet")}
    return {name for _, name in socket.if_nameindex()} | tables
