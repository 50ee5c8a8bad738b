# SPDX-License-Identifier: Apache-2.0
"""A whole cloud by the command alone, its state in a PostgreSQL database."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support import postgres
from support.waiting import until

Cumulet = Callable[..., subprocess.CompletedProcess[str]]
PASSWORD = "hunter2"


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    started = postgres.Server()
    yield started
    started.close()


@pytest.fixture
def url(server: postgres.Server) -> str:
    # The server asks for no password; that it is told to nobody can be seen all the same.
    return server.new().replace("cumulet@", f"cumulet:{PASSWORD}@")


@pytest.fixture
def state(tmp_path: Path, url: str) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    with ExitStack() as held:
        ports = []
        for _ in range(3):
            probe = held.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    (folder / "cumulet.toml").write_text(
        f"[database]\nurl = {json.dumps(url)}\n"
        f"[control]\nport = {ports[0]}\n[data]\nport = {ports[1]}\n"
        f"[objects]\nport = {ports[2]}\n[identity]\nbcrypt_rounds = 4\n"
        '[compute]\ndriver = "fake"\n[network]\ndriver = "fake"\n[block_storage]\ndriver = "fake"\n'
    )
    return folder


@pytest.fixture
def cumulet(state: Path) -> Iterator[Cumulet]:
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("CUMULET_", "OS_"))}

    def run(*words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "cumulet.cli", "--state", str(state), *words]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=100)
        assert PASSWORD not in done.stdout + done.stderr
        assert code in (None, done.returncode), done.stdout + done.stderr
        return done

    yield run
    run("down")


def tables(url: str) -> set[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    return {row[0] for row in postgres.execute(url, query)}


def test_a_cloud_lives_in_a_database_on_a_server_and_ends(cumulet: Cumulet, state: Path, url: str) -> None:
    postgres.execute(url, "CREATE TABLE diary (page text)")
    cumulet("up", "--no-seed")
    parts = json.loads(cumulet("status", "--json").stdout)["parts"]
    assert {(part["name"], part["healthy"]) for part in parts} == {
        (name, True) for name in ("control", "agent", "data", "objects")
    }
    assert {"kernel_saga", "identity_user", "compute_server"} <= tables(url)
    assert not (state / "cumulet.db").exists()
    cumulet("down")
    logs = "".join(path.read_text(errors="replace") for path in (state / "log").glob("*.log"))
    assert PASSWORD not in logs
    assert "PostgreSQL" in cumulet("reset", "--yes").stdout
    assert [path.name for path in state.iterdir()] == ["cumulet.toml"]
    assert tables(url) == {"diary"}


def test_a_reset_waits_for_other_replicas_to_end(cumulet: Cumulet, state: Path, url: str) -> None:
    cumulet("up", "--no-seed")
    elsewhere = f"{url}&application_name=cumulet"
    with postgres.connection(elsewhere):
        assert "other processes" in cumulet("reset", "--yes", code=1).stderr
        assert "kernel_saga" in tables(url)
    cumulet("reset", "--yes")
    assert tables(url) == set()


def test_a_database_that_cannot_be_reached_is_said_to_be(cumulet: Cumulet, state: Path) -> None:
    settings = state / "cumulet.toml"
    lines = settings.read_text().splitlines()
    lines[1] = f'url = "postgresql://cumulet:{PASSWORD}@127.0.0.1:9/nothing"'
    settings.write_text("\n".join(lines))
    cumulet("up", "--no-seed", "--no-wait")
    log = state / "log" / "control.log"
    until(lambda: log.exists() and "The database is not available." in log.read_text())
    assert PASSWORD not in log.read_text()
