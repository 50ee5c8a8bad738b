# SPDX-License-Identifier: Apache-2.0
"""What routers count for metering labels: what passes their gateway, in the life of their counters."""

from __future__ import annotations

import os
import uuid

import msgspec
import pytest
from network_labs import HOST_ADDRESS, FabricLab, FakeLab, ping

from cumulet.services.network.drivers.fabric import meters
from cumulet.services.network.types import (
    FixedAddress,
    GatewayState,
    GroupState,
    HostState,
    LegState,
    NetworkState,
    PortState,
    RouterState,
    RuleState,
    SubnetState,
)
from cumulet.services.network.types.meters import MeterReading, MeterRuleState, MeterState

NET, PUBLIC, GROUP, GUEST, OTHER = (str(uuid.uuid4()) for _ in range(5))
OUTSIDE = HOST_ADDRESS.split("/")[0]
INSIDE = {GUEST: "10.1.0.11", OTHER: "10.1.0.12"}


def _leg(network: str, number: int, address: str) -> LegState:
    mac = f"fa:16:3e:00:08:0{number}"
    return LegState(port_id=str(uuid.uuid4()), network_id=network, mac=mac, addresses=[address])


def _port(key: str, number: int) -> PortState:
    address = FixedAddress(address=INSIDE[key], prefix=24, subnet_id="s")
    return PortState(id=key, network_id=NET, mac=f"fa:16:3e:00:08:1{number}", addresses=[address], groups=[GROUP])


ROUTER = RouterState(
    id=str(uuid.uuid4()),
    legs=[_leg(NET, 1, "10.1.0.1/24")],
    gateway=GatewayState(leg=_leg(PUBLIC, 2, f"{OUTSIDE[:-1]}9/24"), nexthop=OUTSIDE),
)


def meter(*rules: MeterRuleState) -> MeterState:
    return MeterState(id=str(uuid.uuid4()), project_id="p", rules=list(rules))


ALL = meter(MeterRuleState(direction="egress", source="0.0.0.0/0"))
IN = meter(MeterRuleState(direction="ingress", destination="10.1.0.0/24"))
SOME = meter(
    MeterRuleState(direction="egress", source="10.1.0.0/24"),
    MeterRuleState(direction="egress", source="10.1.0.11/32", excluded=True),
)
TO = meter(
    MeterRuleState(direction="egress", source=f"{INSIDE[OTHER]}/32", destination=f"{OUTSIDE}/24"),
    MeterRuleState(direction="egress", source="10.1.0.0/16"),
    MeterRuleState(direction="egress", source="10.1.0.0/16", destination="2001:db8::/64"),
)
SIX = meter(MeterRuleState(direction="egress", source="::/0"))
NONE = meter()


def state(generation: int, *counted: MeterState) -> HostState:
    rules = [RuleState(direction=direction, version=4) for direction in ("egress", "ingress")]
    return HostState(
        generation=generation,
        networks=[
            NetworkState(
                id=NET, mtu=1450, segment=1, subnets=[SubnetState(id="s", cidr="10.1.0.0/24", gateway="10.1.0.1")]
            ),
            NetworkState(id=PUBLIC, mtu=1500, physical="public"),
        ],
        ports=[_port(GUEST, 1), _port(OTHER, 2)],
        groups=[GroupState(id=GROUP, rules=rules)],
        routers=[msgspec.structs.replace(ROUTER, meters=list(counted))],
    )


@pytest.fixture(params=["fake", pytest.param("fabric", marks=pytest.mark.root)])
def place(request):
    if request.param == "fabric" and os.geteuid() != 0:
        pytest.skip("needs root: makes namespaces and taps")
    lab = FakeLab() if request.param == "fake" else FabricLab()
    yield lab
    lab.close()


def send(lab: FakeLab | FabricLab, port: str) -> None:
    """One ping to the outside, and its answer."""
    if isinstance(lab, FabricLab):
        assert lab.guests[port].space.visit(lambda: ping(OUTSIDE, tries=1, patience=10))
    else:
        lab.fabric.forward(ROUTER.id, "egress", INSIDE[port], OUTSIDE, 28)
        lab.fabric.forward(ROUTER.id, "ingress", OUTSIDE, INSIDE[port], 28)


def counted(lab: FakeLab | FabricLab, wanted: HostState) -> dict[str, MeterReading]:
    return {each.label_id: each for each in lab.fabric.meters(wanted.routers)}


def test_each_label_counts_what_its_rules_mean_once(place):
    wanted = state(1, ALL, IN, SOME, TO, SIX, NONE)
    assert place.apply(wanted).failed == {}
    for port in INSIDE:
        place.boot(port)
        send(place, port)
    found = counted(place, wanted)
    packets = {key: each.packets for key, each in found.items()}
    assert packets == {ALL.id: 2, IN.id: 2, SOME.id: 1, TO.id: 2, SIX.id: 0, NONE.id: 0}
    assert {found[ALL.id].bytes, found[IN.id].bytes} == {2 * 28}
    assert all((each.router_id, each.project_id) == (ROUTER.id, "p") for each in found.values())


def test_counters_live_through_changes_and_restarts(place):
    place.apply(state(1, ALL, IN))
    place.boot(GUEST)
    send(place, GUEST)
    first = counted(place, state(1, ALL, IN))
    changed = msgspec.structs.replace(ALL, rules=[MeterRuleState(direction="egress", source="10.9.0.0/16")])
    wanted = state(2, changed, SOME)
    assert place.apply(wanted).changes > 0
    assert place.apply(wanted).changes == 0
    send(place, GUEST)
    found = counted(place, wanted)
    assert found.keys() == {ALL.id, SOME.id}
    assert found[ALL.id] == first[ALL.id]
    if isinstance(place, FabricLab):
        place.restart()
        assert place.apply(wanted).changes == 0
        assert counted(place, wanted) == found
    place.apply(state(3))
    assert counted(place, state(3)) == {}
    assert counted(place, state(3, ALL)).keys() == (set() if isinstance(place, FabricLab) else {ALL.id})


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps")
def test_a_new_life_of_the_counters_has_a_new_name():
    lab = FabricLab()
    try:
        wanted = state(1, ALL)
        lab.apply(wanted)
        before = counted(lab, wanted)[ALL.id]
        lab.apply(state(2))
        lab.apply(state(3, ALL))
        after = counted(lab, state(3, ALL))[ALL.id]
        assert before.born != after.born
        assert after.packets == 0
    finally:
        lab.close()


def test_a_rule_between_two_ip_versions_means_nothing():
    lines = list(meters.commands([TO]))
    assert len([line for line in lines if "counter name" in line]) == len(TO.rules) - 1
    assert "2001:db8" not in "".join(lines)
