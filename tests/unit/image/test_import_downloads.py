# SPDX-License-Identifier: Apache-2.0
"""What is fetched for users, and what is not: the filter, redirects, broken lines."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from cumulet.kernel.errors import Invalid
from cumulet.services.image.drivers import web
from cumulet.services.image.drivers.web import Filter, download
from support.certificates import self_signed
from support.web import Page, WebServer, serve

NAMES = {
    "images.example.org": ["192.0.2.7"],
    "inside.example.org": ["127.0.0.1"],
    "mixed.example.org": ["127.0.0.1", "192.0.2.7"],
    "far.example.org": ["10.0.0.1"],
}
LOOPBACK = Filter(allowed_hosts=("127.0.0.1",), allowed_ports=())


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts by name, without anybody being asked."""

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        if host not in NAMES:
            raise socket.gaierror("unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in NAMES[host]]

    monkeypatch.setattr(web.socket, "getaddrinfo", look_up)


@pytest.fixture(scope="module")
def server() -> Iterator[WebServer]:
    with serve() as made:
        yield made


@pytest.mark.parametrize(
    ("chosen", "url", "passes"),
    [
        ({}, "http://192.0.2.7/x", True),
        ({}, "https://images.example.org/x", True),
        ({}, "http://images.example.org:443/x", True),
        ({}, "http://images.example.org:8080/x", False),
        ({}, "ftp://images.example.org/x", False),
        ({}, "file:///etc/passwd", False),
        ({}, "http:///x", False),
        ({}, "", False),
        ({}, "images.example.org", False),
        ({}, "http://nobody.example.org/", False),
        ({}, "http://images.example.org:port/", False),
        ({}, "http://images.example.org:99999/", False),
        ({}, "http://[::1", False),
        ({}, "http://images.example.org/\r\nx: y", False),
        ({}, "http://127.0.0.1/", False),
        ({}, "http://[::1]/", False),
        ({}, "http://[::ffff:127.0.0.1]/", False),
        ({}, "http://0.0.0.0/", False),
        ({}, "http://169.254.169.254/latest", False),
        ({}, "http://[fe80::1]/", False),
        ({}, "http://inside.example.org/", False),
        ({}, "http://mixed.example.org/", True),
        ({}, "http://far.example.org/", True),
        ({}, "http://2130706433/", False),
        ({}, "http://0x7f000001/", False),
        ({}, "http://127.1/", False),
        ({}, "http://0177.0.0.1/", False),
        ({"allowed_hosts": ("127.0.0.1",)}, "http://127.0.0.1/", True),
        ({"allowed_hosts": ("inside.example.org",)}, "http://inside.example.org/", True),
        ({"allowed_hosts": ("inside.example.org",)}, "http://images.example.org/", False),
        ({"disallowed_hosts": ("images.example.org",)}, "http://images.example.org/", False),
        ({"disallowed_hosts": ("192.0.2.7",)}, "http://images.example.org/", False),
        ({"disallowed_hosts": ("192.0.2.7",)}, "http://far.example.org/", True),
        (
            {"allowed_hosts": ("far.example.org",), "disallowed_hosts": ("far.example.org",)},
            "http://far.example.org/",
            True,
        ),
        ({"allowed_schemes": ("https",)}, "http://images.example.org/", False),
        ({"allowed_schemes": (), "disallowed_schemes": ("http",)}, "http://images.example.org/", False),
        ({"allowed_schemes": (), "disallowed_schemes": ("http",)}, "https://images.example.org/", True),
        ({"allowed_ports": (8080,)}, "http://images.example.org/", False),
        ({"allowed_ports": (), "disallowed_ports": (22,)}, "http://images.example.org:8080/", True),
        ({"allowed_ports": (), "disallowed_ports": (22,)}, "http://images.example.org:22/", False),
    ],
)
def test_addresses_that_users_may_name(names: None, chosen: dict[str, Any], url: str, passes: bool) -> None:
    assert Filter(**chosen).passes(url) is passes


def test_an_address_inside_is_left_out_beside_others(names: None) -> None:
    assert Filter().addresses("http://mixed.example.org/") == ["192.0.2.7"]


def read(url: str, filter_: Filter = LOOPBACK, **more: Any) -> bytes:
    pieces = []
    with download(url, filter_, **more) as body:
        while piece := body.read(1000):
            pieces.append(piece)
    return b"".join(pieces)


def test_a_body_comes_through_redirects(server: WebServer) -> None:
    server.pages["/a?b=c%20d"] = Page(status=302, headers={"Location": "/there"})
    server.pages["/there"] = Page(status=301, headers={"Location": f"{server.url}/at/last"})
    server.pages["/at/last"] = Page(b"x" * 5000)
    assert read(f"{server.url}/a?b=c%20d") == b"x" * 5000
    assert [path for path, _ in server.asked[-3:]] == ["/a?b=c%20d", "/there", "/at/last"]


@pytest.mark.parametrize(
    ("page", "says"),
    [
        (Page(status=302, headers={"Location": "http://169.254.169.254/latest"}), "host .* not allowed"),
        (Page(status=302, headers={"Location": "file:///etc/passwd"}), "no address of the web"),
        (Page(status=302), "leads from one place to the next"),
        (Page(status=404), "answered 404"),
        (Page(status=206, body=b"half"), "answered 206"),
    ],
)
def test_what_leads_nowhere(server: WebServer, page: Page, says: str) -> None:
    server.pages["/here"] = page
    with pytest.raises(Invalid, match=says):
        read(f"{server.url}/here")


def test_a_token_stays_with_the_server_that_it_is_for(server: WebServer) -> None:
    with serve() as other:
        server.pages["/file"] = Page(status=307, headers={"Location": "/own"})
        server.pages["/own"] = Page(status=307, headers={"Location": f"{other.url}/elsewhere"})
        other.pages["/elsewhere"] = Page(b"data")
        assert read(f"{server.url}/file", trusted=True, headers={"X-Auth-Token": "secret"}) == b"data"
        assert [headers.get("x-auth-token") for _, headers in server.asked[-2:]] == ["secret", "secret"]
        assert "x-auth-token" not in other.asked[0][1]


def test_a_trusted_address_is_not_filtered_but_those_behind_it_are(server: WebServer) -> None:
    server.pages["/trusted"] = Page(b"here")
    assert read(f"{server.url}/trusted", Filter(), trusted=True) == b"here"
    with serve() as other:
        server.pages["/trusted"] = Page(status=302, headers={"Location": f"{other.url}/"})
        with pytest.raises(Invalid, match="not allowed"):
            read(f"{server.url}/trusted", Filter(), trusted=True)


def test_a_server_has_to_be_who_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = self_signed(x509.Name([]), "127.0.0.1")
    for name, content in (("key", key), ("certificate", certificate)):
        (tmp_path / name).write_bytes(content)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    with serve(tls=tls) as server:
        server.pages["/x"] = Page(b"sealed")
        with pytest.raises(Invalid, match=r"cannot be reached: .*certificate"):
            read(f"{server.url}/x")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate"))
        assert read(f"{server.url}/x") == b"sealed"
        server.pages["/x"] = Page(status=302, headers={"Location": f"http://127.0.0.1:{server.port}/x"})
        with pytest.raises(Invalid):
            read(f"{server.url}/x")


def test_a_line_that_is_cut_is_told(server: WebServer) -> None:
    server.pages["/cut"] = Page(b"half", length=8)
    with download(f"{server.url}/cut", LOOPBACK) as body:
        assert body.size == 8
        got = b""
        while len(got) < 4:
            got += body.read(100)
        assert got == b"half"
        with pytest.raises(Invalid, match="broke off: 4 of 8"):
            body.read(100)


def test_a_server_that_is_silent_or_away_is_given_up() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(Invalid, match="did not answer"):
            read(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout=0.05)
        port = listener.getsockname()[1]
    with pytest.raises(Invalid, match="cannot be reached"):
        read(f"http://127.0.0.1:{port}/")


def test_a_download_has_an_end(server: WebServer) -> None:
    server.pages["/long"] = Page(b"x", length=-1)
    with (
        pytest.raises(Invalid, match="too long"),
        download(f"{server.url}/long", LOOPBACK, time_limit=-1.0) as body,
    ):
        body.read(1)
