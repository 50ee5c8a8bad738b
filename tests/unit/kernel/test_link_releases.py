# SPDX-License-Identifier: Apache-2.0
"""A host one release behind, or ahead: what both sides said then, byte for byte, and what they may say some day.

`link_release_1.jsonl` is a link as the first release spoke it, recorded between its own two ends: a frame a line in
hexadecimal digits, with who sent it and, for the reader, what it says. Such a file is never changed.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cumulet.kernel import errors
from cumulet.kernel.db import Database, migrate
from cumulet.kernel.link import frames, greeting
from cumulet.kernel.link.controller import Hosts
from cumulet.kernel.link.frames import Frame
from cumulet.kernel.link.registry import Registry
from cumulet.kernel.loop import Loop
from support.link import Agent, Wire
from support.waiting import until

TRANSCRIPT = [json.loads(line) for line in (Path(__file__).with_name("link_release_1.jsonl")).read_text().splitlines()]


def packed(frame: bytes) -> bytes:
    return len(frame).to_bytes(4, "big") + frame


def covers(said: Any, expected: Any) -> bool:
    """Whether `said` holds all that the older reader looks for; more is allowed."""
    if isinstance(expected, dict):
        return isinstance(said, dict) and all(key in said and covers(said[key], expected[key]) for key in expected)
    return bool(said == expected)


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "link.sock"


@pytest.fixture
def hosts(loop: Loop, path: Path, empty: Database) -> Iterator[Hosts]:
    migrate.migrate(empty, {})
    hosts = Hosts(loop, path, Registry(empty, "r1/control"))
    hosts.start()
    yield hosts
    hosts.stop()


def play(wire: Any, who: str, asked: dict[str, Any]) -> None:
    """Say what `who` said then, and compare what comes with what came; `asked` starts the calls of this side."""
    for line in TRANSCRIPT:
        raw = bytes.fromhex(line["frame"])
        said = msgspec.msgpack.decode(raw)
        if said["kind"] == "ping":
            continue
        if line["from"] == who:
            wire.socket.sendall(packed(raw))
            continue
        if said["kind"] in ("call", "event"):
            asked[said["verb"]]()
        heard = wire.hear()
        while heard is not None and heard.kind == "ping":
            heard = wire.hear()
        assert heard is not None, f"the link ended before {said}"
        came = msgspec.to_builtins(heard)
        assert covers(came, said), f"{came} is not {said}"


def test_an_agent_of_the_first_release_still_works(hosts: Hosts, path: Path) -> None:
    news: list[Any] = []
    hosts.on_event("toy.news", lambda host, body: news.append((host, body)))
    hosts.offer("toy.ask", lambda host, body: {"host": host, "more": body["value"] + 1})
    wire = Wire(path)
    with ThreadPoolExecutor(2) as pool:
        calls: dict[str, Future[Any]] = {}

        def double() -> None:
            until(lambda: news)
            calls["double"] = pool.submit(hosts.call, "old", "toy.double", {"value": 21}, op="saga:1")

        def fail() -> None:
            calls["fail"] = pool.submit(hosts.call, "old", "toy.fail", {"id": "t1"})

        play(wire, "host", {"toy.double": double, "toy.fail": fail})
        assert calls["double"].result(10) == {"value": 42}
        with pytest.raises(errors.Conflict, match="it is in use") as refusal:
            calls["fail"].result(10)
        assert refusal.value.fields == {"thing": "t1"}
    assert news == [("old", {"n": 1})]
    assert [(info.name, info.version) for info in hosts.connected()] == [("old", "0.1")]
    wire.socket.close()


def test_a_control_plane_of_the_first_release_still_takes_this_agent(loop: Loop, path: Path) -> None:
    """For the moments of an upgrade in which a host is quicker than its control plane."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def fail(body: dict[str, Any]) -> None:
        raise errors.Conflict("it is in use", code="InUse", thing=body["id"])

    verbs = {"toy.double": lambda body: {"value": 2 * body["value"]}, "toy.fail": fail}
    agent = Agent(loop, path, verbs, "old", report=lambda: {"toy": {"things": ["a", "b"]}})
    agent.uplink._hello.update({"version": "0.1", "capabilities": {"processors": 2}})
    listener.settimeout(10)
    accepted, _ = listener.accept()
    accepted.settimeout(10)
    wire = Wire.__new__(Wire)
    wire.socket = accepted
    answers: list[Any] = []

    def ask() -> None:
        threading.Thread(target=lambda: answers.append(agent.uplink.call("toy.ask", {"value": 1}))).start()

    def unheard() -> None:
        def call() -> None:
            with pytest.raises(errors.Unsupported, match="there is no verb"):
                agent.uplink.call("toy.unheard", {})
            answers.append("unsupported")

        threading.Thread(target=call).start()

    asked = {
        "link.report": lambda: None,
        "toy.news": lambda: until(lambda: agent.uplink.status.way) and agent.uplink.emit("toy.news", {"n": 1}),
        "toy.ask": ask,
        "toy.unheard": unheard,
    }
    play(wire, "control", asked)
    until(lambda: len(answers) == 2)
    assert sorted(answers, key=str) == ["unsupported", {"host": "old", "more": 2}]
    agent.stop()
    accepted.close()
    listener.close()


@pytest.mark.parametrize(
    ("mine", "theirs", "agreed"),
    [
        ((1, 1), {"frames": 1}, 1),
        ((1, 2), {"frames": 1}, 1),  # one release behind: it says one version only
        ((1, 2), {"frames": 2, "oldest": 1}, 2),
        ((1, 2), {"frames": 3, "oldest": 2}, 2),  # one release ahead
        ((2, 3), {"frames": 1}, None),  # two behind
        ((1, 2), {"frames": 4, "oldest": 3}, None),
        ((1, 1), {}, None),
        ((1, 1), {"frames": "1"}, None),
        ((1, 1), {"frames": True}, None),
        ((1, 1), {"frames": 2, "oldest": []}, None),
    ],
)
def test_versions_are_agreed(
    monkeypatch: pytest.MonkeyPatch, mine: tuple[int, int], theirs: dict[str, Any], agreed: int | None
) -> None:
    monkeypatch.setattr(frames, "OLDEST", mine[0])
    monkeypatch.setattr(frames, "VERSION", mine[1])
    if agreed is None:
        with pytest.raises(frames.FrameError):
            greeting.agree(theirs)
    else:
        assert greeting.agree(theirs) == agreed


def test_an_older_host_is_answered_in_its_version(hosts: Hosts, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "VERSION", 2)
    wire = Wire(path)
    wire.send(kind="hello", body={"host": "old", "frames": 1})
    assert wire.hear_kind("hello").body["frames"] == 1  # the first release compares for equality
    wire.socket.close()
    wire = Wire(path)
    wire.send(kind="hello", body={"host": "new", "frames": 3, "oldest": 2})
    assert wire.hear_kind("hello").body["frames"] == 2
    wire.socket.close()


def test_what_a_later_release_adds_does_no_harm(hosts: Hosts, path: Path) -> None:
    """Unknown fields in frames and bodies are skipped, unknown events dropped, unknown verbs refused in words."""
    hosts.offer("toy.ask", lambda _host, body: {"value": body["value"]})
    wire = Wire(path)

    def send(**words: Any) -> None:
        wire.socket.sendall(packed(msgspec.msgpack.encode({**words, "shard": 7, "trace": {"id": "x"}})))

    send(kind="hello", body={"host": "new", "frames": 1, "oldest": 1, "colour": "blue", "silence": 60})
    assert wire.hear_kind("hello").body["generation"] == 1
    send(kind="call", id=1, verb="link.report", body={"toy": {}, "service of tomorrow": {"things": []}})
    assert wire.hear_kind("reply").id == 1
    send(kind="event", verb="toy.unheard", body={"n": 1})
    send(kind="call", id=2, verb="toy.unheard", body={})
    refusal = wire.hear_kind("error").body
    assert (refusal["class"], refusal["code"]) == ("Unsupported", "UnknownVerb")
    send(kind="call", id=3, verb="toy.ask", body={"value": 1, "more": 2})
    assert wire.hear_kind("reply").body == {"value": 1}
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(hosts.call, "new", "toy.double", {})
        asked = wire.hear_kind("call")
        error = {"class": "KindOfTomorrow", "message": "no", "code": "", "hint": "wait"}
        wire.send(kind="error", id=asked.id, body=error)
        with pytest.raises(Exception, match="no"):
            call.result(10)
    assert [info.name for info in hosts.connected()] == ["new"]
    wire.socket.close()


def test_the_transcript_is_of_frames_only() -> None:
    for line in TRANSCRIPT:
        assert str(msgspec.msgpack.decode(bytes.fromhex(line["frame"]))) == line["reads"]
        assert isinstance(frames._decoder.decode(bytes.fromhex(line["frame"])), Frame)
