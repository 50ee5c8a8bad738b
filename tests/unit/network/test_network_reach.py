# SPDX-License-Identifier: Apache-2.0
"""What packets would meet: IPv4 hides behind its router, IPv6 does not; and how that is told."""

from __future__ import annotations

import msgspec
import pytest

from cumulet.services.network.types import (
    FixedAddress,
    GatewayState,
    GroupState,
    HostState,
    LegState,
    NetworkState,
    PortState,
    RemoteState,
    RouterState,
    RuleState,
    reach,
)

PORT = PortState(
    id="p", network_id="n", mac="fa:16:3e:00:00:01", groups=["g"],
    addresses=[
        FixedAddress(address="10.1.0.5", prefix=24, subnet_id="s4"),
        FixedAddress(address="fd00:1::5", prefix=64, subnet_id="s6"),
    ],
)  # fmt: skip
GATEWAY = GatewayState(
    leg=LegState(port_id="gw", network_id="x", mac="fa:16:3e:00:00:02", addresses=["198.18.4.10/24", "fd00:9::10/64"])
)
LEG = LegState(port_id="leg", network_id="n", mac="fa:16:3e:00:00:03", addresses=["10.1.0.1/24", "fd00:1::1/64"])
STATE = HostState(
    networks=[NetworkState(id="n", mtu=1450), NetworkState(id="x", mtu=1500, physical="public")],
    ports=[PORT],
    groups=[GroupState(id="g", rules=[RuleState(direction="ingress", version=version) for version in (4, 6)])],
    routers=[RouterState(id="r", legs=[LEG], gateway=GATEWAY)],
)


def arrives(destination: str, source: str, **words: object) -> bool:
    router = msgspec.structs.replace(STATE.routers[0], gateway=msgspec.structs.replace(GATEWAY, **words))
    state = msgspec.structs.replace(STATE, routers=[router])
    return reach.reaches(state, reach.Packet(destination=destination, source=source))


def test_source_nat_hides_ipv4_alone():
    assert arrives("fd00:1::5", "fd00:99::1")
    assert not arrives("10.1.0.5", "192.0.2.1")
    assert arrives("10.1.0.5", "192.0.2.1", snat=False)


@pytest.mark.parametrize("destination", ["fd00:1::6", "fd00:2::5"])
def test_what_nobody_has_is_not_reached(destination):
    assert not arrives(destination, "fd00:99::1")


def test_groups_still_decide():
    closed = msgspec.structs.replace(STATE, groups=[GroupState(id="g")])
    assert not reach.reaches(closed, reach.Packet(destination="fd00:1::5", source="fd00:99::1"))


OUT = RuleState(direction="egress", version=4)


def said(state: HostState, destination: str, others: dict[str, HostState] | None = None) -> list[str]:
    here = reach.Place(state=state, others=others or {})
    arrives = reach.passes(here, reach.Packet(port="p", destination=destination, low=80, high=80))
    return [*here.said, str(arrives)]


@pytest.mark.parametrize(
    ("destination", "rules", "words"),
    [
        ("198.18.9.9", [OUT], ["may send from 10.1.0.5", "g lets it pass", "r lets out as from 198.18.4.10", "True"]),
        ("198.18.9.9", [], ["may send from 10.1.0.5", "no rule of its security groups (g) lets it pass", "False"]),
        ("10.1.0.99", [OUT], ["may send", "lets it pass", "no port of the network has 10.1.0.99", "False"]),
        ("198.18.4.10", [OUT], ["may send", "lets it pass", "r lets out as from", "True"]),
    ],
)
def test_each_station_is_told(destination: str, rules: list[RuleState], words: list[str]):
    found = said(msgspec.structs.replace(STATE, groups=[GroupState(id="g", rules=rules)]), destination)
    assert [expected for expected, station in zip(words, found, strict=True) if expected not in station] == []


def test_the_way_to_another_host_is_told():
    network = NetworkState(id="n", mtu=1450, segment=7)
    far = PortState(
        id="q", network_id="n", mac="fa:16:3e:00:00:09", groups=["h"],
        addresses=[FixedAddress(address="10.1.0.9", prefix=24, subnet_id="s4")],
    )  # fmt: skip
    here = msgspec.structs.replace(
        STATE,
        networks=[network],
        routers=[],
        groups=[GroupState(id="g", rules=[OUT])],
        remotes=[RemoteState(id="q", network_id="n", mac=far.mac, addresses=["10.1.0.9"], endpoint="192.0.2.2")],
    )
    there = HostState(networks=[network], ports=[far], groups=[GroupState(id="h")])
    found = said(here, "10.1.0.9", {"192.0.2.2": there})
    assert found[2] == "it goes through the tunnel to another host"
    assert "ingress of port q: no rule" in found[3]
    assert found[4] == "False"


def test_what_cannot_even_begin_is_told():
    off = msgspec.structs.replace(STATE, ports=[msgspec.structs.replace(PORT, up=False)])
    assert said(off, "10.1.0.9") == ["port p is switched off", "False"]
    assert said(HostState(), "10.1.0.9") == ["port p is not on the host", "False"]
