# SPDX-License-Identifier: Apache-2.0
"""Hosts are asked for their reports together: one that is slow or gone keeps no other's from being heard."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import NotReady
from cumulet.services.compute import loops
from cumulet.services.compute.logic import power
from cumulet.services.compute.types import PowerState, VmState


def test_a_slow_host_and_one_that_is_gone_delay_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    heard: set[str] = set()

    def call(host: str, verb: str, body: dict[str, Any], *, timeout: float) -> dict[str, Any]:
        if host == "gone":
            raise NotReady("gone")
        if host == "slow" and not answered.wait(20):
            raise NotReady("the quick one was not asked meanwhile")
        if host == "quick":
            answered.set()
        return {"servers": []}

    hosts = SimpleNamespace(
        call=call, connected=lambda: [SimpleNamespace(name=name) for name in ("slow", "gone", "quick")]
    )
    cloud = cast(Cloud, SimpleNamespace(hosts=hosts))
    monkeypatch.setattr(loops.hosts, "joined", lambda cloud, host, report: None)
    monkeypatch.setattr(loops.power, "heard", lambda of, host, servers: heard.add(host) if of is cloud else None)
    loops.look_after_hosts(cloud)
    assert heard == {"slow", "quick"}


@pytest.mark.parametrize(
    ("said", "taken"), [(PowerState.RUNNING, PowerState.RUNNING), (PowerState.NOSTATE, PowerState.SHUTDOWN)]
)
def test_a_server_that_a_report_lacks_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, said: PowerState, taken: PowerState
) -> None:
    """The report may be older than the server."""
    server = SimpleNamespace(id="s", state=VmState.ACTIVE, task_state=None, power_state=PowerState.RUNNING)
    found: list[tuple[Any, PowerState]] = []
    monkeypatch.setattr(power.store, "on_host", lambda source, host: [server])
    monkeypatch.setattr(power.store, "find", lambda source, server_id: server)
    monkeypatch.setattr(power, "sync", lambda cloud, row, state: found.append((row, state)))
    hosts = SimpleNamespace(call=lambda host, verb, body: {"power": int(said)})
    power.heard(cast(Cloud, SimpleNamespace(db=None, hosts=hosts)), "host", {})
    assert found == [(server, taken)]


@pytest.mark.parametrize(("host", "asked"), [("host", ["s"]), ("another", [])])
def test_a_server_that_its_host_says_to_have_changed_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, host: str, asked: list[str]
) -> None:
    """A disk without room has held it; what a host says of servers that moved away is nothing."""
    server = SimpleNamespace(id="s", host="host")
    monkeypatch.setattr(power.store, "find", lambda source, server_id: server)
    found: list[tuple[Any, PowerState]] = []
    monkeypatch.setattr(power, "sync", lambda cloud, row, state: found.append((row.id, state)))
    hosts = SimpleNamespace(call=lambda host, verb, body: {"power": int(PowerState.PAUSED)})
    power.changed(cast(Cloud, SimpleNamespace(db=None, hosts=hosts)), host, "s")
    assert found == [(each, PowerState.PAUSED) for each in asked]
