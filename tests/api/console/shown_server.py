# SPDX-License-Identifier: Apache-2.0
"""A server on a cloud of fakes, the URLs of its consoles, and clients of them."""

from __future__ import annotations

import hashlib
from urllib.parse import parse_qs, urlsplit

import httpx
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until

BINARY = [Subprotocol("binary")]


class Shown:
    """A server on the shared cloud, and clients of it."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.cloud = cloud
        self.words = environment(cloud)
        self.http = httpx.Client(
            base_url=f"{cloud.control_url}/compute/v2.1",
            headers={"x-auth-token": self.words["MEMBER_TOKEN"], "openstack-api-version": "compute 2.99"},
            timeout=60,
        )
        self.images = httpx.Client(base_url=cloud.data_url, headers={"x-auth-token": self.words["MEMBER_TOKEN"]})
        self.server_id = self._server()

    def ask(self, protocol: str, type_: str, **more: str) -> httpx.Response:
        body = {"remote_console": {"protocol": protocol, "type": type_}}
        return self.http.post(f"/servers/{self.server_id}/remote-consoles", json=body, headers=more)

    def url(self, protocol: str = "vnc", type_: str = "novnc") -> str:
        answer = self.ask(protocol, type_)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["remote_console"]["url"])

    def socket(self, url: str) -> str:
        """The address that noVNC's page connects to."""
        parts = urlsplit(url)
        if parts.scheme == "ws":
            return url
        return f"ws://{parts.netloc}/{parse_qs(parts.query)['path'][0]}"

    def open(self, url: str, origin: str | None = None) -> ClientConnection:
        return connect(self.socket(url), subprotocols=BINARY, origin=origin and Origin(origin), proxy=None)

    def close(self) -> None:
        self.http.delete(f"/servers/{self.server_id}")
        until(lambda: self.http.get(f"/servers/{self.server_id}").status_code == 404)
        self.http.close()
        self.images.close()

    def _server(self) -> str:
        image = self.images.post(
            "/image/v2/images", json={"name": "shown", "disk_format": "raw", "container_format": "bare"}
        ).json()["id"]
        data = {"content-type": "application/octet-stream"}
        self.images.put(f"/image/v2/images/{image}/file", content=b"a system", headers=data)
        flavor = {"name": f"shown-{self.words['SUFFIX']}", "ram": 64, "vcpus": 1, "disk": 1}
        admin = {"x-auth-token": self.words["ADMIN_TOKEN"]}
        kind = self.http.post("/flavors", json={"flavor": flavor}, headers=admin).json()["flavor"]["id"]
        server = {"name": "shown", "imageRef": image, "flavorRef": kind, "networks": "none"}
        made = str(self.http.post("/servers", json={"server": server}).json()["server"]["id"])
        until(lambda: self.http.get(f"/servers/{made}").json()["server"]["status"] == "ACTIVE")
        return made


def token_of(shown: Shown, url: str) -> str:
    """The token in a URL, hashed as compute keeps it."""
    token = parse_qs(urlsplit(shown.socket(url)).query)["token"][0]
    return hashlib.sha256(token.encode()).hexdigest()
