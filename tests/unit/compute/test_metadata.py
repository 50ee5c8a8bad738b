# SPDX-License-Identifier: Apache-2.0
"""What a guest reads of itself: the documents and listings of both trees, and what its config drive holds."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from cumulet.services.compute.logic import metadata, personality
from cumulet.services.compute.store import servers
from cumulet.services.network.contract import MetadataAnswer, MetadataQuery
from support.cloud import RunningCloud
from support.people import environment

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE4d3uPpNlv4bF9yyN0dM5O9xJfuGzrMNl4vLwqJkTbQ one"
SCRIPT = b"#!/bin/sh\necho hello\n"


class Guest:
    """One server of a small cloud, and the questions that it asks."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.cloud = cloud.control.cloud
        self._headers = {"x-auth-token": environment(cloud)["MEMBER_TOKEN"], "openstack-api-version": "compute 2.100"}
        self._control, self._data = cloud.control_url, cloud.data_url
        new_image = {"name": "image", "disk_format": "raw", "container_format": "bare"}
        image = self._ask("POST", f"{self._data}/image/v2/images", new_image)["id"]
        media = {**self._headers, "content-type": "application/octet-stream"}
        httpx.put(f"{self._data}/image/v2/images/{image}/file", headers=media, content=bytes(4096)).raise_for_status()
        network = self._ask("POST", f"{self._control}/network/v2.0/networks", {"network": {"name": "net"}})["network"]
        subnet = {"network_id": network["id"], "cidr": "10.9.0.0/24", "ip_version": 4, "dns_nameservers": ["10.9.0.2"]}
        self._ask("POST", f"{self._control}/network/v2.0/subnets", {"subnet": subnet})
        self._ask(
            "POST", f"{self._control}/compute/v2.1/os-keypairs", {"keypair": {"name": "key one", "public_key": KEY}}
        )
        flavor = self._ask("GET", f"{self._control}/compute/v2.1/flavors")["flavors"][0]["id"]
        body = {
            "name": "My Server",
            "imageRef": image,
            "flavorRef": flavor,
            "networks": [{"uuid": network["id"]}],
            "key_name": "key one",
            "metadata": {"role": "db"},
            "user_data": base64.b64encode(SCRIPT).decode(),
            "config_drive": True,
        }
        self.id = self._ask("POST", f"{self._control}/compute/v2.1/servers", {"server": body})["server"]["id"]
        self.network_id = network["id"]
        deadline = time.monotonic() + 30
        while (server := self.view())["status"] == "BUILD":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert server["status"] == "ACTIVE"
        self.address = server["addresses"]["net"][0]["addr"]

    def view(self) -> Any:
        return self._ask("GET", f"{self._control}/compute/v2.1/servers/{self.id}")["server"]

    def read(self, path: str, address: str = "") -> MetadataAnswer:
        query = MetadataQuery(network_id=self.network_id, address=address or self.address, path=path)
        return metadata.answer(self.cloud, query)

    def lines(self, path: str) -> list[str]:
        return self.read(path).body.decode().splitlines()

    def _ask(self, method: str, url: str, body: Any = None) -> Any:
        answer = httpx.request(method, url, json=body, headers=self._headers)
        assert answer.status_code < 300, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    cloud = RunningCloud(tmp_path_factory.mktemp("cloud"))
    try:
        make_flavor(cloud)
        yield Guest(cloud)
    finally:
        cloud.close()


def make_flavor(cloud: RunningCloud) -> None:
    """A flavor, which only an administrator can make."""
    headers = {"x-auth-token": environment(cloud)["ADMIN_TOKEN"]}
    body = {"flavor": {"name": "small", "ram": 64, "vcpus": 1, "disk": 1}}
    httpx.post(f"{cloud.control_url}/compute/v2.1/flavors", json=body, headers=headers).raise_for_status()


def test_openstack_documents(guest: Guest) -> None:
    for version in ("latest", "2012-08-10", "2018-08-27"):
        found = json.loads(guest.read(f"/openstack/{version}/meta_data.json").body)
        assert found["uuid"] == guest.id
        assert found["name"] == "My Server"
        assert found["hostname"] == "my-server"
        assert found["meta"] == {"role": "db"}
        assert found["public_keys"] == {"key one": KEY}
        assert guest.read(f"/openstack/{version}/user_data").body == SCRIPT
    assert guest.read("/openstack/latest/meta_data.json").media_type == "application/json"
    assert guest.read("/openstack/2012-08-10/network_data.json").status == 404


def test_the_documents_do_not_change_under_the_guest(guest: Guest) -> None:
    path = "/openstack/latest/meta_data.json"
    assert guest.read(path).body == guest.read(path).body


def test_network_data(guest: Guest) -> None:
    found = json.loads(guest.read("/openstack/latest/network_data.json").body)
    [link], [network] = found["links"], found["networks"]
    assert link["ethernet_mac_address"].startswith("fa:16:3e:")
    assert (network["type"], network["link"], network["network_id"]) == ("ipv4_dhcp", link["id"], guest.network_id)
    assert found["services"] == [{"type": "dns", "address": "10.9.0.2"}]


def test_ec2_tree(guest: Guest) -> None:
    for version in ("latest", "2009-04-04"):
        base = f"/{version}/meta-data"
        assert guest.read(f"{base}/instance-id").body.startswith(b"i-")
        assert guest.read(f"{base}/local-ipv4").body.decode() == guest.address
        assert guest.read(f"{base}/hostname").body == b"my-server"
        assert guest.lines(f"{base}/public-keys/") == ["0=key one"]
        assert guest.read(f"{base}/public-keys/0/openssh-key").body.decode() == KEY
        assert guest.read(f"/{version}/user-data").body == SCRIPT


def test_listings(guest: Guest) -> None:
    assert {"latest", "2009-04-04", "openstack"} <= set(guest.lines("/"))
    assert {"latest", "2012-08-10"} <= set(guest.lines("/openstack"))
    assert {"meta_data.json", "network_data.json", "user_data"} <= set(guest.lines("/openstack/latest/"))
    assert {"meta-data/", "user-data"} <= set(guest.lines("/latest"))
    assert {"instance-id", "placement/", "public-keys/"} <= set(guest.lines("/latest/meta-data"))
    assert guest.lines("/latest/meta-data/placement") == ["availability-zone"]


def test_what_is_not_there(guest: Guest) -> None:
    for path in ("/openstack/1999-01-01", "/latest/meta-data/nothing", "/../etc/passwd", "/openstack/latest/meta"):
        assert guest.read(path).status == 404
    assert guest.read("/openstack/latest/meta_data.json", "10.9.0.200").status == 404


def test_the_config_drive_holds_both_trees(guest: Guest) -> None:
    server = servers.find(guest.cloud.db, guest.id)
    assert server is not None
    files = metadata.config_drive(guest.cloud, server)
    assert json.loads(files["openstack/latest/meta_data.json"])["uuid"] == guest.id
    assert files["openstack/latest/user_data"] == SCRIPT
    assert json.loads(files["ec2/latest/meta-data.json"])["local-ipv4"] == guest.address


def test_the_config_drive_holds_the_users_files(guest: Guest) -> None:
    server = servers.find(guest.cloud.db, guest.id)
    assert server is not None
    files = [personality.File("/etc/motd", "aGVsbG8="), personality.File("empty", "")]
    tree = metadata.config_drive(guest.cloud, server, files)
    named = {
        each["path"]: each["content_path"] for each in json.loads(tree["openstack/latest/meta_data.json"])["files"]
    }
    assert {path: tree[f"openstack{place}"] for path, place in named.items()} == {"/etc/motd": b"hello", "empty": b""}
    assert "files" not in json.loads(guest.read("/openstack/latest/meta_data.json").body)
