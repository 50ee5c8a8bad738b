# SPDX-License-Identifier: Apache-2.0
"""Every persona gets the same status for each call as from the real service with its default policy.

`personas.json` holds the recorded statuses. The calls change things, so they are made in the order of the recording:
persona by persona. The personas are the administrator in three scopes, and a user with each role in each scope.
"""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.cloud import RunningCloud

RECORDED = json.loads((Path(__file__).parent / "personas.json").read_text())
ROLES = ("admin", "manager", "member", "reader")
SCOPES = ("proj", "dom", "sys")
PASSWORD = "correct horse"


class Scene:
    """The stage of the recording: two domains with a project, a user and a group each, and the personas' tokens."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.names = {"SUFFIX": secrets.token_hex(4), "NUMBER": "0"}
        self.tokens: dict[str, str] = {}
        self._http = httpx.Client(base_url=f"{cloud.control_url}/identity", timeout=30)
        self._set(cloud.admin_password)

    def close(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: Any = None, token: str = "admin") -> httpx.Response:
        headers = {"X-Auth-Token": self.tokens[token]}
        return self._http.request(method, self._fill(path), json=self._fill(body), headers=headers)

    def _set(self, admin_password: str) -> None:
        admin = {"name": "admin", "domain": {"id": "default"}, "password": admin_password}
        self._log_in("admin", admin, {"project": {"name": "admin", "domain": {"id": "default"}}})
        self._log_in("system", admin, {"system": {"all": True}})
        self._log_in("unscoped", admin, "unscoped")
        for name in ROLES:
            self.names[f"role_{name}"] = self.call("GET", f"/v3/roles?name={name}").json()["roles"][0]["id"]
        self._make("domain", "dom", name="D$SUFFIX")
        self._make("domain", "dom2", name="E$SUFFIX")
        self._make("project", "proj", name="P$SUFFIX", domain_id="$dom")
        self._make("project", "proj2", name="Q$SUFFIX", domain_id="$dom2")
        for role in ROLES:
            for scope in SCOPES:
                self._persona(role, scope)
        self._make("user", "victim", name="victim$SUFFIX", domain_id="$dom", password=PASSWORD)
        self._make("user", "victim2", name="victim2$SUFFIX", domain_id="$dom2", password=PASSWORD)
        self._make("group", "group", name="g$SUFFIX", domain_id="$dom")
        self._make("group", "group2", name="g2$SUFFIX", domain_id="$dom2")
        self._make("role", "role", name="role$SUFFIX")
        self._make("role", "drole", name="drole$SUFFIX", domain_id="$dom")
        self._make("service", "svc", type="t$SUFFIX", name="n$SUFFIX")
        self._make("endpoint", "ep", interface="public", service_id="$svc", url="http://x/$(project_id)s")
        self._make("region", "reg", id="r$SUFFIX")
        self._make("credential", "cred", type="cert", blob="hush", user_id="$victim")

    def _persona(self, role: str, scope: str) -> None:
        place, wanted = {
            "proj": ("projects/$proj", {"project": {"id": "$proj"}}),
            "dom": ("domains/$dom", {"domain": {"id": "$dom"}}),
            "sys": ("system", {"system": {"all": True}}),
        }[scope]
        self._make("user", f"user_{role}_{scope}", name=f"{role}{scope}$SUFFIX", domain_id="$dom", password=PASSWORD)
        self.call("PUT", f"/v3/{place}/users/$user_{role}_{scope}/roles/$role_{role}").raise_for_status()
        self._log_in(f"{role}_{scope}", {"id": f"$user_{role}_{scope}", "password": PASSWORD}, wanted)

    def _make(self, kind: str, known_as: str, **words: Any) -> None:
        answer = self.call("POST", f"/v3/{kind}s", {kind: words})
        answer.raise_for_status()
        self.names[known_as] = answer.json()[kind]["id"]

    def _log_in(self, persona: str, user: dict[str, Any], scope: Any) -> None:
        identity = {"methods": ["password"], "password": {"user": user}}
        answer = self._http.post("/v3/auth/tokens", json=self._fill({"auth": {"identity": identity, "scope": scope}}))
        answer.raise_for_status()
        self.tokens[persona] = answer.headers["x-subject-token"]

    def _fill(self, words: Any) -> Any:
        if isinstance(words, str):
            return re.sub(r"\$(\w+)", lambda found: self.names[found[1]], words)
        if isinstance(words, dict):
            return {name: self._fill(value) for name, value in words.items()}
        return [self._fill(value) for value in words] if isinstance(words, list) else words


@pytest.fixture(scope="module")
def outcomes(cloud: RunningCloud) -> dict[str, list[int]]:
    """The status of every call by every persona."""
    scene = Scene(cloud)
    found: dict[str, list[int]] = {}
    number = 0
    for persona in RECORDED["personas"]:
        for recorded in RECORDED["calls"]:
            number += 1
            scene.names["NUMBER"] = str(number)
            method, path = recorded["call"].split(" ", 1)
            found.setdefault(persona, []).append(scene.call(method, path, recorded.get("body"), persona).status_code)
    scene.close()
    return found


@pytest.mark.parametrize("persona", RECORDED["personas"])
def test_a_persona_may_do_what_it_may_do_there(outcomes: dict[str, list[int]], persona: str) -> None:
    place = RECORDED["personas"].index(persona)
    expected = {f"{at}: {one['call']}": one["statuses"][place] for at, one in enumerate(RECORDED["calls"])}
    assert dict(zip(expected, outcomes[persona], strict=True)) == expected
