# SPDX-License-Identifier: Apache-2.0
"""What projects may have where the identity service keeps their limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until

REGISTERED = {
    "servers": 3,
    "class:VCPU": 4,
    "class:MEMORY_MB": -1,
    "class:DISK_GB": 100,
    "server_metadata_items": 1,
    "server_key_pairs": 1,
    "server_groups": 1,
    "server_group_members": 1,
}
SERVICES = ("identity", "placement", "image", "network", "block_storage", "compute")


class Cloud:
    """A cloud whose operator has chosen unified limits; `ask` asks compute as a member."""

    def __init__(self, folder: Any) -> None:
        self.running = RunningCloud(folder, SERVICES, settings={"quota.driver": "unified"})
        self.people = environment(self.running)
        self._http = httpx.Client(timeout=60, base_url=self.running.control_url)
        self.flavor = self.ask("POST", "/flavors", {"flavor": {"name": "f", "ram": 64, "vcpus": 2, "disk": 1}}, "ADMIN")
        self.image = self._image()
        self.service = self.identity("GET", "/services?type=compute")["services"][0]["id"]

    def ask(self, method: str, path: str, body: Any = None, who: str = "MEMBER") -> Any:
        headers = {"X-Auth-Token": self.people[f"{who}_TOKEN"], "OpenStack-API-Version": "compute 2.95"}
        answer = self._http.request(method, f"/compute/v2.1{path}", json=body, headers=headers)
        said = answer.json() if answer.content else {}
        return said if answer.status_code < 300 else (answer.status_code, next(iter(said.values()))["message"])

    def identity(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"X-Auth-Token": self.people["SYSTEM_TOKEN"]}
        answer = self._http.request(method, f"/identity/v3{path}", json=body, headers=headers)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def boot(self, count: int = 1, **more: Any) -> Any:
        words = {"name": "s", "flavorRef": self.flavor["flavor"]["id"], "imageRef": self.image, "networks": "none"}
        return self.ask("POST", "/servers", {"server": {**words, "min_count": count, **more}})

    def choose(self, monkeypatch: pytest.MonkeyPatch, **words: Any) -> None:
        cloud = self.running.control.cloud
        chosen = msgspec.structs.replace(cloud.settings.quota, **words)
        monkeypatch.setattr(cloud, "settings", msgspec.structs.replace(cloud.settings, quota=chosen))

    def _image(self) -> str:
        headers = {"X-Auth-Token": self.people["MEMBER_TOKEN"]}
        words = {"name": "i", "disk_format": "raw", "container_format": "bare"}
        place = f"{self.running.data_url}/image/v2/images"
        image = self._http.post(place, json=words, headers=headers).json()["id"]
        octets = {**headers, "Content-Type": "application/octet-stream"}
        assert self._http.put(f"{place}/{image}/file", content=b"a system", headers=octets).status_code == 204
        return str(image)

    def close(self) -> None:
        self._http.close()
        self.running.close()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    made = Cloud(tmp_path_factory.mktemp("limits"))
    yield made
    made.close()


def test_what_nobody_registered_counts_as_the_settings_say(own: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "Resource servers is over limit of 0 due to current usage 0 and delta 1"
    refused = own.boot()
    assert refused[0] == 403
    assert words in refused[1]
    own.choose(monkeypatch, unified_limits_resource_list=("class:CUSTOM_GOLD",))
    assert own.ask("POST", "/os-keypairs", {"keypair": {"name": "free", "type": "ssh", "public_key": KEY}})["keypair"]
    own.choose(monkeypatch, unified_limits_resource_strategy="ignore", unified_limits_resource_list=())
    assert own.boot() == refused


def test_limits_of_the_identity_service_are_kept(own: Cloud) -> None:
    wanted = [
        {"service_id": own.service, "resource_name": name, "default_limit": limit} for name, limit in REGISTERED.items()
    ]
    own.identity("POST", "/registered_limits", {"registered_limits": wanted})
    project = own.people["PROJECT_ID"]
    words = f"Project {project} is over a limit for [Resource class:VCPU is over limit of 4 due to current usage"
    refused = own.boot(3)
    assert refused[0] == 403
    assert refused[1].startswith(f"{words} 0 and delta 6")
    assert own.boot(2, max_count=3)["server"]["id"]
    assert own.boot() == (403, f"{words} 4 and delta 2, {MEMORY}]")
    own.identity("POST", "/limits", {"limits": [{"project_id": project, "service_id": own.service, **MORE}]})
    refused = own.boot(2)
    assert refused[1].startswith(f"Project {project} is over a limit for [Resource servers is over limit of 3 due to")
    server = own.boot()["server"]["id"]
    until(lambda: own.ask("GET", f"/servers/{server}")["server"]["status"] == "ACTIVE")
    refused = own.ask("POST", f"/servers/{server}/metadata", {"metadata": {"a": "1", "b": "2"}})
    words = "is over limit of 1 due to current usage 0 and delta 2]"
    assert refused == (403, f"Project None is over a limit for [Resource server_metadata_items {words}")


def test_what_users_have_is_held_against_registered_limits(own: Cloud) -> None:
    refused = own.ask("POST", "/os-keypairs", {"keypair": {"name": "more", "type": "ssh", "public_key": KEY}})
    words = "is over limit of 1 due to current usage 1 and delta 1]"
    assert refused == (403, f"Project None is over a limit for [Resource server_key_pairs {words}")
    group = {"server_group": {"name": "g", "policy": "affinity"}}
    assert own.ask("POST", "/os-server-groups", group)["server_group"]
    refused = own.ask("POST", "/os-server-groups", group)
    assert refused == (403, f"Project None is over a limit for [Resource server_groups {words}")


def test_quotas_show_the_limits_and_change_nothing(own: Cloud) -> None:
    project = own.people["PROJECT_ID"]
    shown = own.ask("GET", f"/os-quota-sets/{project}/detail")["quota_set"]
    assert shown["instances"] == {"limit": 3, "in_use": 3, "reserved": 0}
    assert shown["cores"] == {"limit": 9, "in_use": 6, "reserved": 0}
    assert (shown["ram"]["limit"], shown["key_pairs"]["limit"], shown["server_groups"]["in_use"]) == (-1, 1, 1)
    assert own.ask("GET", f"/os-quota-sets/{project}/defaults")["quota_set"]["cores"] == 4
    for path in (f"/os-quota-sets/{project}", "/os-quota-class-sets/default"):
        body = {"quota_set" if "sets/" in path and "class" not in path else "quota_class_set": {"cores": 1}}
        assert own.ask("PUT", path, body, "ADMIN")
    own.ask("DELETE", f"/os-quota-sets/{project}", None, "ADMIN")
    assert own.ask("GET", f"/os-quota-sets/{project}")["quota_set"]["cores"] == 9
    absolute = own.ask("GET", "/limits")["limits"]["absolute"]
    assert (absolute["maxTotalInstances"], absolute["totalCoresUsed"], absolute["maxServerMeta"]) == (3, 6, 1)


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5r0hYQ6yWlLkQm4Rg5bXv2jJm6Wn0yq1c3s9cVtN2e limits"
MORE = {"resource_name": "class:VCPU", "resource_limit": 9}
MEMORY = "Resource class:MEMORY_MB is over limit of -1 due to current usage 128 and delta 64"
