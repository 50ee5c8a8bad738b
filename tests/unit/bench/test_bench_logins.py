# SPDX-License-Identifier: Apache-2.0
"""Where the driver logs in, and where it never goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from bench import logins
from bench.client import Client, NotServed

AUTH = {"auth_url": "http://127.0.0.1:5000", "username": "who", "password": "correct horse", "project_name": "where"}


def write(folder: Path, auth: dict[str, Any], **others: Any) -> Path:
    path = folder / "clouds.yaml"
    path.write_text(str({"clouds": {"one": {"auth": auth, **others}}}))
    return path


def test_a_login_says_url_user_and_project(tmp_path: Path) -> None:
    login = logins.read(write(tmp_path, AUTH, region_name="RegionOne"))
    default = {"name": "Default"}
    assert login.url == "http://127.0.0.1:5000/v3"
    assert login.region == "RegionOne"
    assert login.interface == "public"
    assert login.request["auth"]["identity"]["password"]["user"] == {
        "name": "who",
        "domain": default,
        "password": "correct horse",
    }
    assert login.request["auth"]["scope"] == {"project": {"name": "where", "domain": default}}


def test_ids_need_no_domain(tmp_path: Path) -> None:
    auth = {"auth_url": "http://[::1]/v3", "user_id": "u1", "password": "secret words", "project_id": "p1"}
    login = logins.read(write(tmp_path, auth), "one")
    assert login.request["auth"]["identity"]["password"]["user"] == {"id": "u1", "password": "secret words"}
    assert login.request["auth"]["scope"] == {"project": {"id": "p1"}}


@pytest.mark.parametrize("missing", ["auth_url", "password", "username", "project_name"])
def test_what_is_missing_is_said(tmp_path: Path, missing: str) -> None:
    path = write(tmp_path, {name: text for name, text in AUTH.items() if name != missing})
    with pytest.raises(logins.BadLogin, match=missing):
        logins.read(path, "one")


def test_an_unknown_cloud_is_said(tmp_path: Path) -> None:
    with pytest.raises(logins.BadLogin, match="other"):
        logins.read(write(tmp_path, AUTH), "other")


@pytest.mark.parametrize("host", ["192.0.2.1:5000", "cloud.example", "127.0.0.1.example", "[2001:db8::1]", ""])
def test_a_login_elsewhere_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(logins.NotLoopback):
        logins.read(write(tmp_path, {**AUTH, "auth_url": f"http://{host}/v3"}))


@asynccontextmanager
async def keystone(urls: dict[str, str]) -> AsyncIterator[logins.Login]:
    """An identity service whose catalogue names these URLs by type."""
    catalogue = [
        {"type": kind, "endpoints": [{"interface": "public", "region": "RegionOne", "url": url}]}
        for kind, url in urls.items()
    ]

    async def issue(_request: web.Request) -> web.Response:
        token = {"user": {"id": "u1"}, "project": {"id": "p1"}, "catalog": catalogue}
        return web.json_response({"token": token}, status=201, headers={"X-Subject-Token": "t"})

    async def away(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://192.0.2.1/"})

    app = web.Application()
    app.router.add_post("/v3/auth/tokens", issue)
    app.router.add_get("/away", away)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield logins.Login(f"http://{host}:{port}/v3", {"auth": {}}, "RegionOne", "public")
    finally:
        await runner.cleanup()


def test_endpoints_get_their_version_and_the_newest_type() -> None:
    async def check() -> None:
        urls = {
            "network": "http://127.0.0.1/network/",
            "volumev3": "http://127.0.0.1/old/v3/p1",
            "block-storage": "http://127.0.0.1/new/v3/p1",
        }
        async with keystone(urls) as login, Client(login) as client:
            assert client.endpoint("network") == "http://127.0.0.1/network/v2.0"
            assert client.endpoint("volume") == "http://127.0.0.1/new/v3/p1"
            with pytest.raises(NotServed, match="compute is not in the catalogue"):
                client.endpoint("compute")

    asyncio.run(check())


def test_an_endpoint_elsewhere_is_refused() -> None:
    async def check() -> None:
        async with keystone({"compute": "http://192.0.2.1/v2.1"}) as login:
            with pytest.raises(logins.NotLoopback):
                await Client(login).__aenter__()

    asyncio.run(check())


def test_a_redirection_is_not_followed() -> None:
    async def check() -> None:
        async with keystone({}) as login:
            root = login.url.removesuffix("/v3")
            async with keystone({"placement": root}) as other, Client(other) as client:
                assert await client.send("GET", "placement", "/away", fine=(302,)) == b""

    asyncio.run(check())
