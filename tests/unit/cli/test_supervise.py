# SPDX-License-Identifier: Apache-2.0
"""The supervisor with toy parts: what dies comes back, what cannot live is given up, nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cumulet.cli import parts
from cumulet.cli.supervise import rotate
from cumulet.settings import Settings
from cumulet.settings.processes import Log
from support.waiting import until

PROGRAM = """
import json, os, sys
from pathlib import Path
from cumulet.cli import supervise
from cumulet.cli.parts import Part
from cumulet.settings import Settings
supervise.FIRST_PAUSE = 0.02
supervise.STOP_TIMEOUT = float(sys.argv[3])
toys = json.loads(sys.argv[2])
settings = Settings(state=Path(sys.argv[1]))
me = str(os.getpid())
supervise.Supervisor(settings, [(Part(name, name, name), [*argv, me]) for name, argv in toys.items()]).run()
"""
LIVES = [sys.executable, "-c", "import time; time.sleep(600)"]
FOLLOWS = [
    sys.executable,
    "-c",
    "import sys, time; from cumulet.cli import kinship; kinship.follow(int(sys.argv[1])); time.sleep(600)",
]
DIES = [sys.executable, "-c", "raise SystemExit('no way')"]
STAYS = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"]

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state=tmp_path / "state")


@pytest.fixture
def start(settings: Settings) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def begin(stop_timeout: float = 20.0, **toys: list[str]) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-c", PROGRAM, str(settings.state), json.dumps(toys), str(stop_timeout)]
        started.append(subprocess.Popen(argv, stderr=subprocess.PIPE))
        until(lambda: parts.overview(settings))
        return started[-1]

    yield begin
    for process in started:
        process.terminate()
        process.communicate(timeout=30)


def part(settings: Settings, name: str) -> parts.PartStatus:
    view = parts.overview(settings)
    assert view is not None
    return next(each for each in view.parts if each.name == name)


def is_gone(pid: int) -> bool:
    return parts.memory(pid) is None


def test_what_is_killed_comes_back(settings: Settings, start: Start) -> None:
    supervisor = start(one=LIVES, two=LIVES)
    assert parts.supervisor_pid(settings) == supervisor.pid
    first, other = part(settings, "one").pid, part(settings, "two").pid
    assert first
    os.kill(first, signal.SIGKILL)
    until(lambda: part(settings, "one").pid not in (first, None))
    one = part(settings, "one")
    assert (one.state, one.restarts, one.last_exit) == ("running", 1, -signal.SIGKILL)
    assert part(settings, "two").pid == other


def test_what_others_kill_is_never_given_up(settings: Settings, start: Start) -> None:
    start(one=LIVES)
    for restarts in range(7):
        until(lambda n=restarts: part(settings, "one").restarts == n and part(settings, "one").pid)
        os.kill(part(settings, "one").pid, signal.SIGKILL)
    until(lambda: part(settings, "one").state == "running" and part(settings, "one").restarts == 7)


def test_all_is_gone_after_sigterm(settings: Settings, start: Start) -> None:
    supervisor = start(one=LIVES, two=LIVES)
    pids = [part(settings, name).pid for name in ("one", "two")]
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(20) == 0
    assert all(pid and is_gone(pid) for pid in pids)
    assert parts.overview(settings) is None
    assert parts.supervisor_pid(settings) is None


def test_what_does_not_leave_is_killed(settings: Settings, start: Start) -> None:
    supervisor = start(stop_timeout=0.3, one=STAYS)
    pid = part(settings, "one").pid
    assert pid
    until(lambda: "SigIgn" in Path(f"/proc/{pid}/status").read_text())
    time.sleep(0.3)
    supervisor.send_signal(signal.SIGTERM)
    _, words = supervisor.communicate(timeout=20)
    assert b"is killed" in words
    assert is_gone(pid)


def test_what_cannot_live_is_given_up_and_tried_again_on_request(settings: Settings, start: Start) -> None:
    supervisor = start(one=DIES, two=LIVES)
    until(lambda: part(settings, "one").state == "failed")
    one = part(settings, "one")
    assert (one.pid, one.restarts, one.last_exit) == (None, 4, 1)
    assert part(settings, "two").state == "running"
    assert "no way" in parts.log_path(settings, "one").read_text()
    supervisor.send_signal(signal.SIGHUP)
    until(lambda: part(settings, "one").restarts == 8 and part(settings, "one").state == "failed")
    supervisor.send_signal(signal.SIGTERM)
    _, words = supervisor.communicate(timeout=20)
    assert b"is given up" in words


def test_parts_end_with_a_supervisor_that_is_killed(settings: Settings, start: Start) -> None:
    supervisor = start(one=FOLLOWS)
    pid = part(settings, "one").pid
    assert pid
    time.sleep(0.5)
    supervisor.kill()
    until(lambda: is_gone(pid))
    assert parts.overview(settings) is None


def test_one_supervisor_at_a_time(settings: Settings, start: Start) -> None:
    start(one=LIVES)
    argv = [sys.executable, "-c", PROGRAM, str(settings.state), json.dumps({"one": LIVES}), "1"]
    second = subprocess.run(argv, capture_output=True, timeout=30)
    assert second.returncode != 0
    assert b"Held" in second.stderr


def test_logs_rotate(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    rotate(log, Log(size=10, keep=2))
    with log.open("a") as writer:
        for text in ("first line\n", "second line\n", "third line\n"):
            writer.write(text)
            writer.flush()
            rotate(log, Log(size=10, keep=2))
            assert log.read_text() == ""
        writer.write("short\n")
        writer.flush()
        rotate(log, Log(size=10, keep=2))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "x.log": "short\n",
        "x.log.1": "third line\n",
        "x.log.2": "second line\n",
    }
