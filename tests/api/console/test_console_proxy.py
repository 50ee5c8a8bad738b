# SPDX-License-Identifier: Apache-2.0
"""Shown through the proxy: what a token opens, once, and whom the proxy does not let in."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from shown_server import Shown
from websockets.exceptions import InvalidStatus

from cumulet.kernel import clock
from cumulet.services.compute.drivers import fake_displays
from cumulet.services.compute.logic import consoles
from support.cloud import RunningCloud
from support.waiting import until


@pytest.fixture(scope="module")
def shown(cloud: RunningCloud) -> Iterator[Shown]:
    made = Shown(cloud)
    yield made
    made.close()


def refused(shown: Shown, url: str, origin: str | None = None) -> bool:
    with pytest.raises(InvalidStatus) as refusal:
        shown.open(url, origin)
    assert refusal.value.response.status_code == 403
    assert not refusal.value.response.body
    return True


def test_a_picture_comes_over_vnc(shown: Shown) -> None:
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


def test_a_serial_port_is_spoken_to(shown: Shown) -> None:
    with shown.open(shown.url("serial", "serial")) as client:
        seen = b""
        while b"started\r\n" not in seen:
            part = client.recv()
            assert isinstance(part, bytes)
            seen += part
        client.send(b"who is there?")
        assert client.recv() == b"who is there?"


def test_the_end_of_a_server_ends_its_consoles(shown: Shown) -> None:
    """The rows of its tokens go with it too."""
    other = Shown(shown.cloud)
    unused = other.url()
    other.close()
    refused(other, unused)


@pytest.mark.parametrize("display", ["novnc", "serial"])
def test_a_token_opens_one_connection(shown: Shown, display: str) -> None:
    url = shown.url("serial" if display == "serial" else "vnc", display)
    with shown.open(url) as client:
        assert client.recv()
        refused(shown, url)
    refused(shown, url)


def test_a_token_of_another_kind_of_console(shown: Shown) -> None:
    url = shown.socket(shown.url())
    refused(shown, url.replace("/console/vnc", "/console/serial"))
    with shown.open(url) as client:
        assert client.recv() == b"RFB 003.008\n"


@pytest.mark.parametrize(
    "path", ["/console/vnc", "/console/vnc?token=", "/console/vnc?token=a", "/console/x", "/", "/image/v2/images"]
)
def test_no_token_at_all(shown: Shown, path: str) -> None:
    refused(shown, f"ws{shown.cloud.data_url.removeprefix('http')}{path}")


def test_an_expired_token(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    url = shown.url()
    later = clock.utcnow() + timedelta(seconds=601)
    with monkeypatch.context() as patch:
        patch.setattr(consoles.clock, "utcnow", lambda: later)
        refused(shown, url)
    with shown.open(url) as client:
        assert client.recv()


def test_expired_tokens_are_forgotten(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_pages_of_other_sites(shown: Shown, origin: str) -> None:
    url = shown.url()
    refused(shown, url, origin)
    with shown.open(url, shown.cloud.data_url) as client:
        assert client.recv()


def test_only_a_hash_is_kept(shown: Shown) -> None:
    token = parse_qs(urlsplit(shown.socket(shown.url())).query)["token"][0]
    found = consoles.find(shown.cloud.control.cloud.db, token)
    assert token not in repr(found)
    assert len(found.hash) == 64


def test_administrators_see_where_a_token_leads(shown: Shown) -> None:
    """For proxies that are not the cloud's own; to look uses nothing up."""
    url = shown.url()
    token = parse_qs(urlsplit(shown.socket(url)).query)["token"][0]
    admin = {"x-auth-token": shown.words["ADMIN_TOKEN"]}
    for _ in range(2):
        found = shown.http.get(f"/os-console-auth-tokens/{token}", headers=admin).json()["console"]
        assert found.keys() == {"instance_uuid", "host", "port", "internal_access_path"}
        assert found["instance_uuid"] == shown.server_id
        assert found["port"] == 0  # hosts of other machines do not come here
    with shown.open(url) as client:
        assert client.recv()
    assert shown.http.get(f"/os-console-auth-tokens/{token}", headers=admin).status_code == 404


def test_another_project_gets_none(shown: Shown) -> None:
    assert shown.ask("vnc", "novnc", **{"x-auth-token": shown.words["OTHER_TOKEN"]}).status_code == 404
    assert shown.ask("vnc", "novnc", **{"x-auth-token": shown.words["READER_TOKEN"]}).status_code == 403


def test_a_stopped_server_shows_nothing(shown: Shown) -> None:
    """As with Nova: the URL is given, and opens nothing."""
    with shown.open(shown.url()) as client:
        assert client.recv()
        shown.http.post(f"/servers/{shown.server_id}/action", json={"os-stop": None})
        until(lambda: shown.http.get(f"/servers/{shown.server_id}").json()["server"]["status"] == "SHUTOFF")
        refused(shown, shown.url())
        shown.http.post(f"/servers/{shown.server_id}/action", json={"os-start": None})
        until(lambda: shown.http.get(f"/servers/{shown.server_id}").json()["server"]["status"] == "ACTIVE")


@pytest.mark.parametrize("path", ["vnc_lite.html", "core/rfb.js", "vendor/pako/lib/zlib/inflate.js"])
def test_novnc_is_served(shown: Shown, path: str) -> None:
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
def test_nothing_else_is_served(shown: Shown, path: str) -> None:
    assert httpx.get(f"{shown.cloud.data_url}/console/{path}").status_code == 404
