# SPDX-License-Identifier: Apache-2.0
"""Prints what a control plane of the services named keeps in memory, in MB, after identity's users were there."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import httpx

import cumulet.app
from cumulet import settings
from cumulet.kernel.manifest import read_all
from cumulet.kernel.secrets import Secrets

USERS = 100
URL = "/identity/v3/auth/tokens"


async def use(app: cumulet.app.App) -> None:
    """Log in often, and ask about each token."""
    user = {
        "name": "admin",
        "domain": {"name": "Default"},
        "password": Secrets(app.settings.state).get("admin_password"),
    }
    identity = {"methods": ["password"], "password": {"user": user}}
    scope = {"project": {"name": "admin", "domain": {"name": "Default"}}}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app.shell), base_url="http://cloud") as client:
        for _ in range(USERS):
            answer = await client.post(URL, json={"auth": {"identity": identity, "scope": scope}})
            if answer.status_code == httpx.codes.NOT_FOUND:
                return
            token = answer.headers["x-subject-token"]
            for _ in range(3):
                answer = await client.get(URL, headers={"x-auth-token": token, "x-subject-token": token})
                assert answer.status_code == httpx.codes.OK


def main(packages: set[str]) -> None:
    cumulet.app.read_all = lambda path: [one for one in read_all(path) if one.package in packages]
    with tempfile.TemporaryDirectory() as state:
        app = cumulet.app.App(
            settings.load(environ={}, overrides={"state": state, "identity.bcrypt_rounds": "4"}), "control"
        )
        app.start()
        asyncio.run(use(app))
        status = Path("/proc/self/status").read_text()
        print(int(status.partition("VmRSS:")[2].split()[0]) / 1024)
        app.stop()


main(set(sys.argv[1:]))
