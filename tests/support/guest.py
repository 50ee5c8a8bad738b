# SPDX-License-Identifier: Apache-2.0
"""Somebody whose token tells something of every kind of thing, and the changes of those things that it must tell of."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx

ROOT = "/identity/v3"

Ask = Callable[..., httpx.Response]  # method, path, body, and headers as keywords; as an administrator


class Change(NamedTuple):
    """A request that changes what a guest's token tells; `{...}` in it are the names of what the guest has."""

    method: str
    path: str
    body: dict[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.body or ''}".rstrip()


CHANGES = (
    Change("PATCH", "users/{user}", {"user": {"name": "renamed"}}),
    Change("PATCH", "users/{user}", {"user": {"enabled": False}}),
    Change("POST", "users/{user}/password", {"user": {"original_password": "{word}", "password": "another"}}),
    Change("DELETE", "users/{user}"),
    Change("PATCH", "projects/{project}", {"project": {"name": "renamed"}}),
    Change("PATCH", "projects/{project}", {"project": {"enabled": False}}),
    Change("DELETE", "projects/{project}"),
    Change("PATCH", "domains/{domain}", {"domain": {"name": "renamed-{domain}"}}),
    Change("PATCH", "domains/{domain}", {"domain": {"enabled": False}}),
    Change("PATCH", "roles/{role}", {"role": {"name": "renamed-{role}"}}),
    Change("DELETE", "roles/{role}"),
    Change("PUT", "roles/{role}/implies/{implied}"),
    Change("DELETE", "projects/{project}/users/{user}/roles/{role}"),
    Change("PATCH", "services/{service}", {"service": {"name": "renamed"}}),
    Change("DELETE", "services/{service}"),
    Change("PATCH", "endpoints/{endpoint}", {"endpoint": {"url": "http://new"}}),
    Change("DELETE", "endpoints/{endpoint}"),
    Change("PUT", "OS-EP-FILTER/projects/{project}/endpoints/{endpoint}"),
    Change(
        *("PUT", "OS-FEDERATION/service_providers/{user}"),
        {"service_provider": {"enabled": True, "auth_url": "http://there/auth", "sp_url": "http://there/sp"}},
    ),
)


class Guest:
    """A user of a domain of its own with a role in a project, a service in the catalogue, and a token."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._word = uuid.uuid4().hex
        self._has: dict[str, str] = {"word": self._word}
        domain = self._make("domain")
        project, user = (
            self._make("project", domain_id=domain),
            self._make("user", domain_id=domain, password=self._word),
        )
        role, service = self._make("role"), self._make("service", type=f"type-{self._word}")
        self._make("role", "implied")
        self._make("endpoint", service_id=service, interface="public", url="http://old")
        assert ask("PUT", f"{ROOT}/projects/{project}/users/{user}/roles/{role}").status_code == 204
        identity = {"methods": ["password"], "password": {"user": {"id": user, "password": self._word}}}
        asked = {"auth": {"identity": identity, "scope": {"project": {"id": project}}}}
        self._token = ask("POST", f"{ROOT}/auth/tokens", asked).headers["x-subject-token"]

    def told(self, ask: Ask) -> tuple[int, Any]:
        """What is told of the token: the status, and the token."""
        answer = ask("GET", f"{ROOT}/auth/tokens", **{"X-Subject-Token": self._token})
        return answer.status_code, answer.json().get("token")

    def suffer(self, change: Change) -> None:
        answer = self._ask(change.method, f"{ROOT}/{self._filled(change.path)}", self._filled(change.body))
        assert answer.status_code < 300, answer.text

    def leave(self) -> None:
        """Remove what all tokens tell of."""
        self._ask("DELETE", f"{ROOT}/services/{self._has['service']}")
        self._ask("DELETE", f"{ROOT}/OS-FEDERATION/service_providers/{self._has['user']}")

    def _make(self, noun: str, name: str = "", **words: Any) -> str:
        name = name or noun
        body = {noun: {"name": f"{name}-{self._word}", **words}}
        answer = self._ask("POST", f"{ROOT}/{noun}s", body)
        assert answer.status_code == 201, answer.text
        self._has[name] = answer.json()[noun]["id"]
        return self._has[name]

    def _filled(self, template: Any) -> Any:
        """The template, or the plain data of templates, with what the guest has in place of the names."""
        if isinstance(template, dict):
            return {name: self._filled(part) for name, part in template.items()}
        return template.format_map(self._has) if isinstance(template, str) else template
