# SPDX-License-Identifier: Apache-2.0
"""`cumulet explain` on a cloud of its own: what works, what waits and why, what failed and what to do."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cumulet import cli
from cumulet.kernel.errors import NotReady
from support.cloud import RunningCloud
from support.people import environment

PATIENCE = 120.0

pytestmark = pytest.mark.timeout(400)


class Asked:
    """A cloud with people, and the command."""

    def __init__(self, cloud: RunningCloud, capsys: pytest.CaptureFixture[str]) -> None:
        self.cloud = cloud
        self.capsys = capsys
        self.token = environment(cloud)["ADMIN_TOKEN"]
        self.network = self.post("network/v2.0/networks", "network", {"name": "n"})
        body = {"network_id": self.network, "ip_version": 4, "cidr": "10.77.0.0/24"}
        self.post("network/v2.0/subnets", "subnet", body)
        self.flavor = self.post("compute/v2.1/flavors", "flavor", {"name": "f", "ram": 64, "vcpus": 1, "disk": 1})
        self.image = self.upload()

    def upload(self) -> str:
        words = {"name": "picture", "disk_format": "raw", "container_format": "bare"}
        url = f"{self.cloud.data_url}/image/v2/images"
        image = str(httpx.post(url, headers={"x-auth-token": self.token}, json=words).json()["id"])
        headers = {"x-auth-token": self.token, "content-type": "application/octet-stream"}
        assert httpx.put(f"{url}/{image}/file", headers=headers, content=b"\0" * 512).status_code == 204
        return image

    def post(self, path: str, kind: str, body: dict[str, Any]) -> str:
        url = f"{self.cloud.control_url}/{path}"
        answer = httpx.post(url, headers={"x-auth-token": self.token}, json={kind: body}, timeout=30)
        assert answer.status_code < 300, answer.text
        return str(answer.json()[kind]["id"])

    def boot(self, **words: Any) -> str:
        body = {"name": "vm", "imageRef": self.image, "flavorRef": self.flavor, "networks": [{"uuid": self.network}]}
        return self.post("compute/v2.1/servers", "server", {**body, **words})

    def explain(self, kind: str, key: str) -> dict[str, Any]:
        assert cli.main(["--state", str(self.cloud.settings.state), "explain", "--json", kind, key]) == 0
        found: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        return found

    def text(self, kind: str, key: str) -> str:
        assert cli.main(["--state", str(self.cloud.settings.state), "explain", kind, key]) == 0
        return self.capsys.readouterr().out

    def until(self, key: str, there: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while not there(found := self.explain("server", key)):
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        return found


@pytest.fixture
def asked(capsys: pytest.CaptureFixture[str]) -> Iterator[Asked]:
    with tempfile.TemporaryDirectory(prefix="cml-") as folder:
        cloud = RunningCloud(Path(folder) / "s")
        try:
            yield Asked(cloud, capsys)
        finally:
            cloud.close()


def test_a_server_that_works(asked: Asked) -> None:
    server = asked.boot()
    found = asked.until(server, lambda found: found["state"] == "ACTIVE")
    assert found["owner"]["project"]
    assert found["host"] == "host-1"
    assert found["link"]["joined"]
    assert found["reported"] == {"power_state": "RUNNING"}
    assert found["facts"]["allocation"]
    assert [part["kind"] for part in found["parts"]] == ["port"]
    boot = found["sagas"][0]
    assert (boot["flow"], boot["status"]) == ("compute.boot", "done")
    assert {step["is"] for step in boot["steps"]} == {"done"}
    assert [event["what"] for event in found["events"]] == ["create"]
    assert found["waiting"] == []
    text = asked.text("server", server)
    assert f"server {server} (vm) is ACTIVE" in text
    assert "Waiting for:\n  - nothing" in text
    port = asked.explain("port", found["parts"][0]["id"])
    assert port["state"] == "ACTIVE"
    assert port["reported"]["stands"] is True
    assert {part["kind"] for part in port["parts"]} == {"subnet", "security group"}
    assert port["waiting"] == []
    assert [layer["name"] for layer in port["layers"]] == ["host", "told", "switch", "device"]
    assert all(layer["sound"] for layer in port["layers"])
    text = asked.text("port", port["id"])
    assert f"port {port['id']}" in text
    assert "ok  device: open" in text
    address = next(part["address"] for part in port["parts"] if part["kind"] == "subnet")
    state = str(asked.cloud.settings.state)
    argv = ["--state", state, "explain", "port", port["id"], "--to"]
    assert cli.main([*argv, "203.0.113.9", "--protocol", "tcp", "--number", "80"]) == 0
    text = asked.capsys.readouterr().out
    assert f"port {port['id']} may send from {address}" in text
    assert "it does not arrive" in text
    assert cli.main([*argv, "nowhere"]) == 1
    assert "neither an address nor a port" in asked.capsys.readouterr().err


def test_a_server_whose_host_does_not_answer(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step that waits, since when, why, and when it is tried again."""
    call = asked.cloud.control.hosts.call

    def deaf(host: str, verb: str, body: dict[str, Any], **words: Any) -> Any:
        if verb.startswith("server."):
            raise NotReady("the host is struck dumb")
        return call(host, verb, body, **words)

    monkeypatch.setattr(asked.cloud.control.hosts, "call", deaf)
    server = asked.boot()
    found = asked.until(server, lambda found: any("struck dumb" in line for line in found["waiting"]) and found["host"])
    assert found["state"] == "BUILD"
    boot = found["sagas"][0]
    assert boot["status"] == "running"
    assert boot["attempts"] > 0
    assert boot["next_attempt_in"] is not None
    assert [step["name"] for step in boot["steps"] if step["is"] == "under way"] == [boot["step"]]
    assert found["reported"] == {"silent": "the host is struck dumb"}
    assert any(boot["request_id"] in line for line in found["advice"])
    assert "struck dumb" in asked.text("server", server)
    monkeypatch.setattr(asked.cloud.control.hosts, "call", call)
    found = asked.until(server, lambda found: found["state"] == "ACTIVE")
    assert found["sagas"][0]["error"] is None
    assert found["waiting"] == []


def test_a_server_that_no_host_takes(asked: Asked) -> None:
    huge = asked.post("compute/v2.1/flavors", "flavor", {"name": "huge", "ram": 64, "vcpus": 1, "disk": 9999})
    server = asked.boot(flavorRef=huge)
    found = asked.until(server, lambda found: found["state"] == "ERROR")
    assert found["sagas"][0]["status"] == "failed"
    assert found["facts"]["fault"]
    assert any("No host took it" in line for line in found["advice"])


@pytest.mark.parametrize(
    ("kind", "key", "words"),
    [("server", "none", "There is no server none"), ("port", "none", "no port"), ("moon", "x", "cannot be explained")],
)
def test_what_is_not_there(cloud: RunningCloud, capsys: pytest.CaptureFixture[str], kind, key, words) -> None:
    assert cli.main(["--state", str(cloud.settings.state), "explain", kind, key]) == 1
    assert words in capsys.readouterr().err


def test_a_cloud_that_does_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--state", str(tmp_path), "explain", "server", "x"]) == 1
    assert "does not answer" in capsys.readouterr().err
