# SPDX-License-Identifier: Apache-2.0
"""An identity service that people of other identity providers log in to, spoken to by HTTP without a socket."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from cumulet.app import SERVICES, App
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import migrate
from cumulet.kernel.http.shell import Shell
from cumulet.kernel.manifest import read
from cumulet.kernel.secrets import Secrets
from cumulet.services.identity import bootstrap
from cumulet.services.identity.api import API
from cumulet.services.identity.logic import federation_sources, login
from cumulet.services.identity.logic.federation_sources import Source
from cumulet.settings import load

DASHBOARD = "http://dashboard.example.org/auth/websso/"


class Federated:
    """A cloud, its administrator, and the ways in."""

    def __init__(self, state: Path, port: int = 8700) -> None:
        overrides = {
            "state": str(state),
            "identity.bcrypt_rounds": "4",
            "control.port": str(port),
            "identity.trusted_dashboards": DASHBOARD,
        }
        app = App(load(environ={}, overrides=overrides), "control")
        app.cloud.services = (read(SERVICES / "identity"),)
        self.cloud: Cloud = app.cloud
        migrate.migrate(self.cloud.db, {"identity": SERVICES / "identity" / "migrations"})
        bootstrap.run(self.cloud)
        self.shell = Shell(self.cloud, {"identity": API}.get, {}, threads=2)
        self.base = self.cloud.settings.control_url
        self.token = self.administrator()

    def administrator(self) -> str:
        secret = Secrets(self.cloud.settings.state).get_or_make("admin_password")
        user = {"name": "admin", "domain": {"id": "default"}, "password": secret}
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        return login.login(self.cloud, {"identity": identity, "scope": scope})[0]

    def close(self) -> None:
        self.shell.close()
        self.cloud.db.close()

    def ask(self, method: str, path: str, token: str | None = None, **more: Any) -> httpx.Response:
        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(self.shell)
            async with httpx.AsyncClient(transport=transport, base_url=self.base) as client:
                headers = {**({"x-auth-token": token} if token else {}), **more.pop("headers", {})}
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(go())

    def make(self, path: str, body: dict[str, Any], method: str = "PUT") -> Any:
        answer = self.ask(method, f"/identity/v3{path}", self.token, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def open(self, protocol: str, source: Source, rules: list[Any], remote_id: str, **more: Any) -> None:
        """Let people in by the provider `company`."""
        provider = {"enabled": True, "remote_ids": [remote_id], **more}
        self.make("/OS-FEDERATION/identity_providers/company", {"identity_provider": provider})
        self.make("/OS-FEDERATION/mappings/company", {"mapping": {"rules": rules, "schema_version": "2.0"}})
        where = f"/OS-FEDERATION/identity_providers/company/protocols/{protocol}"
        self.make(where, {"protocol": {"mapping_id": "company"}})
        federation_sources.put(self.cloud.vault, "company", protocol, source)

    def scoped(self, token: str, project: str, domain_id: str) -> httpx.Response:
        identity = {"methods": ["token"], "token": {"id": token}}
        scope = {"project": {"name": project, "domain": {"id": domain_id}}}
        return self.ask("POST", "/identity/v3/auth/tokens", json={"auth": {"identity": identity, "scope": scope}})
