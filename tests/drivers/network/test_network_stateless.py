# SPDX-License-Identifier: Apache-2.0
"""Security groups that know no connections: each packet needs a rule, answers too."""

from __future__ import annotations

import uuid

import pytest
from network_labs import BRIEF, Lab

from cumulet.services.network.drivers.fabric import filters
from cumulet.services.network.types import (
    FixedAddress,
    GroupState,
    HostState,
    LegState,
    NetworkState,
    PortState,
    RouterState,
    RuleState,
    SubnetState,
)

NET, FAR, SUBNET, FAR_SUBNET, ROUTER = (str(uuid.uuid4()) for _ in range(5))
A, B, C = (str(uuid.uuid4()) for _ in range(3))
TRACKED, BARE = (str(uuid.uuid4()) for _ in range(2))
ADDRESS = {A: "10.1.0.11", B: "10.1.0.12", C: "10.2.0.13"}

OUT = RuleState(direction="egress", version=4)
SSH = RuleState(direction="ingress", version=4, protocol=6, low=22, high=22)
SSH_BACK = RuleState(direction="ingress", version=4, protocol=6, low=1024, high=65535)
PING = RuleState(direction="ingress", version=4, protocol=1, low=8)
PONG = RuleState(direction="ingress", version=4, protocol=1, low=0)
ANY_TCP = RuleState(direction="ingress", version=4, protocol=6)


def _port(key: str, group: str, network: str = NET, subnet: str = SUBNET) -> PortState:
    fixed = FixedAddress(address=ADDRESS[key], prefix=24, subnet_id=subnet)
    mac = f"fa:16:3e:00:01:{ADDRESS[key].rpartition('.')[2]}"
    return PortState(id=key, network_id=network, mac=mac, addresses=[fixed], groups=[group])


def _network(key: str, subnet: str, number: int) -> NetworkState:
    prefix = f"10.{number}.0"
    return NetworkState(
        id=key,
        mtu=1450,
        segment=number,
        subnets=[SubnetState(id=subnet, cidr=f"{prefix}.0/24", gateway=f"{prefix}.1")],
    )


def _leg(network: str, number: int) -> LegState:
    mac = f"fa:16:3e:00:0{number}:01"
    return LegState(port_id=str(uuid.uuid4()), network_id=network, mac=mac, addresses=[f"10.{number}.0.1/24"])


LEGS = [_leg(NET, 1), _leg(FAR, 2)]


def state(generation: int, *rules: RuleState, stateful: bool = False) -> HostState:
    """A and C in a group that knows connections and lets TCP and pings in, B in one of these rules."""
    return HostState(
        generation=generation,
        networks=[_network(NET, SUBNET, 1), _network(FAR, FAR_SUBNET, 2)],
        ports=[_port(A, TRACKED), _port(B, BARE), _port(C, TRACKED, FAR, FAR_SUBNET)],
        groups=[
            GroupState(id=TRACKED, rules=[OUT, ANY_TCP, PING]),
            GroupState(id=BARE, rules=list(rules), stateful=stateful),
        ],
        routers=[RouterState(id=ROUTER, legs=LEGS)],
    )


def apply(lab: Lab, wanted: HostState) -> None:
    assert lab.apply(wanted).failed == {}


@pytest.fixture
def begun(lab: Lab) -> Lab:
    apply(lab, state(1, SSH, stateful=True))
    for key in (A, B, C):
        lab.boot(key)
    return lab


def test_a_rule_for_questions_is_none_for_answers(begun: Lab):
    assert begun.tcp(A, ADDRESS[B], 22), "whose group knows connections"
    assert begun.tcp(C, ADDRESS[B], 22), "over a router too"
    apply(begun, state(2, SSH))
    assert not begun.tcp(A, ADDRESS[B], 22, patience=BRIEF), "no rule lets the answer out"
    assert not begun.tcp(C, ADDRESS[B], 22, patience=BRIEF)
    apply(begun, state(3, SSH, OUT))
    assert begun.tcp(A, ADDRESS[B], 22)
    assert begun.tcp(C, ADDRESS[B], 22)
    assert not begun.tcp(A, ADDRESS[B], 23, patience=BRIEF)


def test_answers_need_a_way_in(begun: Lab):
    apply(begun, state(2, OUT, stateful=True))
    assert begun.tcp(B, ADDRESS[A], 22)
    assert begun.ping(B, ADDRESS[C])
    apply(begun, state(3, OUT))
    assert not begun.tcp(B, ADDRESS[A], 22, patience=BRIEF)
    assert not begun.ping(B, ADDRESS[C], tries=1)
    apply(begun, state(4, OUT, SSH_BACK, PONG))
    assert begun.tcp(B, ADDRESS[A], 22)
    assert begun.tcp(B, ADDRESS[C], 22)
    assert begun.ping(B, ADDRESS[A])
    assert not begun.ping(A, ADDRESS[B], tries=1), "which is a question"


def test_the_other_end_still_knows_its_connections(begun: Lab):
    """A lets nothing in that is not TCP or a ping, and gets the answers to its own pings."""
    apply(begun, state(2, OUT, PING))
    assert begun.ping(A, ADDRESS[B])
    assert begun.ping(C, ADDRESS[B])


def test_hosts_without_such_groups_filter_as_before():
    assert "@stateless" not in filters.BridgeTable().of(state(1, SSH, stateful=True)).text()
    assert "@stateless" in filters.BridgeTable().of(state(1, SSH)).text()
