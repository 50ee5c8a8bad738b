# SPDX-License-Identifier: Apache-2.0
"""Servers that can be had back, that stay on their hosts while shelved, and those that boot from volumes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest

from cumulet.kernel import clock, ids
from cumulet.kernel.saga import Run
from cumulet.services.compute.flows import shelve as shelve_flow
from cumulet.services.compute.logic import shelve, soft_delete
from cumulet.services.compute.store import life as life_store
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import Server
from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until

Set = Callable[..., None]


class User:
    """An administrator with images and a flavor."""

    def __init__(self, cloud: RunningCloud, compute: httpx.Client) -> None:
        self.cloud, self.compute = cloud, compute
        self.image, self.mender = self._image(), self._image(hw_rescue_bus="usb", hw_rescue_device="disk")
        flavor = {"name": f"lives-{ids.new_uuid()}", "ram": 64, "vcpus": 1, "disk": 1}
        self.flavor = self.ask("POST", "/flavors", {"flavor": flavor})["flavor"]["id"]

    def ask(self, method: str, path: str, body: Any = None, status: int | None = None, version: str = "2.95") -> Any:
        headers = {"openstack-api-version": f"compute {version}"}
        answer = self.compute.request(method, path, json=body, headers=headers)
        assert answer.status_code == status if status else answer.is_success, answer.text
        return answer.json() if answer.content else None

    def server(self, **more: Any) -> str:
        words = {"name": "one", "flavorRef": self.flavor, "networks": "none", "imageRef": self.image, **more}
        made = str(self.ask("POST", "/servers", {"server": words})["server"]["id"])
        self.has_become(made, "ACTIVE")
        return made

    def server_on_volume(self) -> str:
        disk = {"source_type": "image", "uuid": self.image, "destination_type": "volume", "volume_size": 1}
        root = {**disk, "boot_index": 0, "delete_on_termination": True}
        return self.server(imageRef="", block_device_mapping_v2=[root])

    def act(self, server: str, name: str, body: Any = None, **more: Any) -> Any:
        return self.ask("POST", f"/servers/{server}/action", {name: body}, **more)

    def look(self, server: str) -> Any:
        return self.ask("GET", f"/servers/{server}")["server"]

    def has_become(self, server: str, status: str) -> None:
        """Wait for the status, with nothing under way."""
        until(lambda: (found := self.look(server))["status"] == status and found["OS-EXT-STS:task_state"] is None)

    def remove(self, server: str) -> None:
        self.act(server, "forceDelete")
        until(lambda: self.is_gone(server))

    def is_gone(self, server: str) -> bool:
        return store.find(self.cloud.control.cloud.db, server) is None

    def listed(self, query: str = "") -> list[str]:
        return [each["id"] for each in self.ask("GET", f"/servers?{query}")["servers"]]

    def _image(self, **words: str) -> str:
        headers = {"x-auth-token": self.compute.headers["x-auth-token"]}
        with httpx.Client(base_url=f"{self.cloud.data_url}/image/v2", headers=headers, timeout=60) as http:
            made = http.post("/images", json={"name": "a", "disk_format": "raw", "container_format": "bare", **words})
            image = str(made.json()["id"])
            octets = {"content-type": "application/octet-stream"}
            assert http.put(f"/images/{image}/file", content=b"system", headers=octets).status_code == 204
        return image


@pytest.fixture(scope="module")
def user(cloud: RunningCloud) -> Iterator[User]:
    headers = {"x-auth-token": environment(cloud)["ADMIN_TOKEN"]}
    with httpx.Client(base_url=f"{cloud.control_url}/compute/v2.1", headers=headers, timeout=60) as http:
        yield User(cloud, http)


@pytest.fixture
def say(cloud: RunningCloud, monkeypatch: pytest.MonkeyPatch) -> Set:
    """Settings of compute, for the rest of the test."""

    def change(**values: Any) -> None:
        control = cloud.control.cloud
        compute = msgspec.structs.replace(control.settings.compute, **values)
        changed = msgspec.structs.replace(control.settings, compute=compute)
        monkeypatch.setattr(control, "settings", changed)

    return change


def test_a_server_that_is_deleted_while_it_is_shelved_stays_so(
    user: User, say: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(reclaim_instance_interval=3600)
    server, control = user.server(name="both"), user.cloud.control.cloud
    tell = shelve_flow.tell_host

    def delete_meanwhile(run: Run, row: Server, verb: str, *words: Any, **more: Any) -> Any:
        if verb == "create_image":
            user.ask("DELETE", f"/servers/{server}")
        return tell(run, row, verb, *words, **more)

    monkeypatch.setattr(shelve_flow, "tell_host", delete_meanwhile)
    user.act(server, "shelve")
    until(lambda: user.look(server)["status"] == "SOFT_DELETED")
    until(lambda: not control.sagas.unfinished(control.db, server))
    user.has_become(server, "SOFT_DELETED")
    image = life_store.find(control.db, server).shelved_image_id
    user.act(server, "restore")
    user.has_become(server, "ACTIVE")
    until(lambda: user.ask("GET", f"/images/{image}", status=404, version="2.1"))
    user.remove(server)


def test_a_deleted_server_is_had_back_or_ends_in_time(user: User, say: Set) -> None:
    say(reclaim_instance_interval=3600)
    server, control = user.server(), user.cloud.control.cloud
    user.ask("DELETE", f"/servers/{server}")
    user.has_become(server, "SOFT_DELETED")
    assert server not in user.listed()
    assert server in user.listed("soft_deleted=True")
    user.act(server, "os-start", status=409)
    user.ask("DELETE", f"/servers/{server}")  # once more is the same
    user.act(server, "restore")
    user.has_become(server, "ACTIVE")
    assert server in user.listed()
    user.ask("DELETE", f"/servers/{server}")
    user.has_become(server, "SOFT_DELETED")
    soft_delete.reclaim(control)
    assert user.look(server)["status"] == "SOFT_DELETED"
    long_ago = clock.utcnow() - timedelta(hours=2)
    control.db.write(lambda tx: life_store.change(tx, server, soft_deleted_at=long_ago))
    soft_delete.reclaim(control)
    until(lambda: user.is_gone(server))


def test_a_shelved_server_stays_on_its_host_for_a_while(user: User, say: Set) -> None:
    say(shelved_offload_time=3600)
    server, control = user.server(), user.cloud.control.cloud
    for leave in (False, True):
        user.act(server, "shelve")
        user.has_become(server, "SHELVED")
        assert user.look(server)["OS-EXT-SRV-ATTR:host"]
        refused = user.act(server, "unshelve", {"availability_zone": "nova"}, status=409)
        assert "The server status must be SHELVED_OFFLOADED." in refused["conflictingRequest"]["message"]
        if leave:
            long_ago = clock.utcnow() - timedelta(hours=2)
            shelve.offload_old(control)
            control.db.write(lambda tx, moment=long_ago: life_store.change(tx, server, shelved_at=moment))
            shelve.offload_old(control)
            user.has_become(server, "SHELVED_OFFLOADED")
        user.act(server, "unshelve")
        user.has_become(server, "ACTIVE")
    user.act(server, "shelve")
    user.has_become(server, "SHELVED")
    user.act(server, "shelveOffload")
    user.has_become(server, "SHELVED_OFFLOADED")
    host = user.ask("GET", "/os-hypervisors")["hypervisors"][0]["hypervisor_hostname"]
    user.act(server, "unshelve", {"host": host, "availability_zone": None})
    user.has_become(server, "ACTIVE")
    user.act(server, "shelve")
    user.has_become(server, "SHELVED")
    image = life_store.find(control.db, server).shelved_image_id
    user.remove(server)
    assert image is not None
    headers = {"x-auth-token": user.compute.headers["x-auth-token"]}
    assert httpx.get(f"{user.cloud.data_url}/image/v2/images/{image}", headers=headers).status_code == 404


def test_the_life_of_a_server_on_a_volume(user: User) -> None:
    server = user.server_on_volume()
    assert user.act(server, "createBackup", {"name": "b", "backup_type": "daily", "rotation": 1}, status=400)
    refused = user.act(server, "rebuild", {"imageRef": user.mender}, status=400, version="2.92")
    assert "Unable to rebuild with a different image" in refused["badRequest"]["message"]
    for image, version in ((user.image, "2.92"), (user.mender, "2.93")):
        user.act(server, "rebuild", {"imageRef": image}, version=version)
        user.has_become(server, "ACTIVE")
    for version, image in (("2.86", user.mender), ("2.87", user.image)):
        refused = user.act(server, "rescue", {"rescue_image_ref": image}, status=400, version=version)
        assert "Cannot rescue a volume-backed instance" in refused["badRequest"]["message"]
    user.act(server, "rescue", {"rescue_image_ref": user.mender}, version="2.87")
    user.has_become(server, "RESCUE")
    user.act(server, "unrescue")
    user.has_become(server, "ACTIVE")
    user.act(server, "shelve")
    user.has_become(server, "SHELVED_OFFLOADED")
    user.act(server, "unshelve")
    user.has_become(server, "ACTIVE")
    assert user.look(server)["image"] == ""
    user.remove(server)
