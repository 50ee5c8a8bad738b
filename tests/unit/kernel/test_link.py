# SPDX-License-Identifier: Apache-2.0
"""The link between a control plane and its hosts, over real UNIX sockets."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cumulet.kernel import errors
from cumulet.kernel.db import Database, migrate
from cumulet.kernel.link import frames
from cumulet.kernel.link.controller import HostInfo, Hosts
from cumulet.kernel.link.frames import Frame
from cumulet.kernel.link.outcome import CallTimeout, RemoteFailure
from cumulet.kernel.link.registry import Registry
from cumulet.kernel.loop import Loop
from support.link import Agent, Wire
from support.waiting import until

Body = dict[str, Any]


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "link.sock"


@pytest.fixture
def registry(empty: Database) -> Registry:
    migrate.migrate(empty, {})
    return Registry(empty, "r1/control")


@pytest.fixture
def hosts(loop: Loop, path: Path, registry: Registry) -> Iterator[Hosts]:
    hosts = Hosts(loop, path, registry)
    hosts.start()
    yield hosts
    hosts.stop()


@pytest.fixture
def join(loop: Loop, path: Path, hosts: Hosts) -> Iterator[Callable[..., Agent]]:
    agents: list[Agent] = []

    def start(verbs: dict[str, Any] | None = None, host: str = "one", **more: Any) -> Agent:
        agents.append(Agent(loop, path, verbs or {}, host, **more))
        assert hosts.wait_for(host, 10)
        return agents[-1]

    yield start
    for agent in agents:
        agent.stop()


@pytest.fixture
def dial(path: Path, hosts: Hosts) -> Iterator[Callable[[], Wire]]:
    with contextlib.ExitStack() as stack:

        def connect() -> Wire:
            wire = Wire(path)
            stack.callback(wire.socket.close)
            return wire

        yield connect


def test_calls_in_both_directions(hosts: Hosts, join: Callable[..., Agent]) -> None:
    hosts.offer("image.chunk", lambda host, body: {"from": host, "bytes": b"\0" * body["length"]})
    agent = join({"toy.double": lambda body: {"value": 2 * body["value"]}})
    assert hosts.call("one", "toy.double", {"value": 21}) == {"value": 42}
    answer = agent.uplink.call("image.chunk", {"length": 1_000_000})
    assert answer["from"] == "one"
    assert len(answer["bytes"]) == 1_000_000
    (info,) = hosts.connected()
    assert (info.name, info.version, info.generation) == ("one", "1", 1)
    assert info.capabilities == {"services": ["toy"]}


def test_a_verb_may_ask_back_while_it_is_asked(hosts: Hosts, join: Callable[..., Agent]) -> None:
    hosts.offer("more", lambda _host, body: body["value"] + 1)
    agents: list[Agent] = []
    agents.append(join({"ask": lambda body: agents[0].uplink.call("more", body)}))
    assert hosts.call("one", "ask", {"value": 1}) == 2


def test_socket_is_for_its_owner_alone(hosts: Hosts, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


def test_errors_keep_class_message_code_and_fields(hosts: Hosts, join: Callable[..., Agent]) -> None:
    class Special(errors.Conflict):
        """What a service makes of a kernel error."""

    def special(body: Body) -> None:
        raise Special("in use", code="InUse", server_id="s1", hidden=object())

    def bug(body: Body) -> None:
        raise KeyError("secret text")

    join({"special": special, "bug": bug, "unplain": lambda _: object(), "huge": lambda _: bytes(9_000_000)})
    with pytest.raises(errors.Conflict, match="in use") as refusal:
        hosts.call("one", "special", {})
    assert (refusal.value.code, refusal.value.fields) == ("InUse", {"server_id": "s1"})
    with pytest.raises(RemoteFailure) as failure:
        hosts.call("one", "bug", {})
    assert "secret" not in str(failure.value)
    with pytest.raises(RemoteFailure):
        hosts.call("one", "unplain", {})
    with pytest.raises(errors.TooLarge):
        hosts.call("one", "huge", {})
    with pytest.raises(errors.Unsupported):
        hosts.call("one", "unheard.of", {})
    with pytest.raises(errors.TooLarge):
        hosts.call("one", "special", {"bytes": bytes(9_000_000)})


def test_an_absent_host(hosts: Hosts) -> None:
    with pytest.raises(errors.NotReady, match="Host nobody is not connected"):
        hosts.call("nobody", "x", {})
    assert hosts.connected() == []
    assert not hosts.wait_for("nobody", 0.01)


def test_link_cut_in_the_middle_of_a_call(hosts: Hosts, join: Callable[..., Agent]) -> None:
    began, finish = threading.Event(), threading.Event()

    def slow(body: Body) -> None:
        began.set()
        finish.wait(10)

    agent = join({"slow": slow})
    gone: list[str] = []
    hosts.on_disconnect(lambda info: gone.append(info.name))
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(hosts.call, "one", "slow", {})
        assert began.wait(10)
        agent.stop()
        with pytest.raises(errors.NotReady) as broken:
            call.result(10)
        assert broken.value.code == "LinkLost"
        finish.set()
    until(lambda: gone == ["one"])
    assert hosts.connected() == []


def test_the_agent_finds_its_way_back(
    loop: Loop, path: Path, join: Callable[..., Agent], hosts: Hosts, registry: Registry
) -> None:
    join({"echo": lambda body: body})
    hosts.stop()
    second = Hosts(loop, path, registry)
    seen: list[tuple[HostInfo, Body]] = []
    second.on_connect(lambda info, report: seen.append((info, report)))
    second.start()
    try:
        assert second.wait_for("one", 10)
        assert second.call("one", "echo", {"a": 1}) == {"a": 1}
        until(lambda: seen)
        assert seen[0][1] == {"toy": {"things": [1]}}
    finally:
        second.stop()


def test_the_agent_waits_for_a_control_plane(loop: Loop, path: Path, registry: Registry) -> None:
    agent = Agent(loop, path, {})
    hosts = Hosts(loop, path, registry)
    try:
        with pytest.raises(errors.NotReady):
            agent.uplink.call("x", {})
        time.sleep(0.2)
        hosts.start()
        assert hosts.wait_for("one", 10)
    finally:
        agent.stop()
        hosts.stop()


def test_a_new_link_replaces_the_old_one(hosts: Hosts, dial: Callable[[], Wire]) -> None:
    joined: list[int] = []
    gone: list[str] = []
    seen: list[tuple[str, Body]] = []
    hosts.on_connect(lambda info, report: joined.append(info.generation))
    hosts.on_disconnect(lambda info: gone.append(info.name))
    hosts.on_event("news", lambda host, body: seen.append((host, body)))
    old, new = dial(), dial()
    assert old.join("one")["generation"] == 1
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(hosts.call, "one", "build", {})
        asked = old.hear_kind("call")
        assert new.join("one")["generation"] == 2
        with pytest.raises(errors.NotReady):
            call.result(10)
    with contextlib.suppress(OSError):
        old.send(kind="event", verb="news", body={"late": True})
        old.send(kind="reply", id=asked.id, body={"late": True})
    new.send(kind="event", verb="news", body={"late": False})
    until(lambda: seen)
    assert seen == [("one", {"late": False})]
    assert joined == [1, 2]
    assert gone == []
    assert [info.generation for info in hosts.connected()] == [2]


def test_slow_handlers_do_not_hold_up_others(hosts: Hosts, join: Callable[..., Agent]) -> None:
    finish = threading.Event()
    join({"slow": lambda _: finish.wait(20), "quick": lambda body: body})
    with ThreadPoolExecutor(8) as pool:
        slow = [pool.submit(hosts.call, "one", "slow", {}) for _ in range(8)]
        begin = time.monotonic()
        assert hosts.call("one", "quick", {"a": 1}) == {"a": 1}
        assert time.monotonic() - begin < 5
        assert not any(call.done() for call in slow)
        finish.set()
        assert all(call.result(10) for call in slow)


def test_two_thousand_calls_at_once(loop: Loop, hosts: Hosts, join: Callable[..., Agent]) -> None:
    join({"echo": lambda body: body})
    peer = hosts._ready["one"].peer

    async def storm() -> list[Any]:
        return await asyncio.gather(*(peer.call("echo", {"n": n}, timeout=60) for n in range(2000)))

    assert loop.wait(storm(), 100) == [{"n": n} for n in range(2000)]


def test_time_limit_and_cancel(hosts: Hosts, join: Callable[..., Agent]) -> None:
    finish = threading.Event()
    begun: list[int] = []

    def slow(body: Body) -> None:
        begun.append(body["n"])
        finish.wait(10)

    join({"slow": slow, "echo": lambda body: body})
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(hosts.call, "one", "slow", {"id": "x", "n": 1})
        until(lambda: begun == [1])
        with pytest.raises(CallTimeout) as late:
            hosts.call("one", "slow", {"id": "x", "n": 2}, timeout=0.1)
        assert isinstance(late.value, errors.NotReady)
        assert hosts.call("one", "echo", {"n": 3}) == {"n": 3}
        finish.set()
        first.result(10)
    assert hosts.call("one", "slow", {"id": "x", "n": 4}) is None
    assert begun == [1, 4], "a call that nobody waits for any more was carried out"


def test_one_at_a_time_per_thing(hosts: Hosts, join: Callable[..., Agent]) -> None:
    inside: dict[str, int] = {"a": 0, "b": 0}
    together: list[int] = []
    lock = threading.Lock()

    def verb(body: Body) -> None:
        with lock:
            inside[body["id"]] += 1
            assert inside[body["id"]] == 1
            together.append(sum(inside.values()))
        time.sleep(0.05)
        with lock:
            inside[body["id"]] -= 1

    join({"verb": verb})
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(hosts.call, "one", "verb", {"id": "ab"[n % 2]}) for n in range(8)]
        for call in calls:
            call.result(10)
    assert max(together) == 2


def test_a_turn_lasts_as_long_as_the_work(hosts: Hosts, join: Callable[..., Agent]) -> None:
    inside: list[str] = []
    finish = threading.Event()

    def verb(body: Body) -> None:
        inside.append("in")
        finish.wait(10)
        inside.append("out")

    join({"verb": verb})
    with pytest.raises(CallTimeout):
        hosts.call("one", "verb", {"id": "x"}, timeout=0.1)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(hosts.call, "one", "verb", {"id": "x"})
        time.sleep(0.1)
        assert inside == ["in"]
        finish.set()
        second.result(10)
    assert inside == ["in", "out", "in", "out"]


def test_an_operation_is_done_once(hosts: Hosts, loop: Loop, path: Path) -> None:
    began, finish = threading.Event(), threading.Event()
    done: list[str] = []

    def reboot(body: Body) -> Body:
        began.set()
        finish.wait(10)
        done.append(body["id"])
        if len(done) == 3:
            raise errors.Conflict("the third time fails")
        return {"times": len(done)}

    agent = Agent(loop, path, {"reboot": reboot})
    try:
        assert hosts.wait_for("one", 10)
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(hosts.call, "one", "reboot", {"id": "s"}, op="saga:1")
            assert began.wait(10)
            loop.asyncio.call_soon_threadsafe(hosts._ready["one"].peer.close)
            with pytest.raises(errors.NotReady):
                first.result(10)
            until(lambda: [info.generation for info in hosts.connected()] == [2])
            again = pool.submit(hosts.call, "one", "reboot", {"id": "s"}, op="saga:1")
            finish.set()
            assert again.result(10) == {"times": 1}
        assert hosts.call("one", "reboot", {"id": "s"}, op="saga:1") == {"times": 1}
        assert hosts.call("one", "reboot", {"id": "s"}, op="saga:2") == {"times": 2}
        with pytest.raises(errors.Conflict):
            hosts.call("one", "reboot", {"id": "s"}, op="saga:3")
        assert hosts.call("one", "reboot", {"id": "s"}, op="saga:3") == {"times": 4}
    finally:
        agent.stop()


def test_news_are_in_order_and_after_the_report(hosts: Hosts, loop: Loop, path: Path) -> None:
    seen: list[Any] = []
    agents: list[Agent] = []
    ready = threading.Event()

    def report() -> Body:
        assert ready.wait(10)
        for number in range(100):
            agents[0].uplink.emit("news", {"n": number})
        return {"toy": "truth"}

    hosts.on_connect(lambda _info, report: (time.sleep(0.05), seen.append(report)))
    hosts.on_event("news", lambda _host, body: seen.append(body["n"]))
    hosts.on_event("news", lambda _host, body: 1 / 0 if body["n"] == 3 else None)
    agents.append(Agent(loop, path, {}, report=report))
    ready.set()
    try:
        until(lambda: len(seen) == 101)
        assert seen == [{"toy": "truth"}, *range(100)]
    finally:
        agents[0].stop()


def test_a_host_may_be_asked_as_soon_as_it_joins(hosts: Hosts, join: Callable[..., Agent]) -> None:
    answers: list[Any] = []
    hosts.on_connect(lambda info, _report: answers.append(hosts.call(info.name, "echo", {"a": 1})))
    join({"echo": lambda body: body})
    until(lambda: answers == [{"a": 1}])


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x00\x00\x03abc",
        b"\x7f\xff\xff\xff",
        frames.encode(Frame(kind="ping")),
        b"\x00\x00\x00\x0b\x81\xa4kind\xa4what",
        frames.encode(Frame(kind="hello", body={"host": "one", "frames": 99})),
        frames.encode(Frame(kind="hello", body={"host": "", "frames": 1})),
        frames.encode(Frame(kind="hello", body={"host": "a/b", "frames": 1})),
        frames.encode(Frame(kind="hello", body={"host": "one", "frames": 1, "version": "1\0"})),
        frames.encode(Frame(kind="hello", body={"host": "one", "frames": 1, "capabilities": {"a": b"\xff"}})),
        frames.encode(Frame(kind="hello", body={"host": "one", "frames": 1, "capabilities": {"a": "x" * 20_000}})),
        frames.encode(Frame(kind="hello", body={"host": "one", "frames": 1, "capabilities": []})),
    ],
)
def test_what_is_no_hello_is_refused(hosts: Hosts, dial: Callable[[], Wire], raw: bytes) -> None:
    wire = dial()
    wire.socket.sendall(raw)
    answer = wire.hear()
    assert answer is None or "refused" in answer.body
    assert wire.hear() is None
    assert hosts.connected() == []


@pytest.mark.parametrize("raw", [b"\x00\x00\x00\x01\xc1", (9_000_000).to_bytes(4, "big")])
def test_a_malformed_frame_ends_the_link(hosts: Hosts, dial: Callable[[], Wire], raw: bytes) -> None:
    wire = dial()
    wire.join("one")
    wire.socket.sendall(raw)
    until(lambda: hosts.connected() == [])
    with contextlib.suppress(ConnectionError):
        assert wire.hear() is None


def test_nothing_is_served_before_the_report(hosts: Hosts, dial: Callable[[], Wire]) -> None:
    hosts.offer("x", lambda _host, _body: {})
    wire = dial()
    wire.send(kind="hello", body={"host": "one", "frames": 1})
    wire.send(kind="call", id=7, verb="x", body={})
    assert wire.hear_kind("error").body["class"] == "NotReady"


def test_unknown_fields_are_skipped(dial: Callable[[], Wire]) -> None:
    wire = dial()
    packed = msgspec.msgpack.encode({"kind": "hello", "later": 1, "body": {"host": "one", "frames": 1, "new": 2}})
    wire.socket.sendall(len(packed).to_bytes(4, "big") + packed)
    assert wire.hear_kind("hello").body["generation"] == 1


def test_silence_ends_a_link(loop: Loop, path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cumulet.kernel.link.doors.SILENCE", 0.3)
    hosts = Hosts(loop, path, registry)
    hosts.start()
    try:
        wire = Wire(path)
        wire.send(kind="hello", body={"host": "one", "frames": 1, "silence": 0.3})
        wire.send(kind="call", id=1, verb="link.report", body={})
        assert wire.hear_kind("reply")
        assert wire.hear_kind("ping")
        until(lambda: hosts.connected() == [])
        wire.socket.close()
    finally:
        hosts.stop()


def test_a_verb_is_offered_once(hosts: Hosts) -> None:
    hosts.offer("x", lambda _host, _body: {})
    for verb in ("x", "link.report"):
        with pytest.raises(ValueError, match="offered twice"):
            hosts.offer(verb, lambda _host, _body: {})


def test_the_loop_may_not_wait_for_itself(loop: Loop, hosts: Hosts) -> None:
    async def ask() -> None:
        hosts.call("one", "x", {})

    with pytest.raises(RuntimeError, match="event loop"):
        loop.wait(ask())


def test_a_path_that_is_too_long(loop: Loop, tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(OSError, match="no socket can be made"):
        Hosts(loop, tmp_path / ("x" * 120), registry).start()


def test_a_host_that_tells_too_much_tells_the_whole_truth_instead(
    hosts: Hosts, loop: Loop, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cumulet.kernel.link.connection.MOST_NEWS", 50)
    hold = threading.Event()
    reports: list[int] = []
    hosts.on_connect(lambda info, _report: reports.append(info.generation))
    hosts.on_event("news", lambda _host, _body: hold.wait(20))
    agent = Agent(loop, path, {})
    try:
        assert hosts.wait_for("one", 10)
        for number in range(200):
            agent.uplink.emit("news", {"n": number})
        until(lambda: hosts.connected() and hosts.connected()[0].generation == 2)
        hold.set()
        until(lambda: reports == [1, 2])
    finally:
        hold.set()
        agent.stop()
