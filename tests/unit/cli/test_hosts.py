# SPDX-License-Identifier: Apache-2.0
"""A host that joins another machine's cloud, in processes of their own, by the command alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cumulet import settings
from cumulet.cli import seed
from cumulet.kernel import lock
from support.engines import ENGINES, POSTGRES
from support.waiting import until


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Machine:
    """A state directory of its own, and the processes started on it."""

    def __init__(self, state: Path, host: str, **settings: str) -> None:
        self.state = state
        self.log = state.with_suffix(".log")
        self._stack = ExitStack()
        environment = {name: text for name, text in os.environ.items() if not name.startswith(("CUMULET_", "OS_"))}
        self._environment = environment | {
            "CUMULET_STATE": str(state),
            "CUMULET_HOST": host,
            "CUMULET_COMPUTE__DRIVER": "fake",
            "CUMULET_NETWORK__DRIVER": "fake",
            "CUMULET_BLOCK_STORAGE__DRIVER": "fake",
            "CUMULET_IDENTITY__BCRYPT_ROUNDS": "4",
            "CUMULET_CONTROL__PORT": str(free_port()),
            "CUMULET_DATA__PORT": str(free_port()),
            "CUMULET_OBJECTS__PORT": str(free_port()),
            **settings,
        }

    def run(self, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "cumulet.cli", *words]
        done = subprocess.run(argv, env=self._environment, capture_output=True, text=True, timeout=100)
        assert code in (None, done.returncode), done.stdout + done.stderr + self.words()
        return done

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            argv = [sys.executable, "-m", "cumulet.cli", *words]
            process = subprocess.Popen(argv, env=self._environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._stack.callback(self._end, process)
        return process

    def words(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def close(self) -> None:
        self._stack.close()

    def hosts(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in json.loads(self.run("host", "list", "--json").stdout)}

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Machine]:
    """A control plane at work, which takes hosts at a port of this machine."""
    machine = Machine(tmp_path / "c", "control-1", CUMULET_LINK__HOST="127.0.0.1", CUMULET_LINK__PORT=str(free_port()))
    machine.start("serve")
    until(lambda: "hosts may dial" in machine.words() or None)
    yield machine
    machine.close()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "h", "compute-7")
    yield machine
    machine.close()


def url_of(control: Machine) -> str:
    return "https://127.0.0.1:" + control._environment["CUMULET_LINK__PORT"]


@pytest.mark.timeout(300)
def test_a_host_joins_works_is_cut_off_and_comes_back(control: Machine, host: Machine) -> None:
    token = control.run("host", "token").stdout.strip()
    agent = host.start("agent", "--join", token, url_of(control))
    until(lambda: "joined the control plane" in host.words() or None)
    assert token.rpartition(".")[2] not in host.words() + control.words()
    row = control.hosts()["compute-7"]
    assert (row["revoked"], row["replica"], row["generation"]) == (False, "control-1/control", 1)
    shown = control.run("status", "--json", code=None).stdout
    assert [each["name"] for each in json.loads(shown)["hosts"]] == ["compute-7"]
    mine = host.run("status").stdout
    assert f"joined by {url_of(control)}" in mine
    assert "certificate lasts 30 more days" in mine
    found = {name["name"]: name["status"] for name in json.loads(host.run("doctor", "--json", code=None).stdout)}
    assert found["link certificate"] == found[f"link {url_of(control)}"] == "ok"
    there = {name["name"]: name["status"] for name in json.loads(control.run("doctor", "--json", code=None).stdout)}
    assert there["link port"] == "ok"

    refused = host.run("agent", "--join", token, url_of(control), code=1)
    assert "has been used already" in refused.stderr

    # Thereafter the plain command dials.
    agent.send_signal(signal.SIGTERM)
    agent.wait(30)
    host.start("agent")
    until(lambda: control.hosts()["compute-7"]["generation"] == 2 and control.hosts()["compute-7"]["reported_at"])

    control.run("host", "revoke", "compute-7")
    until(lambda: control.hosts()["compute-7"]["replica"] is None)
    until(lambda: "has been revoked" in host.words() or None)
    assert "not joined: host compute-7 has been revoked" in until(
        lambda: (told := host.run("status", code=1).stdout) and "not joined" in told and told
    )
    assert "revoked" in control.run("host", "list").stdout
    doctor = json.loads(host.run("doctor", "--json", code=1).stdout)
    assert "revoked" in next(each["detail"] for each in doctor if each["name"].startswith("link https"))

    control.run("host", "remove", "compute-7")
    assert control.hosts() == {}
    assert "there is no host compute-7" in control.run("host", "revoke", "compute-7", code=1).stderr


@pytest.mark.timeout(300)
def test_a_host_that_has_joined_runs_its_agent_and_its_part_of_the_object_store(
    control: Machine, host: Machine
) -> None:
    token = control.run("host", "token").stdout.strip()
    agent = host.start("agent", "--join", token, url_of(control))
    until(lambda: "joined the control plane" in host.words() or None)
    agent.terminate()
    agent.wait(30)
    (host.state / "disk").mkdir()
    (host.state / "cumulet.toml").write_text(
        f'[[object_store.devices]]\nname = "d"\nfolder = "{host.state / "disk"}"\n'
    )
    try:
        said = host.run("up").stdout
        assert "Host compute-7 is a part of its cloud" in said
        assert "control plane" not in said
        found = json.loads(host.run("status", "--json").stdout)
        parts = {each["name"]: (each["state"], each["healthy"]) for each in found["parts"]}
        assert parts == {"agent": ("running", True), "objects": ("running", True)}
        words = (host.state / "log" / "objects.log").read_text()
        assert "It must be brought here first (cumulet ring distribute): the secret, ring account" in words
        assert url_of(control) in words  # it asks there whom tokens stand for
        assert not (host.state / "objects" / "secret.json").exists()
        assert not (host.state / "cumulet.db").exists()
    finally:
        host.run("down")
    assert lock.owner(host.state / "run" / "objects.lock") is None


def test_tokens_that_cannot_be(control: Machine, host: Machine) -> None:
    assert "is good for 1 to" in control.run("host", "token", "--ttl", "0", code=2).stderr
    assert "cannot be the name of a host" in control.run("host", "token", "--name", "a b", code=1).stderr
    token = control.run("host", "token", "--name", "compute-8").stdout.strip()
    assert (
        "is for host compute-8, not for compute-7" in host.run("agent", "--join", token, url_of(control), code=1).stderr
    )
    assert "say where the control plane is" in host.run("agent", "--join", token, code=1).stderr
    assert "is not of the form https://HOST:PORT" in host.run("agent", "--join", token, "ftp://x", code=1).stderr
    nobody = f"https://127.0.0.1:{free_port()}"
    assert nobody in host.run("agent", "--join", token, nobody, code=1).stderr
    assert "join again with a new token" in host.run("agent", nobody, code=1).stderr


@pytest.mark.timeout(300)
def test_a_server_lives_on_a_joined_host(host: Machine, tmp_path: Path) -> None:
    port = str(free_port())
    control = Machine(tmp_path / "c", "control-1", CUMULET_LINK__HOST="127.0.0.1", CUMULET_LINK__PORT=port)
    try:
        control.run("up", "--no-seed")
        token = control.run("host", "token", "--name", "compute-7").stdout.strip()
        host.start("agent", "--join", token, url_of(control))
        spoken = {name: text for name, text in control._environment.items() if name.startswith("CUMULET_")}
        cloud: Any = seed.connect(settings.load(environ=spoken))
        until(lambda: {"control-1", "compute-7"} == {each.name for each in cloud.compute.hypervisors()})
        image = cloud.image.create_image(name="i", disk_format="raw", container_format="bare", data=b"x" * 1_000_000)
        flavor = cloud.compute.create_flavor(name="f", ram=64, vcpus=1, disk=1)
        words = {"image_id": image.id, "flavor_id": flavor.id, "networks": "none"}
        server = cloud.compute.create_server(name="s", availability_zone="nova:compute-7", **words)
        server = cloud.compute.wait_for_server(server, wait=100)
        assert (server.status, server.hypervisor_hostname) == ("ACTIVE", "compute-7")
        cloud.compute.delete_server(server)
        cloud.compute.wait_for_delete(server, wait=100)
    finally:
        control.run("down", code=None)
        control.close()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_host_goes_on_with_another_replica(
    engine: str, pytestconfig: pytest.Config, host: Machine, tmp_path: Path, number: signal.Signals
) -> None:
    if engine != POSTGRES:
        pytest.skip("a file has one control plane")
    url = pytestconfig.stash[ENGINES].new_url(engine)
    ports = [str(free_port()), str(free_port())]
    common = {"CUMULET_DATABASE__URL": url, "CUMULET_LINK__HOST": "127.0.0.1", "CUMULET_LINK__SILENCE": "3"}
    replicas = [
        Machine(tmp_path / "c", "control-1", CUMULET_LINK__PORT=port, CUMULET_REPLICA=name, **common)
        for name, port in zip(("a", "b"), ports, strict=True)
    ]
    host._environment["CUMULET_LINK__SILENCE"] = "3"
    try:
        processes = {}
        for name, machine in zip(("a", "b"), replicas, strict=True):
            processes[f"{name}/control"] = machine.start("serve")
            said = f"hosts may dial {url_of(machine)}"
            until(lambda said=said: said in replicas[0].words() or None)
        token = replicas[0].run("host", "token").stdout.strip()
        host.start("agent", "--join", token, *(url_of(machine) for machine in replicas))
        holder = until(lambda: replicas[0].hosts().get("compute-7", {}).get("replica"))
        begin = time.monotonic()
        processes[holder].send_signal(number)
        other = until(
            lambda: (now := replicas[0].hosts()["compute-7"])["reported_at"] and now["replica"] != holder and now
        )
        assert other["generation"] == 2
        assert time.monotonic() - begin < 60
        survivor = next(machine for name, machine in zip(("a", "b"), replicas, strict=True) if holder[0] != name)
        seen = until(lambda: json.loads(survivor.run("status", "--json", code=None).stdout)["hosts"])
        assert [(each["name"], each["replica"]) for each in seen] == [("compute-7", other["replica"])]
    finally:
        for process in processes.values():
            process.send_signal(signal.SIGCONT)
        for machine in replicas:
            machine.close()
