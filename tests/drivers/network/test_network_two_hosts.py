# SPDX-License-Identifier: Apache-2.0
"""Private networks over two hosts, asked with packets, on every engine."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from network_labs import BRIEF, FabricLab, eventually, is_inner, ping
from network_pairs import ENDPOINTS, FabricPair, FakePair, Pair, outside_of
from pyroute2 import IPRoute
from test_fabric import EGRESS, FRIENDS, GATEWAY, ICMP, OPEN, PUBLIC, SSH, SUBNET1, SUBNET2, leg, network, port

from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.types import (
    FloatingState,
    GroupState,
    HostState,
    NetworkState,
    PortState,
    RemoteState,
    RouterState,
)

NET1, NET2 = (str(uuid.uuid4()) for _ in range(2))
A, B, C, TWIN_A, TWIN_B = (str(uuid.uuid4()) for _ in range(5))
FLOATING = "198.18.4.31"
NEAR = network(NET1, SUBNET1, 1)
TWIN = network(NET2, SUBNET2, 1)  # the same addresses and MACs, another tunnel
TWIN = msgspec.structs.replace(TWIN, segment=2)
LEG = leg(NET1, 1)
ROUTER = RouterState(
    id=str(uuid.uuid4()),
    legs=[LEG],
    gateway=GATEWAY,
    floating=[FloatingState(address=FLOATING, fixed="10.1.0.12")],
)
PORT_A = port(A, NET1, SUBNET1, "10.1.0.11", [OPEN])
PORT_B = port(B, NET1, SUBNET1, "10.1.0.12", [OPEN])
PORT_C = port(C, NET1, SUBNET1, "10.1.0.13", [])
PORT_TWIN_A = port(TWIN_A, NET2, SUBNET2, "10.1.0.11", [OPEN])
PORT_TWIN_B = port(TWIN_B, NET2, SUBNET2, "10.1.0.12", [OPEN])
GROUPS = [GroupState(id=OPEN, rules=[EGRESS, SSH, FRIENDS], members=["10.1.0.11", "10.1.0.12"])]


def far(item: PortState, at: int) -> RemoteState:
    """The port as the other host knows it."""
    addresses = [one.address for one in item.addresses]
    return RemoteState(
        id=item.id, network_id=item.network_id, mac=item.mac, addresses=addresses, endpoint=ENDPOINTS[at]
    )


FAR_LEG = RemoteState(
    id=LEG.port_id, network_id=NET1, mac=LEG.mac, addresses=["10.1.0.1"], endpoint=ENDPOINTS[0]
)  # fmt: skip
FIRST = HostState(
    generation=1,
    networks=[NEAR, TWIN, NetworkState(id=PUBLIC, mtu=1500, physical="public")],
    ports=[PORT_A, PORT_TWIN_A],
    groups=GROUPS,
    routers=[ROUTER],
    remotes=[far(PORT_B, 1), far(PORT_C, 1), far(PORT_TWIN_B, 1)],
)
SECOND = HostState(
    generation=1,
    networks=[NEAR, TWIN],
    ports=[PORT_B, PORT_C, PORT_TWIN_B],
    groups=GROUPS,
    remotes=[far(PORT_A, 0), far(PORT_TWIN_A, 0), FAR_LEG],
)


@pytest.fixture(params=["fake", pytest.param("fabric", marks=pytest.mark.root)])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    if request.param == "fabric" and os.geteuid() != 0:
        pytest.skip("needs root: makes namespaces and taps")
    place: Pair = FakePair() if request.param == "fake" else FabricPair()
    yield place
    place.close()


def started(pair: Pair, *keys: str) -> Pair:
    for lab, state in zip(pair.labs, (FIRST, SECOND), strict=True):
        assert lab.apply(state).failed == {}
        for item in state.ports:
            if item.id in keys:
                lab.boot(item.id)
    return pair


def opened(state: HostState, *rules: object) -> HostState:
    """The state with further rules in the one group."""
    group = msgspec.structs.replace(GROUPS[0], rules=[*GROUPS[0].rules, *rules])
    return msgspec.structs.replace(state, generation=state.generation + 1, groups=[group])


def test_neighbours_on_other_hosts_are_reached(pair: Pair):
    one, two = started(pair, A, B).labs
    assert one.ping(A, "10.1.0.12")
    assert two.ping(B, "10.1.0.11")
    assert two.tcp(B, "10.1.0.11", 8080), "members of the remote group may"
    assert two.ping(B, "10.1.0.1"), "the router on the other host"
    if isinstance(one, FabricLab):
        assert one.guests[A].space.visit(lambda: large_ping("10.1.0.12", 1450)), "whole frames fit into the tunnel"


def test_the_same_addresses_in_two_networks_do_not_mix(pair: Pair):
    one, two = started(pair, A, TWIN_B).labs
    assert not one.ping(A, "10.1.0.12", tries=1), "its namesake is on another network"
    two.boot(B)
    one.boot(TWIN_A)
    assert one.ping(A, "10.1.0.12")
    assert one.ping(TWIN_A, "10.1.0.12")
    if isinstance(one, FabricLab):
        reached = {key: two.guests[key].space.visit(received) for key in (B, TWIN_B)}
        one.ping(A, "10.1.0.12")
        again = {key: two.guests[key].space.visit(received) for key in (B, TWIN_B)}
        assert again[B] > reached[B]
        assert again[TWIN_B] == reached[TWIN_B]


def test_rules_hold_between_hosts(pair: Pair):
    one, two = started(pair, A, B, C).labs
    assert one.tcp(A, "10.1.0.12", 8080)
    assert not two.ping(C, "10.1.0.11", tries=1), "it has no group that lets it out"
    assert not one.ping(A, "10.1.0.13", tries=1), "and none that lets others in"
    alone = msgspec.structs.replace(GROUPS[0], members=["10.1.0.12"])
    two.apply(msgspec.structs.replace(SECOND, generation=2, groups=[alone]))
    assert not one.tcp(A, "10.1.0.12", 8080, patience=BRIEF), "no member any more"
    assert one.tcp(A, "10.1.0.12", 22), "open to all"
    two.apply(opened(msgspec.structs.replace(SECOND, generation=3, groups=[alone]), ICMP))
    assert one.ping(A, "10.1.0.12")


def test_senders_cannot_pretend_to_other_hosts(pair: Pair):
    one, _ = started(pair, A, B).labs
    assert not one.ping(A, "10.1.0.12", source="10.1.0.99", tries=1)
    assert not one.ping(A, "10.1.0.12", mac="fa:16:3e:aa:aa:aa", tries=1)
    assert one.ping(A, "10.1.0.12")


def test_a_floating_address_leads_to_a_port_on_the_other_host(pair: Pair):
    one, two = started(pair, B).labs
    assert not one.ping(None, FLOATING, tries=1)
    assert one.tcp(None, FLOATING, 22)
    two.apply(opened(SECOND, ICMP))
    assert one.ping(None, FLOATING)
    if isinstance(two, FabricLab):
        assert two.ping(B, "198.18.4.1"), "and out by source NAT at the router's host"


def test_services_answer_on_every_host(pair: Pair):
    one, two = started(pair, A, B).labs
    for lab, key, address in ((one, A, "10.1.0.11"), (two, B, "10.1.0.12")):
        lease = lab.lease(key)
        assert lease is not None
        assert (lease["address"], lease["mtu"]) == (address, 1450)
        assert lab.fetch(key, "/latest/x") == (200, f"{NET1} {address} /latest/x")
        assert lab.ping(key, "10.1.0.2"), "the services of the same address on its own host"


def test_a_port_moves_to_the_other_host(pair: Pair, record_property):
    one, two = started(pair, A, B).labs
    assert two.ping(B, "10.1.0.11")
    back = msgspec.structs.replace(far(PORT_A, 1))
    left = msgspec.structs.replace(FIRST, generation=2, ports=[PORT_TWIN_A], remotes=[back, *FIRST.remotes])
    arrived = msgspec.structs.replace(
        SECOND, generation=2, ports=[PORT_A, *SECOND.ports], remotes=[far(PORT_TWIN_A, 0), FAR_LEG]
    )
    if isinstance(two, FabricLab):
        with Watch(two, B, "10.1.0.11") as watch:
            pair.move(A, (left, arrived))
            time.sleep(0.5)
        record_property("silence_ms", round(watch.silence * 1000))
        print(f"longest silence of a port that moved: {watch.silence * 1000:.0f} ms")
        assert watch.silence < 5
    else:
        pair.move(A, (left, arrived))
    assert two.ping(B, "10.1.0.11")
    assert two.ping(A, "10.1.0.1"), "the router, now on the other host"
    assert two.fetch(A, "/x") == (200, f"{NET1} 10.1.0.11 /x")
    assert one.fabric.report().ports == []


def test_the_same_states_twice_change_nothing(pair: Pair):
    labs = started(pair, A, B).labs
    for lab, state in zip(labs, (FIRST, SECOND), strict=True):
        assert lab.apply(state).changes == 0
        if isinstance(lab, FabricLab):
            lab.restart()
            assert lab.apply(state).changes == 0, "a new agent finds its tunnels as they should be"
    assert labs[0].ping(A, "10.1.0.12")


def test_a_host_that_is_told_less_forgets(pair: Pair):
    one, two = started(pair, A, B).labs
    assert one.ping(A, "10.1.0.12")
    before = pair.host_has()
    alone = msgspec.structs.replace(FIRST, generation=2, remotes=[])
    one.apply(alone)
    assert not one.ping(A, "10.1.0.12", tries=1)
    assert one.apply(alone).changes == 0
    assert pair.host_has() == before
    two.apply(HostState(generation=2))
    assert eventually(lambda: [name for name in two.leftovers() if is_inner(name)] == [])
    one.apply(FIRST)
    two.apply(msgspec.structs.replace(SECOND, generation=3))
    two.fabric.open_tap(C)
    assert two.apply(msgspec.structs.replace(SECOND, generation=3)).failed == {}


def test_the_hosts_own_namespaces_stay_as_they_were(pair: Pair):
    if not isinstance(pair, FabricPair):
        pytest.skip("only the kernel's engine has a host to harm")
    before = pair.host_has()
    started(pair, A, B)
    after = pair.host_has()
    grown = [sorted(name[:3] for name in seen - had) for seen, had in zip(after, before, strict=True)]
    assert grown == [["cml"], []], "the cable on the router's host; no tunnel, no rule"


def test_a_host_without_an_address_says_why(pair: Pair):
    if not isinstance(pair, FabricPair):
        pytest.skip("only the kernel's engine has addresses")
    lab = pair.labs[0]
    lab.endpoint = ""
    lab.restart()
    applied = lab.apply(FIRST)
    assert set(applied.failed) == {NET1, NET2}
    assert "network.tunnel_address" in applied.failed[NET1]


def learning_tunnels() -> list[str]:
    """The tunnels of the calling thread's namespace from which a bridge would learn."""
    found = []
    with IPRoute() as route:
        for link in route.get_links():
            kind = link.get_attr("IFLA_LINKINFO")
            if kind is not None and kind.get_attr("IFLA_INFO_KIND") == "vxlan":
                port = kind.get_attr("IFLA_INFO_SLAVE_DATA")
                if port.get_attr("IFLA_BRPORT_LEARNING") or not port.get_attr("IFLA_BRPORT_NEIGH_SUPPRESS"):
                    found.append(link.get_attr("IFLA_IFNAME"))
    return found


class Killed(BaseException):
    """The end of an agent, at a place of the test's choice."""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps")
@pytest.mark.parametrize("place", [2, 5, 8, 10, 12, 14, 18, 25])
def test_an_agent_killed_in_the_middle_is_finished_by_the_next(place: int, monkeypatch: pytest.MonkeyPatch):
    pair = FabricPair()
    one, two = pair.labs
    left = [place]

    def die(before: Any) -> Any:
        def step(self: Links, *words: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return before(self, *words, **more)

        return step

    try:
        with monkeypatch.context() as patch:
            for name in ("_change", "_address", "forward", "neighbour", "tunnel_port"):
                patch.setattr(Links, name, die(getattr(Links, name)))
            with pytest.raises(Killed):
                one.apply(FIRST)
        one.restart()
        started(pair, A, B)
        assert one.apply(FIRST).changes == 0
        assert one.ping(A, "10.1.0.12")
        assert two.tcp(B, "10.1.0.11", 8080)
        assert Namespace(names.fabric(one.mark)).visit(learning_tunnels) == []
    finally:
        pair.close()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps")
def test_floating_addresses_follow_their_router_to_another_host():
    pair = FabricPair({"public": "nic0"})
    outside = outside_of(pair)
    try:
        one, two = started(pair, A, B).labs
        two.apply(opened(SECOND, ICMP))
        assert outside.visit(lambda: ping(FLOATING))
        far_leg = msgspec.structs.replace(FAR_LEG, endpoint=ENDPOINTS[1])
        networks = [*SECOND.networks, FIRST.networks[-1]]
        taken = msgspec.structs.replace(
            opened(SECOND, ICMP), generation=3, networks=networks, routers=[ROUTER], remotes=SECOND.remotes[:2]
        )
        one.apply(msgspec.structs.replace(FIRST, generation=2, routers=[], remotes=[*FIRST.remotes, far_leg]))
        assert not outside.visit(lambda: ping(FLOATING, tries=1))
        assert two.apply(taken).failed == {}
        assert eventually(lambda: outside.visit(lambda: ping(FLOATING)))
        assert one.ping(A, "198.18.4.1"), "the other host's guests leave by it too"
    finally:
        pair.close()
        outside.delete()


class Watch:
    """Pings an address every 10 ms; `silence` is the longest time in seconds without an answer."""

    def __init__(self, lab: FabricLab, key: str, address: str) -> None:
        self.silence = 0.0
        self._ended = threading.Event()
        guest = lab.guests[key]
        self._thread = threading.Thread(target=lambda: guest.space.visit(lambda: self._watch(address)))

    def __enter__(self) -> Watch:
        self._thread.start()
        time.sleep(0.3)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self, address: str) -> None:
        heard = time.monotonic()
        while not self._ended.is_set():
            if ping(address, tries=1, patience=0.02):
                self.silence = max(self.silence, time.monotonic() - heard)
                heard = time.monotonic()
                time.sleep(0.01)
        self.silence = max(self.silence, time.monotonic() - heard)


def large_ping(address: str, size: int) -> bool:
    """Whether an IP packet of `size` bytes comes back whole; it may not be cut on the way."""
    return ping(address, payload=size - 28, whole=True)


def received() -> int:
    """Packets that eth0 of the calling thread's namespace has received."""
    lines = Path("/proc/thread-self/net/dev").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[2]) for line in lines if line.strip().startswith("eth0:"))
