# SPDX-License-Identifier: Apache-2.0
"""The lanes to hosts: what is sent, in which form, and who is told."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import msgspec
import pytest

from cumulet.kernel.errors import Conflict, NotReady
from cumulet.kernel.link.names import NOT_CONNECTED
from cumulet.services.network.flows import converge
from cumulet.services.network.flows.converge import Converger
from cumulet.services.network.types import Applied, HostReport, HostState, NetworkState
from support.waiting import PATIENCE, until


class Hosts:
    """One host that takes what it is sent, unless told otherwise."""

    def __init__(self) -> None:
        self.taken: list[dict] = []
        self.there = True
        self.refuse: list[Exception] = []
        self.generation = 0
        self.epoch = ""
        self.gate = threading.Event()
        self.gate.set()

    def call(self, host: str, verb: str, body: dict, *, timeout: float) -> dict:
        self.gate.wait(PATIENCE)
        if not self.there:
            raise NotReady("gone", code=NOT_CONNECTED)
        if verb == converge.REPORT:
            return msgspec.to_builtins(HostReport(epoch=self.epoch, generation=self.generation))
        if self.refuse:
            raise self.refuse.pop(0)
        self.taken.append(body)
        words = body.get("state") or body["delta"]
        return msgspec.to_builtins(Applied(generation=words["generation"]))


@pytest.fixture
def hosts():
    return Hosts()


@pytest.fixture
def wanted(monkeypatch, hosts):
    """What the rows say; a test changes it. Afterwards no lane is left that would look at other rows."""
    state = SimpleNamespace(networks=[NetworkState(id="n1", mtu=1450)])
    monkeypatch.setattr(converge.snapshot, "take", lambda source, host: None)
    monkeypatch.setattr(converge.statuses, "due", lambda host, rows, state, failed: None)
    monkeypatch.setattr(converge, "compile_host", lambda rows: HostState(networks=list(state.networks)))
    monkeypatch.setattr(converge.agents, "epoch", lambda cloud: "e1")
    monkeypatch.setattr(converge, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(converge, "IDLE", 0.1)
    before = set(threading.enumerate())
    yield state
    hosts.there = False
    hosts.gate.set()
    until(lambda: not any(one.name.startswith("converge ") for one in set(threading.enumerate()) - before))


@pytest.fixture
def settings():
    return SimpleNamespace(database=SimpleNamespace(url=""))


@pytest.fixture
def converger(hosts, wanted, settings):
    return Converger(SimpleNamespace(hosts=hosts, db=None, settings=settings))


def test_the_first_state_is_whole_then_only_changes_are_sent(converger, hosts, wanted):
    converger.wait("h", PATIENCE)
    converger.wait("h", PATIENCE)
    wanted.networks.append(NetworkState(id="n2", mtu=1450))
    converger.wait("h", PATIENCE)
    assert ["state" in body for body in hosts.taken] == [True, False]
    delta = hosts.taken[1]["delta"]
    assert [item["id"] for item in delta["networks"]] == ["n2"]
    assert (delta["base"], delta["generation"]) == (1, 2)


def test_a_host_that_wants_all_gets_all(converger, hosts, wanted):
    converger.wait("h", PATIENCE)
    hosts.refuse = [Conflict("no", code="FullStateNeeded")]
    wanted.networks.append(NetworkState(id="n2", mtu=1450))
    converger.wait("h", PATIENCE)
    assert [item["id"] for item in hosts.taken[-1]["state"]["networks"]] == ["n1", "n2"]


def test_a_host_that_comes_back_gets_a_higher_generation(converger, hosts):
    converger.wait("h", PATIENCE)
    converger.joined("h", HostReport(epoch="e1", generation=41))
    converger.wait("h", PATIENCE)
    assert hosts.taken[-1]["state"]["generation"] == 42


def test_a_host_that_another_replica_has_served_is_asked_what_it_has(converger, hosts, wanted):
    converger.wait("h", PATIENCE)
    hosts.refuse = [Conflict("no", code="FullStateNeeded"), Conflict("no", code="GenerationTooOld")]
    hosts.generation = 17
    wanted.networks.append(NetworkState(id="n2", mtu=1450))
    converger.wait("h", PATIENCE)
    assert hosts.taken[-1]["state"]["generation"] == 18


def test_what_another_replica_has_sent_meanwhile_is_not_taken_for_ours(converger, hosts, wanted, settings):
    """There and back again: the rows are as this replica sent them, the host is as the other one did."""
    settings.database.url = "postgresql://somewhere/cloud"
    converger.wait("h", PATIENCE)
    hosts.generation, hosts.epoch = 1, "e1"
    converger.wait("h", PATIENCE)
    assert len(hosts.taken) == 1
    hosts.generation = 2
    converger.wait("h", PATIENCE)
    assert [body["state"]["generation"] for body in hosts.taken] == [1, 3]


def test_only_hosts_that_are_concerned_are_woken(converger, hosts):
    class Tx:
        def after_commit(self, fn) -> None:
            fn()

    converger.tell(Tx(), {"h"})
    converger.tell(Tx(), set())
    until(lambda: len(hosts.taken) == 1)
    assert list(converger._lanes) == ["h"]


def test_nobody_waits_for_ever_for_a_host_that_is_away(converger, hosts):
    hosts.there = False
    with pytest.raises(NotReady):
        converger.wait("h", 0.2)
    hosts.there = True
    converger.wait("h", PATIENCE)
    assert len(hosts.taken) == 1


def test_those_who_come_during_an_apply_wait_for_the_next(converger, hosts, wanted):
    hosts.gate.clear()
    threads = [threading.Thread(target=converger.wait, args=("h", PATIENCE)) for _ in range(4)]
    for thread in threads:
        thread.start()
    wanted.networks.append(NetworkState(id="n2", mtu=1450))
    hosts.gate.set()
    for thread in threads:
        thread.join(PATIENCE)
    converger.wait("h", PATIENCE)
    seen = {item["id"] for body in hosts.taken for item in (body.get("state") or body["delta"])["networks"]}
    assert seen == {"n1", "n2"}
    assert len(hosts.taken) <= 3


def test_commits_never_wait_for_what_is_written_here(converger, hosts, wanted, monkeypatch):
    """The hooks of a commit wake lanes in the thread that writes: a write under a lane's lock would wait for ever."""
    woken = []

    def epoch(cloud):
        hook = threading.Thread(target=lambda: converger.wake(["host-1"]))
        hook.start()
        hook.join(PATIENCE)
        woken.append(not hook.is_alive())
        return "e1"

    monkeypatch.setattr(converge.agents, "epoch", epoch)
    converger.wait("host-1", PATIENCE * 2)
    assert woken[0]


def test_a_bug_on_the_way_is_tried_again(converger, hosts):
    hosts.refuse = [RuntimeError("once")]
    converger.wait("h", PATIENCE)
    assert len(hosts.taken) == 1
