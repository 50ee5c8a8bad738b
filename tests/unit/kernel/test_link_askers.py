# SPDX-License-Identifier: Apache-2.0
"""Processes that only ask the control plane: what they are told, whom it refuses, what a lost link costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cumulet.kernel import errors
from cumulet.kernel.db import Database, migrate
from cumulet.kernel.link import asker as module
from cumulet.kernel.link import certificates
from cumulet.kernel.link.asker import Asker
from cumulet.kernel.link.controller import Hosts
from cumulet.kernel.link.join import join
from cumulet.kernel.link.membership import Membership
from cumulet.kernel.link.names import CONTROL_NAME
from cumulet.kernel.link.registry import Registry
from cumulet.kernel.link.ways import UnixWay
from cumulet.kernel.loop import Loop
from support.link import Agent, Replica, Wire
from support.waiting import until


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def open_hosts(loop: Loop, empty: Database, tmp_path: Path) -> Iterator[Callable[[], Hosts]]:
    """Opens the control plane's end, as often as it is asked to."""
    migrate.migrate(empty, {})
    opened: list[Hosts] = []

    def start() -> Hosts:
        hosts = Hosts(loop, tmp_path / "link.sock", Registry(empty, "r1/control"))
        hosts.answer("double", lambda who, body: {"who": who, "value": 2 * body["value"]})
        hosts.start()
        opened.append(hosts)
        return hosts

    yield start
    for hosts in opened:
        hosts.stop()


@pytest.fixture
def asker(loop: Loop, tmp_path: Path) -> Iterator[Asker]:
    async def make() -> Asker:
        made = Asker([UnixWay(tmp_path / "link.sock")], "objects")
        made.start()
        return made

    made = loop.wait(make())
    yield made
    loop.wait(made.stop())


def ask(loop: Loop, asker: Asker, verb: str = "double", **body: Any) -> Any:
    return loop.wait(asker.call(verb, body))


def test_who_asks_is_answered_and_is_no_host(loop: Loop, open_hosts: Callable[[], Hosts], asker: Asker) -> None:
    hosts = open_hosts()
    assert ask(loop, asker, value=21) == {"who": "objects", "value": 42}
    assert hosts.connected() == []
    with pytest.raises(errors.Unsupported):
        ask(loop, asker, "triple")
    with pytest.raises(errors.NotReady):  # a bug on the other side
        ask(loop, asker)


def test_it_asks_on_when_the_control_plane_is_back(
    loop: Loop, open_hosts: Callable[[], Hosts], asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_hosts()
    ask(loop, asker, value=1)
    first.stop()
    monkeypatch.setattr(module, "WAIT", 0.05)
    until(lambda: not asker.status.way)
    with pytest.raises(errors.NotReady):
        ask(loop, asker, value=1)
    monkeypatch.setattr(module, "WAIT", 20.0)
    open_hosts()
    assert ask(loop, asker, value=4)["value"] == 8


def test_nobody_else_can_come_to_the_socket(open_hosts: Callable[[], Hosts], tmp_path: Path) -> None:
    open_hosts()
    assert (tmp_path / "link.sock").stat().st_mode & 0o777 == 0o600


def test_a_host_is_not_told_what_processes_of_the_machine_are(
    loop: Loop, open_hosts: Callable[[], Hosts], tmp_path: Path
) -> None:
    hosts = open_hosts()
    agent = Agent(loop, tmp_path / "link.sock", {})
    try:
        assert hosts.wait_for("one", 10)
        with pytest.raises(errors.Unsupported):
            agent.uplink.call("double", {"value": 1})
    finally:
        agent.stop()


@pytest.mark.parametrize("name", ["", "../x", 7, None], ids=["none", "path", "number", "null"])
def test_who_does_not_say_its_name_is_refused(open_hosts: Callable[[], Hosts], tmp_path: Path, name: object) -> None:
    open_hosts()
    wire = Wire(tmp_path / "link.sock")
    try:
        wire.send(kind="hello", body={"asks": name, "frames": 1, "oldest": 1})
        assert "refused" in wire.hear_kind("hello").body
    finally:
        wire.socket.close()


@pytest.fixture
def replica(empty: Database, tmp_path: Path) -> Iterator[Replica]:
    migrate.migrate(empty, {})
    replica = Replica(empty, tmp_path)
    replica.hosts.answer("secret", lambda _who, _body: {"secret": "x"})
    replica.hosts.answer("double", lambda who, body: {"who": who, "value": 2 * body["value"]}, afar=True)
    yield replica.start()
    replica.stop()


@pytest.fixture
def from_afar(replica: Replica) -> Iterator[Callable[[Membership], Asker]]:
    """Has a process of a host that has joined ask by its certificate."""
    made: list[Asker] = []

    async def make(membership: Membership) -> Asker:
        made.append(Asker(membership.ways(10.0), "objects"))
        made[-1].start()
        return made[-1]

    yield lambda membership: replica.loop.wait(make(membership))
    for each in made:
        replica.loop.wait(each.stop())


def test_who_has_joined_may_ask_what_is_answered_from_afar(
    replica: Replica, from_afar: Callable[[Membership], Asker], tmp_path: Path
) -> None:
    asker = from_afar(replica.member(tmp_path))
    assert ask(replica.loop, asker, value=21) == {"who": "one/objects", "value": 42}
    assert replica.hosts.connected() == []
    for verb in ("secret", "link.renew", "link.report", "link.relay"):
        with pytest.raises(errors.Unsupported):
            ask(replica.loop, asker, verb)


@pytest.mark.parametrize("what", ["revoke", "remove"])
def test_whose_host_is_cut_off_may_ask_no_more(
    replica: Replica, from_afar: Callable[[Membership], Asker], tmp_path: Path, what: str
) -> None:
    member, other = replica.member(tmp_path), replica.member(tmp_path, "two")
    asker, another = from_afar(member), from_afar(other)
    ask(replica.loop, asker, value=1)
    ask(replica.loop, another, value=1)
    getattr(replica.admission, what)("one")
    until(lambda: any(word in asker.status.trouble for word in ("has been revoked", "has not joined")))
    with pytest.raises(errors.NotReady):
        ask(replica.loop, asker, value=1)
    late = from_afar(member)
    until(lambda: " has " in late.status.trouble)
    assert ask(replica.loop, another, value=2)["value"] == 4


def test_whoever_joins_in_ones_place_asks_alone(
    replica: Replica, from_afar: Callable[[Membership], Asker], tmp_path: Path
) -> None:
    first = from_afar(replica.member(tmp_path))
    ask(replica.loop, first, value=1)
    second = Membership(tmp_path / "again")
    join(replica.admission.new_token(60, "one"), [replica.url], "one", second)
    until(lambda: "has been replaced" in first.status.trouble)
    assert ask(replica.loop, from_afar(second), value=2)["value"] == 4


def test_a_replica_does_not_ask(replica: Replica) -> None:
    authority = replica.admission.authority
    made = authority.issue_replica("r9/control", "127.0.0.1")
    wire = Wire(replica.port, certificates.client_context(authority.certificate, *made), CONTROL_NAME)
    try:
        wire.send(kind="hello", body={"asks": "objects", "frames": 1, "oldest": 1})
        assert "may ask" in wire.hear_kind("hello").body["refused"]
    finally:
        wire.socket.close()
