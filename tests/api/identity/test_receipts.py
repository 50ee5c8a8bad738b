# SPDX-License-Identifier: Apache-2.0
"""Logging in by several methods over HTTP: the receipt in a header, what is missing in the body."""

from __future__ import annotations

import base64
import time
from typing import Any

import httpx

from cumulet.services.identity.logic import totp
from support.cloud import RunningCloud
from support.people import environment

SECRET = base64.b32encode(b"what only the two know").decode().rstrip("=")


def test_a_password_and_then_a_passcode(cloud: RunningCloud) -> None:
    people = environment(cloud)
    rules = {"multi_factor_auth_enabled": True, "multi_factor_auth_rules": [["password", "totp"], ["totp", "token"]]}
    with httpx.Client(base_url=f"{cloud.control_url}/identity/v3", timeout=30) as client:
        admin = {"X-Auth-Token": people["ADMIN_TOKEN"]}
        words: dict[str, Any] = {"name": f"careful-{people['SUFFIX']}", "password": "a long word", "options": rules}
        user = client.post("/users", headers=admin, json={"user": words}).json()["user"]
        credential = {"type": "totp", "blob": SECRET, "user_id": user["id"]}
        assert client.post("/credentials", headers=admin, json={"credential": credential}).status_code == 201

        def log_in(receipt: str | None = None, **identity: Any) -> httpx.Response:
            auth = {"identity": {"methods": list(identity), **identity}}
            headers = {"Openstack-Auth-Receipt": receipt} if receipt else {}
            return client.post("/auth/tokens", headers=headers, json={"auth": auth})

        first = log_in(password={"user": {"id": user["id"], "password": "a long word"}})
        assert first.status_code == 401
        body, receipt = first.json(), first.headers["openstack-auth-receipt"]
        assert set(body) == {"receipt", "required_auth_methods"}
        assert body["receipt"]["methods"] == ["password"]
        assert body["receipt"]["user"] == {
            "id": user["id"],
            "name": user["name"],
            "domain": {"id": "default", "name": "Default"},
        }
        assert set(body["receipt"]) == {"methods", "user", "expires_at", "issued_at"}
        assert body["required_auth_methods"] == [["password", "totp"]]

        passcode = totp.passcode(base64.b32decode(SECRET + "=" * (-len(SECRET) % 8)), time.time())
        said = {"user": {"id": user["id"], "passcode": passcode}}
        assert log_in("nonsense", totp=said).status_code == 401
        second = log_in(receipt, totp=said)
        assert second.status_code == 201
        assert second.json()["token"]["methods"] == ["password", "totp"]
        assert client.get("/regions", headers={"X-Auth-Token": receipt}).status_code == 401
        client.delete(f"/users/{user['id']}", headers=admin)
