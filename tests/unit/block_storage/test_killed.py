# SPDX-License-Identifier: Apache-2.0
"""`kill -9` of control plane or agent inside any step of a volume's life: after a restart the work ends, cleanly."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest

from cumulet import settings as settings_module
from cumulet.kernel.secrets import Secrets
from support.waiting import until

PATIENCE = 60.0
ROOT = "/block-storage/v3"
MOMENTS = ("before", "inside", "after")


class KilledCloud:
    """Control plane and agent in processes of their own, volumes in real files."""

    def __init__(self, folder: Path, flags: Mapping[str, str] = MappingProxyType({})) -> None:
        self.faults = folder / "faults"
        self.flags = {
            "state": str(folder / "state"),
            "cache": str(folder / "cache"),
            "host": "host-1",
            "control.port": str(_free_port()),
            "data.port": str(_free_port()),
            "identity.bcrypt_rounds": "4",
            "compute.driver": "fake",
            "network.driver": "fake",
            **flags,
        }
        self.settings = settings_module.load(environ={}, overrides=self.flags)
        self.store = self.settings.state / "agent" / "block_storage"
        self._log = (folder / "log").open("ab")
        self._parts: dict[str, subprocess.Popen[bytes]] = {}
        self._token = ""

    def start(self, part: str) -> None:
        argv = [sys.executable, "-m", "cumulet.cli"]
        for name, value in self.flags.items():
            argv += ["--set", f"{name}={value}"]
        environment = {**os.environ, "CUMULET_FAULTS": str(self.faults)}
        self._parts[part] = subprocess.Popen(
            [*argv, part], env=environment, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log
        )

    def stop(self) -> None:
        for process in self._parts.values():
            process.terminate()
        for process in self._parts.values():
            process.wait(30)
        self._log.close()

    def revive(self, part: str = "serve") -> None:
        """Start the part again once it has died."""
        assert self._parts[part].wait(PATIENCE) == -9
        self.start(part)

    def kill(self, part: str) -> None:
        self._parts[part].kill()

    def ask(self, method: str, path: str, body: Any = None, root: str = ROOT) -> httpx.Response:
        """An answer of an API, that of volumes if none is named, asked for until there is one."""
        return until(lambda: self._ask(method, f"{root}{path}", body))

    def order(self, method: str, path: str, body: Any = None) -> None:
        """Ask once: who answers may be dead before it can."""
        self._ask(method, f"{ROOT}{path}", body)

    def only(self, kind: str) -> str:
        """The id of the only `volume` or `snapshot` that there is."""
        (found,) = self.ask("GET", f"/{kind}s").json()[f"{kind}s"]
        return str(found["id"])

    def status(self, kind: str, one: str) -> Any:
        """The status of a `volume` or `snapshot`; `deleted` where it is gone."""
        answer = self.ask("GET", f"/{kind}s/{one}")
        return "deleted" if answer.status_code == 404 else answer.json()[kind]["status"]

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.store)) for path in self.store.rglob("*") if path.is_file())

    def _ask(self, method: str, path: str, body: Any) -> httpx.Response | None:
        try:
            if not self._token:
                self._token = self._login()
            headers = {
                "x-auth-token": self._token,
                "openstack-api-version": "volume 3.71,compute 2.90",
                "connection": "close",
            }
            url = f"{self.settings.control_url}{path}"
            return httpx.request(method, url, json=body, headers=headers, timeout=10)
        except httpx.TransportError:
            return None

    def _login(self) -> str:
        password = Secrets(self.settings.state).get("admin_password")
        user = {"name": "admin", "domain": {"id": "default"}, "password": password}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        answer = httpx.post(f"{self.settings.control_url}/identity/v3/auth/tokens", json=body)
        return answer.headers["x-subject-token"]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KilledCloud]:
    cloud = KilledCloud(tmp_path_factory.mktemp("killed"))
    try:
        cloud.start("serve")
        cloud.ask("GET", "/volumes")
        cloud.start("agent")
        until(lambda: len(cloud.ask("GET", "/os-services").json()["services"]) == 3)
        yield cloud
    finally:
        cloud.stop()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_volume_lives_through_kills(killed: KilledCloud, moment: str) -> None:
    killed.faults.write_text(f"block_storage.create.make:{moment}")
    killed.order("POST", "/volumes", {"volume": {"size": 1}})
    killed.revive()
    volume = killed.only("volume")
    until(lambda: killed.status("volume", volume) == "available")

    killed.faults.write_text(f"block_storage.snapshot.take:{moment}")
    killed.order("POST", "/snapshots", {"snapshot": {"volume_id": volume}})
    killed.revive()
    snapshot = killed.only("snapshot")
    until(lambda: killed.status("snapshot", snapshot) == "available")
    assert killed.files() == [f"snapshots/{snapshot}.qcow2", f"volumes/{volume}.qcow2"]

    killed.faults.write_text(f"block_storage.extend.grow:{moment}")
    killed.order("POST", f"/volumes/{volume}/action", {"os-extend": {"new_size": 2}})
    killed.revive()
    until(lambda: killed.status("volume", volume) == "available")
    assert killed.ask("GET", f"/volumes/{volume}").json()["volume"]["size"] == 2

    killed.faults.write_text(f"block_storage.delete.remove:{moment}")
    killed.order("DELETE", f"/volumes/{volume}?cascade=true")
    killed.revive()
    until(lambda: killed.status("volume", volume) == "deleted")
    assert killed.files() == []
    used = killed.ask("GET", "/limits").json()["limits"]["absolute"]
    assert (used["totalVolumesUsed"], used["totalSnapshotsUsed"], used["totalGigabytesUsed"]) == (0, 0, 0)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_volume_lives_through_kills_of_its_host(killed: KilledCloud, moment: str) -> None:
    killed.faults.write_text(f"volume.create:{moment}")
    volume = killed.ask("POST", "/volumes", {"volume": {"size": 1}}).json()["volume"]["id"]
    killed.revive("agent")
    until(lambda: killed.status("volume", volume) == "available")

    killed.faults.write_text(f"volume.snapshot:{moment}")
    snapshot = killed.ask("POST", "/snapshots", {"snapshot": {"volume_id": volume}}).json()["snapshot"]["id"]
    killed.revive("agent")
    until(lambda: killed.status("snapshot", snapshot) == "available")
    assert killed.files() == [f"snapshots/{snapshot}.qcow2", f"volumes/{volume}.qcow2"]

    killed.faults.write_text(f"volume.delete:{moment}")
    killed.ask("DELETE", f"/volumes/{volume}?cascade=true")
    killed.revive("agent")
    until(lambda: killed.status("volume", volume) == "deleted")
    assert killed.files() == []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
