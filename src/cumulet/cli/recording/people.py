# SPDX-License-Identifier: Apache-2.0
"""People of one play: projects, a domain and users made by the identity API when a step first needs them."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cumulet.cli.recording.client import Cloud
from cumulet.cli.recording.web import Web

# Who a step can be: the role, and where it is held.
ACTORS = {
    "member": ("member", "project"),
    "manager": ("manager", "project"),
    "reader": ("reader", "project"),
    "service": ("service", "project"),
    "other": ("member", "other_project"),
    "domain": ("manager", "domain"),
    "domain_reader": ("reader", "domain"),
    "system_reader": ("reader", "system"),
}
NOBODY = "nobody"  # sends no token
STRANGER = "stranger"  # sends a token that nobody issued
ADMIN = "admin"  # the login that the play was given
SYSTEM = "system"  # the same login, with system scope
UNSCOPED = "unscoped"  # the member, without a scope


@dataclass
class People:
    """The makers of everything that a placeholder can name before a step has kept anything."""

    cloud: Cloud
    # With a letter in it: of digits alone, its capitals would be the same text.
    suffix: str = field(default_factory=lambda: secrets.choice("abcdef") + secrets.token_hex(4)[1:])
    password: str = field(default_factory=lambda: f"Pa55-{secrets.token_hex(8)}")
    _known: dict[str, str] = field(default_factory=dict)
    _undo: list[str] = field(default_factory=list)
    _web: Web | None = None

    def knows(self, name: str) -> bool:
        """Whether `value` has an answer for the name."""
        return self._maker(name) is not None

    def value(self, name: str) -> str:
        """The id, name, token or secret called `name`; made on first use. Raises KeyError, NotThere."""
        if name not in self._known:
            maker = self._maker(name)
            if maker is None:
                raise KeyError(name)
            self._known[name] = maker()
        return self._known[name]

    def known(self) -> dict[str, str]:
        """All values that have been asked for, by name; those that names are made of in any case."""
        return {"suffix": self.suffix, "upper": self.suffix.upper(), "password": self.password, **self._known}

    def token(self, actor: str) -> str | None:
        """The token that a step of `actor` carries."""
        return None if actor == NOBODY else self.value(f"token_{actor}")

    def project_of(self, actor: str) -> str | None:
        """The project that the actor's token is for."""
        if actor in (ADMIN, STRANGER, NOBODY):
            return self.value("admin_project") if actor == ADMIN else self.value("project")
        role_and_place = ACTORS.get(actor)
        return self.value(role_and_place[1]) if role_and_place and role_and_place[1].endswith("project") else None

    def tidy(self) -> None:
        """Remove what was made, the last first."""
        if self._web is not None:
            self._web.close()
        for path in reversed(self._undo):
            if path.startswith("/domains/"):
                self.cloud.manage("PATCH", path, {"domain": {"enabled": False}})
            self.cloud.manage("DELETE", path)
        self._undo.clear()

    def _maker(self, name: str) -> Callable[[], str] | None:
        simple: dict[str, Callable[[], str]] = {
            "suffix": lambda: self.suffix,
            "upper": lambda: self.suffix.upper(),
            "password": lambda: self.password,
            "missing": lambda: "deadbeef-0000-4000-8000-" + secrets.token_hex(6),
            "missing_hex": lambda: "deadbeef00004000a000" + secrets.token_hex(6),
            "project": lambda: self._project("project"),
            "other_project": lambda: self._project("other"),
            "project_name": lambda: self._name("project"),
            "domain": self._domain,
            "domain_name": lambda: self._name("domain"),
            "admin_project": lambda: self.cloud.admin_project,
            "user_admin": lambda: self._find("users", self.cloud.login.user),
            "name_admin": lambda: self.cloud.login.user,
            "token_admin": lambda: self.cloud.admin_token,
            "token_system": self._system_token,
            "web": self._site,
            "region": lambda: self.cloud.login.region or "RegionOne",
            "token_stranger": lambda: "gAAAAABn" + "x" * 176,
        }
        if name in simple:
            return simple[name]
        if name in self.cloud.names:
            return lambda: self.cloud.names[name]
        kind, _, rest = name.partition("_")
        if kind == "role":
            return lambda: self._find("roles", rest)
        if kind == "uuid":
            return lambda: str(uuid.uuid4())
        if kind == "user" and rest in ACTORS:
            return lambda: self._user(rest)
        if kind == "name" and rest in ACTORS:
            return lambda: self._name(rest)
        if kind == "token" and (rest in ACTORS or rest == UNSCOPED):
            return lambda: self._token(rest)
        return None

    def _site(self) -> str:
        self._web = self._web or Web()
        return self._web.url

    def _name(self, word: str) -> str:
        return f"{word}-{self.suffix}"

    def _find(self, kind: str, name: str) -> str:
        found = self.cloud.manage("GET", f"/{kind}?name={name}")[kind]
        return str(found[0]["id"])

    def _make(self, path: str, body: dict[str, Any]) -> str:
        made = self.cloud.manage("POST", path, body)
        (inner,) = made.values()
        self._undo.append(f"{path}/{inner['id']}")
        return str(inner["id"])

    def _project(self, word: str) -> str:
        return self._make("/projects", {"project": {"name": self._name(word), "domain_id": "default"}})

    def _domain(self) -> str:
        return self._make("/domains", {"domain": {"name": self._name("domain")}})

    def _user(self, actor: str) -> str:
        role, place = ACTORS[actor]
        user = {"name": self._name(actor), "password": self.password, "domain_id": "default"}
        if place == "domain":
            user["domain_id"] = self.value("domain")
        made = self._make("/users", {"user": user})
        target = "/system" if place == "system" else f"/{place.rpartition('_')[2]}s/{self.value(place)}"
        self.cloud.manage("PUT", f"{target}/users/{made}/roles/{self.value(f'role_{role}')}")
        return made

    def _token(self, actor: str) -> str:
        user = {"id": self.value(f"user_{'member' if actor == UNSCOPED else actor}"), "password": self.password}
        place = "" if actor == UNSCOPED else ACTORS[actor][1]
        scope: Any = {place.rpartition("_")[2]: {"id": self.value(place)}} if place not in ("", "system") else None
        if place == "system":
            scope = {"system": {"all": True}}
        return self.cloud.authenticate(user, scope or "unscoped")[0]

    def _system_token(self) -> str:
        login = self.cloud.login
        user = {"name": login.user, "domain": {"name": login.user_domain}, "password": login.password}
        return self.cloud.authenticate(user, {"system": {"all": True}})[0]
