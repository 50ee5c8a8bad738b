# SPDX-License-Identifier: Apache-2.0
"""Further fake hosts of a running cloud, and servers on them."""

from __future__ import annotations

import http.client
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from cumulet.agent import Agent
from support.caller import Caller
from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until

PATIENCE = 60.0  # seconds that anything may take on a busy machine


@contextmanager
def another_host(cloud: RunningCloud, name: str) -> Iterator[Agent]:
    """An agent beside the first one, with a state of its own."""
    state = cloud.settings.state / name
    agent = Agent(msgspec.structs.replace(cloud.settings, host=name, state=state, run=cloud.settings.run))
    agent.start()
    try:
        until(lambda: name in {host.name for host in cloud.control.hosts.connected()})
        yield agent
    finally:
        agent.stop()


class Tenant:
    """A member of a project, an admin at their side, and what servers need."""

    def __init__(self, cloud: RunningCloud) -> None:
        words = environment(cloud)
        port = cloud.settings.control.port
        self.admin_project, self.project = words["ADMIN_PROJECT_ID"], words["PROJECT_ID"]
        self.api = Caller(port, words["MEMBER_TOKEN"], {"openstack-api-version": "compute 2.74, volume 3.60"})
        self.admin = Caller(port, words["ADMIN_TOKEN"], {"openstack-api-version": "compute 2.74, volume 3.60"})
        self._data = cloud.settings.data.port, words["ADMIN_TOKEN"]
        self.image = self.new_image()
        flavor = {"name": secrets.token_hex(4), "ram": 64, "vcpus": 1, "disk": 1}
        self.flavor = self.admin("POST", "/compute/v2.1/flavors", {"flavor": flavor})["flavor"]["id"]

    def server(self, host: str = "", **more: Any) -> dict[str, Any]:
        """A server that runs, on `host` if one is named."""
        wanted: dict[str, Any] = {"name": secrets.token_hex(4), "flavorRef": self.flavor, "networks": "none", **more}
        if "block_device_mapping_v2" not in more:
            wanted["imageRef"] = self.image
        if host:
            wanted["host"] = host
        caller = self.admin if host else self.api
        made = caller("POST", "/compute/v2.1/servers", {"server": wanted})["server"]["id"]
        return self.settled(made)

    def settled(self, server_id: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found = self.admin("GET", f"/compute/v2.1/servers/{server_id}")["server"]
            rests = found["OS-EXT-STS:task_state"] is None and found["status"] != "BUILD"
            return found if rests else None

        found: dict[str, Any] = until(look, PATIENCE)
        assert found["status"] != "ERROR", found.get("fault")
        return found

    def volume(self, size: int = 1) -> str:
        body = {"volume": {"size": size, "name": secrets.token_hex(4)}}
        made: str = self.admin("POST", "/block-storage/v3/volumes", body)["volume"]["id"]
        self.volume_in(made, "available")
        return made

    def volume_in(self, volume_id: str, status: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found = self.admin("GET", f"/block-storage/v3/volumes/{volume_id}")["volume"]
            assert not found["status"].startswith("error"), found
            return found if found["status"] == status else None

        found: dict[str, Any] = until(look, PATIENCE)
        return found

    def gone(self, server_id: str) -> None:
        self.admin("DELETE", f"/compute/v2.1/servers/{server_id}")
        path = f"/compute/v2.1/servers/{server_id}"
        until(lambda: self.admin.ask("GET", path)[0] == 404, PATIENCE)

    def new_image(self, **more: str) -> str:
        """A public image with these words on it."""
        data_port, token = self._data
        words = {"name": "disk", "disk_format": "raw", "container_format": "bare", "visibility": "public", **more}
        connection = http.client.HTTPConnection("127.0.0.1", data_port, timeout=PATIENCE)
        made: str = Caller(data_port, token)("POST", "/image/v2/images", words)["id"]
        headers = {"x-auth-token": token, "content-type": "application/octet-stream"}
        connection.request("PUT", f"/image/v2/images/{made}/file", bytes(4096), headers)
        assert connection.getresponse().status == 204
        connection.close()
        return made


NOVA, NEUTRON = "/compute/v2.1", "/network/v2.0"


class PortLab:
    """A cloud of one host, its admin, and servers on ports that are made for them."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.cloud, self.tenant = cloud, Tenant(cloud)
        self.token = environment(cloud)["ADMIN_TOKEN"]
        words = {"openstack-api-version": "compute 2.90, placement 1.39"}
        self.ask = Caller(cloud.settings.control.port, self.token, words)

    def make(self, kind: str, path: str = "", **words: Any) -> str:
        """The id of a new thing of the network service, at `path` where that is not the kind's own."""
        return str(self.ask("POST", f"{NEUTRON}{path or f'/{kind}s'}", {kind: words})[kind]["id"])

    def told(self, port: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"{NEUTRON}/ports/{port}")["port"]
        return found

    def boot(self, *ports: str, status: str = "ACTIVE", **more: Any) -> str:
        words = {"name": secrets.token_hex(4), "flavorRef": self.tenant.flavor, "imageRef": self.tenant.image}
        words["networks"] = [{"port": port} for port in ports]
        made = str(self.ask("POST", f"{NOVA}/servers", {"server": {**words, **more}})["server"]["id"])
        self.rest(made, status)
        return made

    def rest(self, server: str, status: str) -> dict[str, Any]:
        """The server once it is in the status, and nothing is done to it."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.ask("GET", f"{NOVA}/servers/{server}")["server"]
            return found if found["status"] == status and found["OS-EXT-STS:task_state"] is None else None

        found: dict[str, Any] = until(look, PATIENCE)
        return found

    def act(self, server: str, status: str, **action: Any) -> None:
        self.ask("POST", f"{NOVA}/servers/{server}/action", action)
        self.rest(server, status)
