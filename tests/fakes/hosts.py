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
        self.image = self._image(cloud.settings.data.port, words["ADMIN_TOKEN"])
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

    def _image(self, data_port: int, token: str) -> str:
        words = {"name": "disk", "disk_format": "raw", "container_format": "bare", "visibility": "public"}
        connection = http.client.HTTPConnection("127.0.0.1", data_port, timeout=PATIENCE)
        made: str = Caller(data_port, token)("POST", "/image/v2/images", words)["id"]
        headers = {"x-auth-token": token, "content-type": "application/octet-stream"}
        connection.request("PUT", f"/image/v2/images/{made}/file", bytes(4096), headers)
        assert connection.getresponse().status == 204
        connection.close()
        return made
