# SPDX-License-Identifier: Apache-2.0
"""A bit of everything in a cloud: an image, volumes, a snapshot, a network and a server with a volume."""

from __future__ import annotations

import time
from typing import Any

import httpx

from support.cloud import RunningCloud
from support.people import environment

PATIENCE = 120.0


class Sample:
    """What was made: `image` (its bytes are `picture`), `volume`, `snapshot`, `attached` (a volume), `server`."""

    def __init__(self, cloud: RunningCloud, picture: bytes, name: str = "sample") -> None:
        self.cloud = cloud
        self.name = name
        self.state = cloud.settings.state
        self.token = environment(cloud)["ADMIN_TOKEN"]
        self.http = httpx.Client(timeout=PATIENCE)
        self.image = self._upload(picture)
        self.volume = self._volume()
        body = {"volume_id": self.volume, "name": name}
        self.snapshot = self.post("block-storage/v3/snapshots", "snapshot", body)
        self.wait(f"block-storage/v3/snapshots/{self.snapshot}", "snapshot", "available")
        self.attached = self._volume()
        self.server = self._boot()
        body = {"volumeId": self.attached}
        self.post(f"compute/v2.1/servers/{self.server}/os-volume_attachments", "volumeAttachment", body)
        self.wait(f"block-storage/v3/volumes/{self.attached}", "volume", "in-use")

    def remove(self) -> None:
        """Delete the server, then everything else but the network."""
        base = self.cloud.control_url
        self._delete(f"{base}/compute/v2.1/servers/{self.server}")
        self.wait(f"block-storage/v3/volumes/{self.attached}", "volume", "available")
        self._delete(f"{base}/block-storage/v3/snapshots/{self.snapshot}")
        for volume in (self.volume, self.attached):
            self._delete(f"{base}/block-storage/v3/volumes/{volume}")
        self._delete(f"{self.cloud.data_url}/image/v2/images/{self.image}")

    def headers(self) -> dict[str, str]:
        return {"x-auth-token": self.token}

    def post(self, path: str, kind: str, body: dict[str, Any]) -> str:
        """Make something; its id."""
        url = f"{self.cloud.control_url}/{path}"
        answer = self.http.post(url, headers=self.headers(), json={kind: body})
        assert answer.status_code < 300, answer.text
        return str(answer.json()[kind]["id"])

    def get(self, url: str) -> Any:
        answer = self.http.get(url, headers=self.headers())
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wait(self, path: str, kind: str, status: str) -> None:
        """Until what is at `path` of the control plane has the status."""
        deadline = time.monotonic() + PATIENCE
        while (found := self.get(f"{self.cloud.control_url}/{path}")[kind]["status"]) != status:
            assert "rror" not in found.lower(), found
            assert time.monotonic() < deadline, found
            time.sleep(0.05)

    def _upload(self, picture: bytes) -> str:
        words = {"name": self.name, "disk_format": "raw", "container_format": "bare"}
        url = f"{self.cloud.data_url}/image/v2/images"
        image = str(self.http.post(url, headers=self.headers(), json=words).json()["id"])
        headers = {**self.headers(), "content-type": "application/octet-stream"}
        assert self.http.put(f"{url}/{image}/file", headers=headers, content=picture).status_code == 204
        return image

    def _volume(self) -> str:
        body = {"size": 1, "name": self.name, "imageRef": self.image}
        volume = self.post("block-storage/v3/volumes", "volume", body)
        self.wait(f"block-storage/v3/volumes/{volume}", "volume", "available")
        return volume

    def _boot(self) -> str:
        flavor = self.post("compute/v2.1/flavors", "flavor", {"name": self.name, "ram": 64, "vcpus": 1, "disk": 1})
        network = self.post("network/v2.0/networks", "network", {"name": self.name})
        body: dict[str, Any] = {"network_id": network, "ip_version": 4, "cidr": "10.77.0.0/24"}
        self.post("network/v2.0/subnets", "subnet", body)
        body = {"name": self.name, "imageRef": self.image, "flavorRef": flavor, "networks": [{"uuid": network}]}
        server = self.post("compute/v2.1/servers", "server", body)
        self.wait(f"compute/v2.1/servers/{server}", "server", "ACTIVE")
        return server

    def _delete(self, url: str) -> None:
        """Ask, and wait until it is gone."""
        deadline = time.monotonic() + PATIENCE
        while (status := self.http.delete(url, headers=self.headers()).status_code) != 404:
            assert status < 500, url
            assert time.monotonic() < deadline, f"{url}: {status}"
            time.sleep(0.1)
