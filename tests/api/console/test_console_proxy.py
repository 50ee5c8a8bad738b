# SPDX-License-Identifier: Apache-2.0
"""Consoles through the proxy: what a token opens, once, and whom the proxy does not let in."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from cumulet.kernel import clock
from cumulet.services.compute.drivers import fake_displays
from cumulet.services.compute.logic import consoles
from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until

BINARY = [Subprotocol("binary")]


class Consoles:
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


@pytest.fixture(scope="module")
def shown(cloud: RunningCloud) -> Iterator[Consoles]:
    made = Consoles(cloud)
    yield made
    made.close()


def refused(shown: Consoles, url: str, origin: str | None = None) -> bool:
    with pytest.raises(InvalidStatus) as refusal:
        shown.open(url, origin)
    assert refusal.value.response.status_code == 403
    assert not refusal.value.response.body
    return True


def test_a_picture_comes_over_vnc(shown: Consoles) -> None:
    """RFB 3.8 as RFC 6143 has it, to the first picture."""
    with shown.open(shown.url()) as client:
        assert client.subprotocol == "binary"
        assert client.recv() == b"RFB 003.008\n"
        client.send(b"RFB 003.008\n")
        assert client.recv() == b"\1\1"
        client.send(b"\1")
        assert client.recv() == bytes(4)
        client.send(b"\1")
        greeting = client.recv()
        assert isinstance(greeting, bytes)
        width, height, length = struct.unpack(">HH16xI", greeting[:24])
        assert (width, height) == (fake_displays.WIDTH, fake_displays.HEIGHT)
        assert greeting[24:].decode() == shown.server_id
        assert length == len(shown.server_id)
        client.send(struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
        size, seen = 16 + 4 * width * height, b""
        while len(seen) < size:
            part = client.recv()
            assert isinstance(part, bytes)
            seen += part
        assert len(set(struct.unpack(f"<{width * height}I", seen[16:]))) == 1


def test_a_serial_port_is_spoken_to(shown: Consoles) -> None:
    with shown.open(shown.url("serial", "serial")) as client:
        seen = b""
        while b"started\r\n" not in seen:
            part = client.recv()
            assert isinstance(part, bytes)
            seen += part
        client.send(b"who is there?")
        assert client.recv() == b"who is there?"


def test_the_end_of_a_server_ends_its_consoles(shown: Consoles) -> None:
    """The rows of its tokens go with it too."""
    other = Consoles(shown.cloud)
    unused = other.url()
    other.close()
    refused(other, unused)


@pytest.mark.parametrize("display", ["novnc", "serial"])
def test_a_token_opens_one_connection(shown: Consoles, display: str) -> None:
    url = shown.url("serial" if display == "serial" else "vnc", display)
    with shown.open(url) as client:
        assert client.recv()
        refused(shown, url)
    refused(shown, url)


def test_a_token_of_another_kind_of_console(shown: Consoles) -> None:
    url = shown.socket(shown.url())
    refused(shown, url.replace("/console/vnc", "/console/serial"))
    with shown.open(url) as client:
        assert client.recv() == b"RFB 003.008\n"


@pytest.mark.parametrize(
    "path", ["/console/vnc", "/console/vnc?token=", "/console/vnc?token=a", "/console/x", "/", "/image/v2/images"]
)
def test_no_token_at_all(shown: Consoles, path: str) -> None:
    refused(shown, f"ws{shown.cloud.data_url.removeprefix('http')}{path}")


def test_an_expired_token(shown: Consoles, monkeypatch: pytest.MonkeyPatch) -> None:
    url = shown.url()
    later = clock.utcnow() + timedelta(seconds=601)
    with monkeypatch.context() as patch:
        patch.setattr(consoles.clock, "utcnow", lambda: later)
        refused(shown, url)
    with shown.open(url) as client:
        assert client.recv()


def test_expired_tokens_are_forgotten(shown: Consoles, monkeypatch: pytest.MonkeyPatch) -> None:
    url, cloud = shown.url(), shown.cloud.control.cloud
    token = parse_qs(urlsplit(shown.socket(url)).query)["token"][0]
    consoles.forget_expired(cloud)
    assert consoles.find(cloud.db, token).server_id == shown.server_id
    later = clock.utcnow() + timedelta(seconds=601)
    with monkeypatch.context() as patch:
        patch.setattr(consoles.clock, "utcnow", lambda: later)
        consoles.forget_expired(cloud)
    refused(shown, url)


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "https://127.0.0.1", "null", "http://", "file://", "http://127.0.0.1.evil.example"],
)
def test_pages_of_other_sites(shown: Consoles, origin: str) -> None:
    url = shown.url()
    refused(shown, url, origin)
    with shown.open(url, shown.cloud.data_url) as client:
        assert client.recv()


def test_only_a_hash_is_kept(shown: Consoles) -> None:
    token = parse_qs(urlsplit(shown.socket(shown.url())).query)["token"][0]
    found = consoles.find(shown.cloud.control.cloud.db, token)
    assert token not in repr(found)
    assert len(found.hash) == 64


def test_another_project_gets_none(shown: Consoles) -> None:
    assert shown.ask("vnc", "novnc", **{"x-auth-token": shown.words["OTHER_TOKEN"]}).status_code == 404
    assert shown.ask("vnc", "novnc", **{"x-auth-token": shown.words["READER_TOKEN"]}).status_code == 403


def test_a_stopped_server_shows_nothing(shown: Consoles) -> None:
    """As with Nova: the URL is given, and opens nothing."""
    with shown.open(shown.url()) as client:
        assert client.recv()
        shown.http.post(f"/servers/{shown.server_id}/action", json={"os-stop": None})
        until(lambda: shown.http.get(f"/servers/{shown.server_id}").json()["server"]["status"] == "SHUTOFF")
        refused(shown, shown.url())
        shown.http.post(f"/servers/{shown.server_id}/action", json={"os-start": None})
        until(lambda: shown.http.get(f"/servers/{shown.server_id}").json()["server"]["status"] == "ACTIVE")


@pytest.mark.parametrize("path", ["vnc_lite.html", "core/rfb.js", "vendor/pako/lib/zlib/inflate.js"])
def test_novnc_is_served(shown: Consoles, path: str) -> None:
    answer = httpx.get(f"{shown.cloud.data_url}/console/novnc/{path}?token=x")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/")
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path",
    [
        "novnc",
        "novnc/",
        "novnc/../../../etc/passwd",
        "novnc/%2e%2e/%2e%2e/doc/novnc/copyright",
        "novnc/core",
        "novnc/%2Fetc%2Fhostname",
    ],
)
def test_nothing_else_is_served(shown: Consoles, path: str) -> None:
    assert httpx.get(f"{shown.cloud.data_url}/console/{path}").status_code == 404
