# SPDX-License-Identifier: Apache-2.0
"""Hosts of several replicas on one database: one link a host, calls by any replica, replicas that die or hang."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cumulet.kernel import errors
from cumulet.kernel.db import Database, migrate
from cumulet.kernel.db.dialects.postgres import Postgres
from cumulet.kernel.link import registry as registry_module
from cumulet.kernel.link.admission import Admission
from cumulet.kernel.link.membership import Membership
from cumulet.kernel.link.outcome import CallTimeout
from cumulet.kernel.link.tls_door import TlsDoor
from cumulet.kernel.link.ways import UnixWay
from support.link import Agent, Replica
from support.waiting import until


@pytest.fixture
def db(empty: Database) -> Database:
    migrate.migrate(empty, {})
    return empty


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replicas that are taken for dead after two seconds."""
    monkeypatch.setattr(registry_module, "BEAT", 0.3)
    monkeypatch.setattr(registry_module, "DEAD", 2.0)
    monkeypatch.setattr(registry_module, "SURE", 1.0)
    monkeypatch.setattr("cumulet.kernel.link.controller.LOOK", 0.2)
    monkeypatch.setattr("cumulet.kernel.link.controller.ORPHANED", 1.0)


Start = Callable[..., Replica]


@pytest.fixture
def start(db: Database, again: Callable[[], Database], tmp_path: Path, closing: ExitStack) -> Start:
    def begin(name: str, **words: Any) -> Replica:
        replica = Replica(again(), tmp_path, f"{name}/control", **words)
        closing.callback(replica.stop)
        return replica.start()

    return begin


def names(replica: Replica) -> list[str]:
    return [info.name for info in replica.hosts.connected()]


@pytest.mark.parametrize("tls", [True, False])
def test_every_replica_reaches_every_host(start: Start, closing: ExitStack, tls: bool) -> None:
    a, b = start("a", tls=tls), start("b", tls=tls)

    def refuse(body: dict[str, Any]) -> None:
        raise errors.Conflict("in use", code="InUse", thing="t")

    verbs = {"double": lambda body: {"value": 2 * body["value"]}, "refuse": refuse, "huge": lambda _: bytes(9_000_000)}
    closing.callback(Agent(a.loop, a.path, verbs, "one").stop)
    closing.callback(Agent(b.loop, b.path, verbs, "two").stop)
    for replica in (a, b):
        assert replica.hosts.wait_for("one", 20)
        assert replica.hosts.wait_for("two", 20)
    assert names(a) == names(b) == ["one", "two"]
    assert [info.replica for info in a.hosts.connected()] == ["a/control", "b/control"]
    for replica in (a, b):
        for host in ("one", "two"):
            assert replica.hosts.call(host, "double", {"value": 4}) == {"value": 8}
            assert replica.hosts.call(host, "double", {"value": 5}, op="saga:1") == {"value": 10}
            with pytest.raises(errors.Conflict, match="in use") as refusal:
                replica.hosts.call(host, "refuse", {})
            assert (refusal.value.code, refusal.value.fields) == ("InUse", {"thing": "t"})
            with pytest.raises(errors.TooLarge):
                replica.hosts.call(host, "huge", {})
            with pytest.raises(errors.TooLarge):
                replica.hosts.call(host, "double", {"bytes": bytes(9_000_000)})
            with pytest.raises(errors.Unsupported):
                replica.hosts.call(host, "unheard.of", {})


def test_a_replica_that_has_no_certificate_yet_is_not_ready_to_relay() -> None:
    door = TlsDoor(Admission.__new__(Admission), "new/control", host="", port=0, address="127.0.0.1", silence=1.0)
    with pytest.raises(errors.NotReady):
        asyncio.run(door.way("127.0.0.1", 1).open())


def test_the_largest_body_crosses_a_relay_both_ways(start: Start, closing: ExitStack) -> None:
    a, b = start("a"), start("b")
    closing.callback(Agent(a.loop, a.path, {"echo": lambda body: body}, "one").stop)
    assert b.hosts.wait_for("one", 20)
    body = {"bytes": bytes(8 * 1024 * 1024 - 200)}
    assert b.hosts.call("one", "echo", body) == body


def test_time_limits_and_cancels_cross_a_relay(start: Start, closing: ExitStack) -> None:
    a, b = start("a"), start("b")
    finish, begun = threading.Event(), []

    def slow(body: dict[str, Any]) -> None:
        begun.append(body["n"])
        finish.wait(20)

    closing.callback(Agent(a.loop, a.path, {"slow": slow}, "one").stop)
    closing.callback(finish.set)
    assert b.hosts.wait_for("one", 20)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(b.hosts.call, "one", "slow", {"id": "x", "n": 1})
        until(lambda: begun == [1])
        with pytest.raises(CallTimeout):
            b.hosts.call("one", "slow", {"id": "x", "n": 2}, timeout=0.2)
        finish.set()
        first.result(20)
    assert b.hosts.call("one", "slow", {"id": "x", "n": 3}) is None
    assert begun == [1, 3]


def test_a_new_link_at_another_replica_replaces_the_old_one(start: Start, closing: ExitStack, tmp_path: Path) -> None:
    a, b = start("a"), start("b")
    joined: list[tuple[str, int]] = []
    gone: list[str] = []
    for name, replica in (("a", a), ("b", b)):
        replica.hosts.on_connect(lambda info, _report, n=name: joined.append((n, info.generation)))
        replica.hosts.on_disconnect(lambda info, n=name: gone.append(n))
    first = Agent(a.loop, a.path, {"who": lambda _: "first"}, "one")
    closing.callback(first.stop)
    assert b.hosts.wait_for("one", 20)
    assert b.hosts.call("one", "who", {}) == "first"
    # The host dials b while a still believes in its link; the first agent would not find back.
    first.uplink._ways[:] = [UnixWay(tmp_path / "nowhere")]
    second = Agent(b.loop, b.path, {"who": lambda _: "second"}, "one")
    closing.callback(second.stop)
    until(lambda: ("b", 2) in joined)
    assert b.hosts.call("one", "who", {}) == "second"
    until(lambda: [info.replica for info in a.hosts.connected()] == ["b/control"])
    assert a.hosts.call("one", "who", {}) == "second"
    assert joined == [("a", 1), ("b", 2)]
    assert gone == []


def test_the_end_of_a_link_is_told_once_and_before_the_next_begins(
    start: Start, closing: ExitStack, tmp_path: Path
) -> None:
    a, b = start("a"), start("b")
    told: list[str] = []
    release = threading.Event()

    def slowly(_info: Any) -> None:
        told.append("gone begins")
        release.wait(5)
        told.append("gone ends")

    a.hosts.on_disconnect(slowly)
    b.hosts.on_disconnect(lambda _info: told.append("gone at b"))
    b.hosts.on_connect(lambda _info, _report: told.append("joined b"))
    first = Agent(a.loop, a.path, {}, "one")
    assert b.hosts.wait_for("one", 20)
    first.stop()
    until(lambda: told == ["gone begins"])
    closing.callback(Agent(b.loop, b.path, {}, "one").stop)
    time.sleep(0.5)
    assert told == ["gone begins"]
    release.set()
    until(lambda: "joined b" in told)
    assert told == ["gone begins", "gone ends", "joined b"]


@pytest.mark.usefixtures("quick")
def test_a_replica_that_was_held_up_hears_nothing_of_a_lost_host(
    start: Start, closing: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = start("a"), start("b")
    heard: list[int] = []
    a.hosts.on_event("news", lambda _host, body: heard.append(body["n"]))
    agent = Agent(a.loop, a.path, {}, "one")
    closing.callback(agent.stop)
    assert b.hosts.wait_for("one", 20)
    agent.uplink.emit("news", {"n": 1})
    until(lambda: heard == [1])
    # The watch of a stands still; its link to the host, half dead, would still deliver.
    look = a.registry.look

    def look_unless_watching() -> registry_module.View:
        if threading.current_thread() is a.hosts._watcher:
            raise errors.NotReady("held up")
        return look()

    monkeypatch.setattr(a.registry, "look", look_unless_watching)
    until(lambda: not a.registry.sure())
    b.registry.claim("one", None, "", {})
    agent.uplink.emit("news", {"n": 2})
    until(lambda: names(a) == [])
    assert heard == [1]


@pytest.mark.usefixtures("quick")
def test_who_never_comes_back_is_told_to_be_gone(start: Start, closing: ExitStack, db: Database) -> None:
    """Replica and host die together: another replica tells it, once."""
    b, c = start("b"), start("c")
    gone: list[tuple[str, str]] = []
    b.hosts.on_disconnect(lambda info: gone.append(("b", info.name)))
    c.hosts.on_disconnect(lambda info: gone.append(("c", info.name)))
    dead = registry_module.Registry(db, "a/control")
    dead.sign_on("unix:/nowhere")
    dead.reported("one", dead.claim("one", None, "1", {}))
    until(lambda: names(b) == names(c) == ["one"])
    with pytest.raises(errors.NotReady, match="cannot be reached"):
        b.hosts.call("one", "x", {})
    until(lambda: names(b) == names(c) == [])
    until(lambda: len(gone) == 1)
    time.sleep(1.0)
    assert len(gone) == 1
    with pytest.raises(errors.NotReady, match="is not connected"):
        b.hosts.call("one", "x", {})
    assert b.registry.find("one").parting is None


@pytest.mark.usefixtures("quick")
def test_a_replica_that_starts_again_tells_of_hosts_that_did_not_return(start: Start, db: Database) -> None:
    before = registry_module.Registry(db, "a/control")
    before.reported("one", before.claim("one", None, "1", {}))
    a = start("a")
    gone: list[str] = []
    a.hosts.on_disconnect(lambda info: gone.append(info.name))
    assert names(a) == []
    until(lambda: gone == ["one"])


@pytest.mark.usefixtures("quick")
def test_a_lonely_replica_writes_nothing_while_it_idles(start: Start) -> None:
    a = start("a")
    time.sleep(1.0)
    before = a.admission.replicas()
    time.sleep(1.0)
    assert a.admission.replicas() == before
    b = start("b")
    until(lambda: a.admission.replicas()[0].beat > before[0].beat)
    b.stop()
    until(lambda: [row.name for row in a.admission.replicas()] == ["a/control"])


def test_a_host_of_a_replica_that_is_new_can_be_called_at_once(
    start: Start, closing: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that is made before the next look must find its way to the host."""
    a = start("a")
    monkeypatch.setattr("cumulet.kernel.link.controller.LOOK", 60.0)
    time.sleep(1.5)  # the watch of a now sleeps for a minute
    b = start("b")
    closing.callback(Agent(b.loop, b.path, {"echo": lambda body: body}, "one").stop)
    assert b.hosts.wait_for("one", 20)
    assert names(a) == []
    assert a.hosts.call("one", "echo", {"a": 1}) == {"a": 1}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("again_at_once", [True, False])
def test_the_end_of_a_replica_is_told_to_those_that_stay(
    start: Start, db: Database, closing: ExitStack, again_at_once: bool
) -> None:
    b = start("b")
    told: list[list[str]] = []
    b.hosts.on_replica_gone(told.append)
    closing.callback(Agent(b.loop, b.path, {}, "one").stop)
    assert b.hosts.wait_for("one", 20)
    other = registry_module.Registry(db, "a/control")
    other.sign_on("unix:/nowhere")
    time.sleep(1.0)
    assert told == []
    assert [(each.name, each.lives) for each in b.hosts.replicas()] == [("a/control", True), ("b/control", True)]
    if again_at_once:
        registry_module.Registry(db, "a/control").sign_on("unix:/nowhere")
    until(lambda: told == [["one"]])
    assert [each.lives for each in b.hosts.replicas()] == [again_at_once, True]


class Other:
    """A replica in a process of its own."""

    def __init__(self, db: Database, folder: Path, name: str) -> None:
        url = db.dialect.url if isinstance(db.dialect, Postgres) else str(folder / "test.db")
        script = Path(__file__).with_name("link_replica.py")
        tests = Path(__file__).parents[2]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), *[path for path in sys.path if path]])}
        self.process = subprocess.Popen(
            [sys.executable, str(script), url, str(folder), f"{name}/control", "0"],
            env=environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.port = int(self.hear("ready").split()[1])

    def hear(self, word: str, seconds: float = 60.0) -> str:
        end = time.monotonic() + seconds
        while not (line := self.lines.get(timeout=end - time.monotonic())).startswith(word):
            pass
        return line

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_hosts_of_a_dead_or_hung_replica_are_elsewhere_within_seconds(
    start: Start, db: Database, tmp_path: Path, closing: ExitStack, number: signal.Signals
) -> None:
    a = Other(db, tmp_path, "a")
    closing.callback(a.stop)
    b = start("b", silence=2.0)
    membership: Membership = b.member(tmp_path)
    membership.keep_urls([f"https://127.0.0.1:{a.port}"])
    ways = membership.ways(2.0)
    membership.keep_urls([b.url])
    agent = Agent(b.loop, ways, {"echo": lambda body: body}, "one")
    closing.callback(agent.stop)
    a.hear("joined one 1")
    assert b.hosts.wait_for("one", 20)
    assert b.hosts.call("one", "echo", {"a": 1}) == {"a": 1}
    agent.uplink._ways.extend(membership.ways(2.0))
    agent.uplink.emit("news", {"n": 1})
    a.hear("news one 1")
    gone: list[str] = []
    b.hosts.on_disconnect(lambda info: gone.append(info.name))
    begin = time.monotonic()
    a.process.send_signal(number)
    until(lambda: [info.replica for info in b.hosts.connected()] == ["b/control"])
    took = time.monotonic() - begin
    assert took < 20, f"it took {took:.1f} s"
    assert b.hosts.call("one", "echo", {"a": 2}) == {"a": 2}
    if number == signal.SIGSTOP:
        a.process.send_signal(signal.SIGCONT)
        agent.uplink.emit("news", {"n": 2})
        time.sleep(2)
        assert not [line for line in a.lines.queue if line.startswith(("gone", "news"))]
    assert gone == []
