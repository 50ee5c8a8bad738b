# SPDX-License-Identifier: Apache-2.0
"""The object store's process beside a control plane: what a kill of either costs, what a revocation and a ring change.

One pair of processes tells the whole story; each test leaves both at work.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cumulet import cli
from cumulet.kernel.errors import Invalid
from cumulet.kernel.secrets import Secrets
from cumulet.objects import Objects
from cumulet.settings import load
from support.waiting import until

BODY = os.urandom(200_000)  # too large for a row of the catalogue


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Pair:
    """A control plane and an object store in `state`, processes of their own."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.control, self.objects = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        own = {
            "control.port": self.control.rpartition(":")[2],
            "objects.port": self.objects.rpartition(":")[2],
            "identity.bcrypt_rounds": "4",
            "object_store.temp_auth.users": "user_test_tester = testing .admin",
        }
        self.flags = ["--state", str(state), *(word for pair in own.items() for word in ("--set", "=".join(pair)))]
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.http = httpx.Client(timeout=30)

    def start(self, part: str) -> None:
        with (self.state / f"{part}.words").open("ab") as words:
            argv = [sys.executable, "-m", "cumulet.cli", *self.flags, part]
            self.processes[part] = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=words, stderr=words)
        until(lambda: self.is_there(part))

    def end(self, part: str, number: signal.Signals = signal.SIGKILL) -> int:
        self.processes[part].send_signal(number)
        return self.processes[part].wait(30)

    def is_there(self, part: str) -> bool:
        assert self.processes[part].poll() is None, self.words(part)
        try:
            return self.http.get(f"{self.control if part == 'serve' else self.objects}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def words(self, part: str) -> str:
        return (self.state / f"{part}.words").read_text()

    def close(self) -> None:
        self.http.close()
        for process in self.processes.values():
            process.kill()
            process.wait()

    def token(self) -> tuple[str, str]:
        """A new token of the administrator and the address of the project's account, as the catalogue has it."""
        user = {"name": "admin", "domain": {"id": "default"}, "password": Secrets(self.state).get("admin_password")}
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        body = {"auth": {"identity": identity, "scope": scope}}
        answer = self.http.post(f"{self.control}/identity/v3/auth/tokens", json=body)
        assert answer.status_code == 201, answer.text
        entry = next(each for each in answer.json()["token"]["catalog"] if each["type"] == "object-store")
        urls = {each["interface"]: each["url"] for each in entry["endpoints"]}
        assert urls["admin"] == self.objects
        return answer.headers["x-subject-token"], urls["public"]

    def own_token(self) -> tuple[str, str]:
        """The same by the store's own log-in."""
        headers = {"x-auth-user": "test:tester", "x-auth-key": "testing"}
        answer = self.http.get(f"{self.objects}/auth/v1.0", headers=headers)
        assert answer.status_code == 200
        return answer.headers["x-auth-token"], answer.headers["x-storage-url"]

    def ask(self, method: str, url: str, token: str, **more: Any) -> httpx.Response:
        return self.http.request(method, url, headers={"x-auth-token": token}, **more)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    made = Pair(tmp_path_factory.mktemp("pair"))
    try:
        made.start("serve")
        made.start("objects")
        yield made
    finally:
        made.close()


def test_what_was_acknowledged_and_tokens_outlive_a_kill(pair: Pair) -> None:
    ways = {"by identity": pair.token(), "by itself": pair.own_token()}
    for token, url in ways.values():
        assert pair.ask("PUT", f"{url}/box", token).status_code == 201
        assert pair.ask("PUT", f"{url}/box/a", token, content=BODY).status_code == 201
    assert pair.end("objects") == -signal.SIGKILL
    pair.start("objects")
    for token, url in ways.values():
        answer = pair.ask("GET", f"{url}/box/a", token)
        assert (answer.status_code, answer.content) == (200, BODY)
        assert pair.ask("GET", f"{url}/box", token).text == "a\n"
    (_, own), (token, _) = ways["by identity"], ways["by itself"]
    assert pair.ask("GET", own, token).status_code == 403


def test_while_the_control_plane_is_away_known_tokens_go_on(pair: Pair) -> None:
    known, url = pair.token()
    unknown, _ = pair.token()
    assert pair.ask("HEAD", url, known).status_code == 204
    pair.end("serve")
    assert pair.ask("HEAD", url, known).status_code == 204
    assert pair.ask("HEAD", url, unknown).status_code == 503
    assert pair.ask("HEAD", *reversed(pair.own_token())).status_code == 204
    pair.start("serve")
    assert pair.ask("HEAD", url, known).status_code == 204
    assert until(lambda: pair.ask("HEAD", url, unknown).status_code != 503)
    assert pair.ask("HEAD", url, unknown).status_code == 204


def test_a_revoked_token_is_refused(pair: Pair) -> None:
    token, url = pair.token()
    assert pair.ask("HEAD", url, token).status_code == 204
    headers = {"x-auth-token": pair.token()[0], "x-subject-token": token}
    assert pair.http.delete(f"{pair.control}/identity/v3/auth/tokens", headers=headers).status_code == 204
    until(lambda: pair.ask("HEAD", url, token).status_code == 401, seconds=20)
    assert pair.ask("HEAD", url, "nonsense").status_code == 401


def test_a_ring_is_taken_over_without_a_restart(pair: Pair) -> None:
    token, url = pair.token()
    builder = str(pair.state / "objects" / "rings" / "object.builder")
    for words in (("set-weight", builder, "0", "50"), ("rebalance", builder)):
        assert cli.main(["--state", str(pair.state), "ring", *words]) == 0
    before = pair.words("objects").count("ring object: version")
    until(lambda: pair.words("objects").count("ring object: version") > before, seconds=30)
    assert pair.ask("PUT", f"{url}/after", token).status_code in (201, 202)
    assert pair.ask("PUT", f"{url}/after/a", token, content=BODY).status_code == 201
    (pair.state / "objects" / "rings" / "object.ring.gz").write_bytes(b"no ring")
    until(lambda: "the changed ring object is not used" in pair.words("objects"), seconds=30)
    assert pair.ask("GET", f"{url}/after/a", token).content == BODY
    assert cli.main(["--state", str(pair.state), "ring", "write-ring", builder]) == 0


def test_what_is_in_the_folder_is_nobody_elses(pair: Pair) -> None:
    secret = pair.state / "objects" / "secret.json"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert (pair.state / "objects").stat().st_mode & 0o777 == 0o700
    for part in ("objects", "serve"):
        assert "testing" not in pair.words(part)
        assert secret.read_text().split('"')[3] not in pair.words(part)


def test_a_second_one_does_not_start(pair: Pair) -> None:
    argv = [sys.executable, "-m", "cumulet.cli", *pair.flags, "objects"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "holds" in done.stderr
    assert pair.is_there("objects")


def test_it_leaves_when_it_is_asked_to(pair: Pair) -> None:
    assert pair.end("objects", signal.SIGTERM) == 0
    pair.start("objects")
    token, url = pair.own_token()
    assert pair.ask("GET", f"{url}/box/a", token).content == BODY


def test_what_it_logs_can_be_changed(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--state", str(pair.state), "log-level", "--part", "objects"]
    assert cli.main([*words, "cumulet.services", "debug"]) == 0
    assert "objects: root=info, cumulet.services=debug" in capsys.readouterr().out
    assert cli.main([*words, "cumulet.services", "reset"]) == 0


def test_a_container_is_split_by_command(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    token, url = pair.own_token()
    account = url.rpartition("/")[2]
    assert pair.ask("PUT", f"{url}/many", token).status_code == 201
    for number in range(6):
        assert pair.ask("PUT", f"{url}/many/{number}", token, content=b"").status_code == 201
    words = ["--state", str(pair.state), "container"]
    assert cli.main([*words, "shard", account, "many"]) == 1
    assert "no more than" in capsys.readouterr().err
    assert cli.main([*words, "shard", "--rows", "4", account, "many"]) == 0
    assert f"{account}/many is sharding: 6 objects" in capsys.readouterr().out

    def is_done() -> bool:
        assert cli.main([*words, "show", "--json", account, "many"]) == 0
        return bool(json.loads(capsys.readouterr().out)["state"] == "sharded")

    until(is_done, 60)
    assert pair.ask("GET", f"{url}/many", token).text.split() == list("012345")
    assert cli.main([*words, "show", account, "nothing"]) == 1


def test_a_port_that_is_taken_is_told(pair: Pair, tmp_path: Path) -> None:
    port = pair.objects.rpartition(":")[2]
    argv = [sys.executable, "-m", "cumulet.cli", "--state", str(tmp_path), "--set", f"objects.port={port}", "objects"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode
    assert "address already in use" in done.stderr


def test_where_there_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--state", str(tmp_path), "--set", "object_store.enabled=false", "objects"]
    assert cli.main(words) == 1
    assert "object_store.enabled" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[object_store.temp_auth]\nusers = ["user_broken"]\n', "'user_broken' in object_store.temp_auth.users"),
        ("[object_store.api.constraints]\nmax_files = 1\n", "there is no max_files"),
        ("[object_store.api.filters.s3api]\nlocation = 3\n", "s3api: "),
        ('[object_store.api.filters.symlink]\nsymloop_max = "many"\n', "object_store.api.filters: "),
    ],
    ids=["users", "constraints", "s3api", "symlink"],
)
def test_what_the_store_cannot_be_told_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "cumulet.toml").write_text(text + "[objects]\nport = 0\n")
    objects = Objects(load(environ={}, overrides={"state": str(tmp_path)}))
    try:
        with pytest.raises(Invalid, match=re.escape(words)):
            objects.start()
    finally:
        objects.stop()
