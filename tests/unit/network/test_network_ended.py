# SPDX-License-Identifier: Apache-2.0
"""Which of the connections that rules have ended go on as rules allow them again."""

from __future__ import annotations

import msgspec
import pytest

from cumulet.services.network.types import (
    AddressPair,
    FixedAddress,
    GroupState,
    HostState,
    NetworkState,
    PortState,
    RemoteState,
    RuleState,
    ended,
)
from cumulet.services.network.types.connections import Connection, Judge, TcpState, condemned, favoured, suspects

NETWORK, SERVER, CLIENT = "net", "server", "client"
SSH = RuleState(direction="ingress", version=4, protocol=6, low=22, high=22)
WITH, WITHOUT = GroupState(id="g", rules=[SSH]), GroupState(id="g")
FAR = RemoteState(id=CLIENT, network_id=NETWORK, mac="", addresses=["10.0.0.9"], endpoint="192.0.2.2")
BEGUN = Connection(
    network_id=NETWORK,
    protocol=6,
    source="10.0.0.9",
    destination="10.0.0.5",
    source_port=40000,
    destination_port=22,
    seconds=432000,
    tcp=TcpState(state=3, scales=(7, 7)),
)


def state(group: GroupState, *pairs: str, server: str = SERVER, far: RemoteState | None = FAR) -> HostState:
    port = PortState(
        id=server,
        network_id=NETWORK,
        mac="fa:16:3e:00:00:05",
        addresses=[FixedAddress(subnet_id="s", address="10.0.0.5", prefix=24)],
        pairs=[AddressPair(mac="fa:16:3e:00:00:05", cidr=cidr) for cidr in pairs],
        groups=["g"],
    )
    return HostState(
        generation=1,
        networks=[NetworkState(id=NETWORK, mtu=1450)],
        ports=[port],
        groups=[group],
        remotes=[far] if far is not None else [],
    )


def go_on(one: Connection, *states: HostState, memory: ended.Ended | None = None, now: float = 0.0) -> list[Connection]:
    """What goes on in the last of these states, of what was ended in the second, at second 0."""
    kept = memory if memory is not None else ended.Ended()
    first, second, *_ = states
    found = suspects(first, second).get(NETWORK)
    ending = list(condemned(Judge(second), NETWORK, found, [one])) if found is not None else []
    kept.keep(ending, Judge(first), Judge(second), 0.0)
    return ended.resumed(kept.all(), Judge(states[-1]), favoured(states[-2], states[-1]), now)


def test_it_goes_on_with_the_rule():
    assert go_on(BEGUN, state(WITH), state(WITHOUT), state(WITH)) == [BEGUN]


def test_nothing_goes_on_that_nobody_favours():
    assert go_on(BEGUN, state(WITH), state(WITHOUT), state(WITHOUT)) == []


def test_it_goes_on_with_the_pair():
    one = msgspec.structs.replace(BEGUN, destination="10.0.0.77")
    pair = state(WITH, "10.0.0.77/32")
    assert go_on(one, pair, state(WITH), pair) == [one]
    assert go_on(one, pair, state(WITH), state(WITH)) == []


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (state(WITH, server="heir"), "the server's address is another port's"),
        (state(WITH, far=msgspec.structs.replace(FAR, id="heir")), "the client's is another's"),
        (state(WITH, far=None), "the client is gone"),
    ],
    ids=["another-server", "another-client", "no-client"],
)
def test_nobody_inherits(last: HostState, why: str):
    assert go_on(BEGUN, state(WITH), state(WITHOUT), last) == [], why


@pytest.mark.parametrize(("number", "goes"), [(1, False), (2, False), (3, True), (6, True), (7, False), (8, False)])
def test_only_what_stood_goes_on(number: int, goes: bool):
    one = msgspec.structs.replace(BEGUN, tcp=TcpState(state=number))
    assert bool(go_on(one, state(WITH), state(WITHOUT), state(WITH))) is goes


def test_it_is_remembered_for_a_while_and_no_longer_than_the_kernel_would():
    states = state(WITH), state(WITHOUT), state(WITH)
    assert go_on(BEGUN, *states, now=ended.KEPT - 1)
    assert not go_on(BEGUN, *states, now=ended.KEPT + 1)
    assert not go_on(msgspec.structs.replace(BEGUN, seconds=30), *states, now=31)


def test_memory_has_an_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ended, "MOST", 2)
    memory = ended.Ended()
    for number in (1, 2, 3):
        one = msgspec.structs.replace(BEGUN, source_port=number)
        go_on(one, state(WITH), state(WITHOUT), memory=memory)
    assert [held.one.source_port for held in memory.all()] == [2, 3]
    memory.forget([SERVER], 0.0)
    assert not memory


def test_what_ended_with_its_port_is_not_kept():
    memory = ended.Ended()
    gone = msgspec.structs.replace(state(WITH), ports=[])
    go_on(BEGUN, state(WITH), gone, memory=memory)
    assert not memory
