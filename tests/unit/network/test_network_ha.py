# SPDX-License-Identifier: Apache-2.0
"""HA routers in the control plane: on which hosts they are, what these say of them, and who is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from test_network_hosts import ENDPOINTS, TwoFakeHosts

from cumulet.services.network import loops
from cumulet.services.network.drivers.fabric import fence, nft
from cumulet.services.network.drivers.fabric.election import DEAD, FIRST, STEP, Candidate, Follower, Word
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.drivers.fabric.options import FabricOptions
from cumulet.services.network.drivers.fabric.roles import Roles
from cumulet.services.network.logic import scheduling
from cumulet.services.network.store import lookups
from cumulet.services.network.types import HaState, RouterState
from support.waiting import until


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoFakeHosts]:
    with pytest.MonkeyPatch.context() as patch:
        place = TwoFakeHosts(tmp_path_factory.mktemp("ha"), patch)
        yield place
        place.end_second()
        place.running.close()


def agents_of(two: TwoFakeHosts, router: str) -> dict[str, str | None]:
    found = two.api("GET", f"routers/{router}/l3-agents", admin=True)["agents"]
    return {one["host"]: one["ha_state"] for one in found}


def make(two: TwoFakeHosts, **words: object) -> str:
    project = two.words["PROJECT_ID"]
    body = {"router": {"project_id": project, **words}}
    key: str = two.api("POST", "routers", body, admin=True)["router"]["id"]
    return key


def ha_of(two: TwoFakeHosts, host: str, router: str) -> HaState | None:
    found: list[RouterState] = [one for one in two.state(host).routers if one.id == router]
    return found[0].ha if found else None


def test_two_hosts_share_a_router_and_another_takes_over(two: TwoFakeHosts):
    network = two.make_network(21)
    near, far = two.boot(network, "host-1"), two.boot(network, "host-2")
    subnet = two.api("GET", f"networks/{network}")["network"]["subnets"][0]
    router = make(two, ha=True)
    leg = two.api("PUT", f"routers/{router}/add_router_interface", {"subnet_id": subnet})
    port = two.api("GET", f"ports/{leg['port_id']}", admin=True)["port"]
    assert port["device_owner"] == "network:ha_router_replicated_interface"
    until(lambda: sorted(agents_of(two, router).values(), key=str) == ["active", "standby"])
    first = port["binding:host_id"]
    second = next(host for host in ENDPOINTS if host != first)
    assert agents_of(two, router) == {first: "active", second: "standby"}
    until(lambda: ha_of(two, second, router) is not None)
    assert ha_of(two, first, router) == HaState(rank=0, others=[ENDPOINTS[second]], active=True)
    assert ha_of(two, second, router) == HaState(rank=1, others=[ENDPOINTS[first]], active=False)
    for host, other in ((first, second), (second, first)):
        until(lambda host=host: leg["port_id"] in two.remotes(host))
        remote = next(one for one in two.state(host).remotes if one.id == leg["port_id"])
        assert (remote.endpoint, remote.router, remote.standbys) == (ENDPOINTS[other], router, [])
    for host in (first, second):
        agent = two.agent(host, "L3%20agent")
        there = two.api("GET", f"agents/{agent['id']}/l3-routers", admin=True)["routers"]
        assert [one["ha"] for one in there if one["id"] == router] == [True]

    agent = two.agent(first, "L3%20agent")
    two.api("DELETE", f"agents/{agent['id']}/l3-routers/{router}", admin=True)
    until(lambda: agents_of(two, router) == {second: "active"})
    until(lambda: ha_of(two, first, router) is None)
    assert two.hosts_of(leg) == {second}
    two.api("POST", f"agents/{agent['id']}/l3-routers", {"router_id": router}, admin=True)
    until(lambda: agents_of(two, router) == {second: "active", first: "standby"})

    two.api("PUT", f"routers/{router}", {"router": {"admin_state_up": False}}, admin=True)
    two.api("PUT", f"routers/{router}", {"router": {"ha": False}}, admin=True)
    port = two.api("GET", f"ports/{leg['port_id']}", admin=True)["port"]
    assert port["device_owner"] == "network:router_interface"
    until(lambda: ha_of(two, second, router) is None and two.state(first).routers == [])
    assert agents_of(two, router) == {second: None}
    two.api("PUT", f"routers/{router}", {"router": {"ha": True, "admin_state_up": False}}, admin=True)
    assert set(agents_of(two, router)) == {first, second}
    two.api("PUT", f"routers/{router}/remove_router_interface", {"subnet_id": subnet})
    two.api("DELETE", f"routers/{router}", admin=True)
    for info in (near, far):
        two.api("DELETE", f"ports/{info.id}", admin=True)
    until(lambda: two.state("host-1").networks == [] and two.state("host-2").networks == [])


def test_a_port_on_a_network_of_the_router_concerns_the_host_that_stands_by(two: TwoFakeHosts):
    network = two.make_network(22)
    subnet = two.api("GET", f"networks/{network}")["network"]["subnets"][0]
    router = make(two, ha=True)
    leg = two.api("PUT", f"routers/{router}/add_router_interface", {"subnet_id": subnet})
    until(lambda: "active" in agents_of(two, router).values())
    active = two.hosts_of(leg).pop()
    standby = next(host for host in ENDPOINTS if host != active)
    guest = two.boot(network, active)
    until(lambda: guest.id in two.remotes(standby))
    two.api("DELETE", f"ports/{guest.id}", admin=True)
    until(lambda: guest.id not in two.remotes(standby))
    two.api("PUT", f"routers/{router}/remove_router_interface", {"subnet_id": subnet})
    until(lambda: two.state(standby).networks == [])
    two.api("DELETE", f"routers/{router}", admin=True)
    until(lambda: two.state("host-1").routers == [] and two.state("host-2").routers == [])


def test_another_host_is_named_when_one_is_dead_or_disabled(two: TwoFakeHosts):
    router = make(two, ha=True)
    until(lambda: "active" in agents_of(two, router).values())
    two.end_second()
    loops.rescue_routers(two.cloud)
    until(lambda: agents_of(two, router) == {"host-1": "active", "host-2": "standby"})
    two.begin_second()
    until(lambda: agents_of(two, router) == {"host-1": "active", "host-2": "standby"})
    agent = two.agent("host-1", "L3%20agent")
    two.api("PUT", f"agents/{agent['id']}", {"agent": {"admin_state_up": False}}, admin=True)
    try:
        loops.rescue_routers(two.cloud)
        until(lambda: agents_of(two, router) == {"host-2": "active"})
        until(lambda: ha_of(two, "host-1", router) is None)
    finally:
        two.api("PUT", f"agents/{agent['id']}", {"agent": {"admin_state_up": True}}, admin=True)
    two.api("DELETE", f"routers/{router}", admin=True)
    until(lambda: two.state("host-1").routers == [] and two.state("host-2").routers == [])


def test_a_router_leaves_a_host_that_has_not_the_wire_of_its_network(
    two: TwoFakeHosts, monkeypatch: pytest.MonkeyPatch
):
    network = two.make_network(23)
    subnet = two.api("GET", f"networks/{network}")["network"]["subnets"][0]
    router = make(two, ha=True)
    until(lambda: "active" in agents_of(two, router).values())
    assert set(agents_of(two, router)) == set(ENDPOINTS)
    with monkeypatch.context() as patch:
        patch.setattr(lookups, "wires_of", lambda *_: frozenset({("vlan", "physnet1")}))
        patch.setattr(scheduling, "has_wires", lambda agent, _: agent.host == "host-2")
        two.api("PUT", f"routers/{router}/add_router_interface", {"subnet_id": subnet})
    until(lambda: agents_of(two, router) == {"host-2": "active"})
    until(lambda: ha_of(two, "host-1", router) is None)
    two.api("PUT", f"routers/{router}/remove_router_interface", {"subnet_id": subnet})
    two.api("DELETE", f"routers/{router}", admin=True)
    until(lambda: two.state("host-1").routers == [] and two.state("host-2").routers == [])


def candidate(rank: int, *, hint: bool = False) -> Candidate:
    return Candidate("r", rank, frozenset({"a", "b"}), hint, 100.0)


def test_who_is_to_begin_begins_sooner_and_others_wait_in_their_order():
    begins = {name: _begins(one) for name, one in (
        ("hint", candidate(0, hint=True)), ("first", candidate(0)), ("second", candidate(1)))}  # fmt: skip
    assert begins == {"hint": FIRST, "first": DEAD, "second": DEAD + STEP}


def _begins(one: Candidate) -> float:
    waited = 0.0
    while not one.tick(100.0 + waited):
        waited += 0.25
    return waited


def test_nobody_takes_over_from_one_that_is_heard():
    one = candidate(0)
    for second in range(20):
        assert one.hear("b", Word("r", 3, 1, True), 100.0 + second) is (second == 0)
        assert not one.tick(100.0 + second)
    assert one.leader == "b"
    assert one.tick(119.0 + DEAD)
    assert one.term == 4


def test_one_that_ends_by_its_own_will_is_followed_at_once():
    one = candidate(0)
    one.hear("b", Word("r", 3, 1, True), 100.0)
    one.hear("a", Word("r", 3, 1, False), 100.0)
    assert not one.tick(100.1), "it was not the one"
    one.hear("b", Word("r", 3, 1, False), 100.2)
    assert one.tick(100.2)


@pytest.mark.parametrize(
    ("word", "gives_way"),
    [
        pytest.param(Word("r", 1, 1, True), False, id="same-term-later"),
        pytest.param(Word("r", 1, 0, True), True, id="same-term-earlier"),
        pytest.param(Word("r", 2, 9, True), True, id="newer-term"),
    ],
)
def test_of_two_that_forward_one_gives_way(word: Word, gives_way: bool):
    one = candidate(0 if not gives_way else 1, hint=True)
    assert one.tick(100.0 + FIRST)
    assert one.hear("b", word, 110.0) is gives_way
    assert one.active is not gives_way


def test_an_old_term_counts_again_when_the_newer_one_is_silent():
    one = Follower()
    assert one.hear("a", Word("r", 5, 0, True), 100.0)
    assert not one.hear("b", Word("r", 1, 0, True), 101.0)
    assert one.hear("b", Word("r", 1, 0, True), 100.0 + DEAD)
    assert one.leader == "b"


def test_no_lease_is_renewed_that_went_with_its_fence(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Else a host whose last shared router is gone complains with each word that it hears of others."""

    def refuse(live: set[str]) -> None:
        raise nft.RulesRefused("no such table")

    monkeypatch.setattr(fence, "guard", lambda *_: True)
    monkeypatch.setattr(fence, "renew", refuse)
    roles = Roles(FabricOptions(mark="abcdef"), Namespace("cumulet-abcdef"), lambda _: None)
    roles._live, roles._has_fence = {"rt-1"}, True
    assert roles.guard(thorough=False)
    roles._speak()
    roles.close()
    assert caplog.records == []
