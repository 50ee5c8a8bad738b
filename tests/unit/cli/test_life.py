# SPDX-License-Identifier: Apache-2.0
"""A whole cloud in processes of its own, on fake drivers, by the command alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cumulet.cli import parts
from support.waiting import until

Cumulet = Callable[..., subprocess.CompletedProcess[str]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def cumulet(state: Path) -> Iterator[Cumulet]:
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("CUMULET_", "OS_"))}
    environment |= {
        "CUMULET_STATE": str(state),
        "CUMULET_CONTROL__PORT": str(free_port()),
        "CUMULET_DATA__PORT": str(free_port()),
        "CUMULET_OBJECTS__PORT": str(free_port()),
        "CUMULET_IDENTITY__BCRYPT_ROUNDS": "4",
        "CUMULET_COMPUTE__DRIVER": "fake",
        "CUMULET_NETWORK__DRIVER": "fake",
        "CUMULET_BLOCK_STORAGE__DRIVER": "fake",
    }

    def run(*words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "cumulet.cli", *words]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=110)
        assert code in (None, done.returncode), done.stdout + done.stderr
        return done

    yield run
    run("down")


def status(cumulet: Cumulet, code: int | None = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cumulet("status", "--json", code=code).stdout)
    return found


def pids(found: dict[str, Any]) -> dict[str, int]:
    return {part["name"]: part["pid"] for part in found["parts"]}


def has_another(cumulet: Cumulet, name: str, pid: int) -> bool:
    return pids(status(cumulet, code=None))[name] not in (pid, None)


def test_a_cloud_lives_and_ends(cumulet: Cumulet, state: Path) -> None:
    out = cumulet("up", "--no-seed").stdout
    assert f"OS_CLIENT_CONFIG_FILE={state}/clouds.yaml" in out
    found = status(cumulet)
    assert [part["name"] for part in found["parts"]] == ["control", "agent", "data", "objects"]
    assert {(part["state"], part["healthy"], part["restarts"]) for part in found["parts"]} == {("running", True, 0)}
    assert all(part["memory"] > 0 for part in found["parts"])
    assert "used by this cloud" in cumulet("doctor").stdout

    # A second time changes nothing.
    cumulet("up", "--no-seed")
    assert pids(status(cumulet)) == pids(found)
    assert "runs already" in cumulet("up", "--foreground", "--no-wait", code=1).stderr

    # What is killed is started again, and `up` waits until it is there.
    for name in ("control", "agent", "objects"):
        before = pids(status(cumulet))
        os.kill(before[name], signal.SIGKILL)
        until(partial(has_another, cumulet, name, before[name]))
        cumulet("up", "--no-seed")
        after = pids(status(cumulet))
        assert {other for other in before if before[other] != after[other]} == {name}

    last = pids(status(cumulet))
    cumulet("down")
    # Its last lock is free a moment before a process has ended.
    until(lambda: all(parts.memory(pid) is None for pid in (*last.values(), found["supervisor"])))
    assert (state / "cumulet.db").exists()
    cumulet("reset", "--yes")
    assert list(state.iterdir()) == []


def test_a_part_that_cannot_start_is_named(cumulet: Cumulet, state: Path) -> None:
    state.mkdir()
    (state / "cumulet.db").write_bytes(b"this is no database" * 100)
    words = cumulet("up", "--no-seed", "--timeout", "100", code=1).stderr
    assert "control does not start" in words
    assert str(state / "log" / "control.log") in words
    failed = {part["name"]: part["state"] for part in status(cumulet, code=1)["parts"]}
    assert failed["control"] == "failed"


def test_foreground(cumulet: Cumulet, state: Path) -> None:
    argv = [sys.executable, "-m", "cumulet.cli", "--state", str(state), "--set", f"control.port={free_port()}"]
    argv += ["--set", f"data.port={free_port()}", "--set", f"objects.port={free_port()}"]
    argv += ["--set", "network.driver=fake", "--set", "compute.driver=fake"]
    process = subprocess.Popen([*argv, "up", "--foreground", "--no-seed"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        while (line := process.stdout.readline()) and "The cloud is ready" not in line:
            pass
        assert line
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()
