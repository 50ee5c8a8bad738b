# SPDX-License-Identifier: Apache-2.0
"""The cast: one token of every kind of caller, with what rules may know of its holder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from cumulet.kernel import clock
from cumulet.services.identity.logic import keys, payloads
from cumulet.services.identity.types import SYSTEM_ID, Target
from support.cloud import RunningCloud
from support.people import People

IMPLIED = {
    "admin": ("admin", "manager", "member", "reader"),
    "manager": ("manager", "member", "reader"),
    "member": ("member", "reader"),
}
DEFAULT = "default"  # the domain in which the cloud begins


@dataclass(frozen=True)
class Persona:
    """A caller; `credentials` are None where the token (None: no token at all) is not valid."""

    name: str
    token: str | None
    credentials: dict[str, Any] | None = None

    @property
    def is_admin(self) -> bool:
        return self.credentials is not None and "admin" in self.credentials["roles"]

    @property
    def project_id(self) -> str | None:
        return self.credentials["project_id"] if self.credentials else None


@dataclass
class Cast:
    """Everybody, and the places where they are.

    The victim's project is in a domain of its own; `owner` is the member of that project to whom things belong.
    """

    domain_id: str
    project_id: str
    other_project_id: str
    owner_id: str
    personas: list[Persona] = field(default_factory=list)

    def __getitem__(self, name: str) -> Persona:
        return next(persona for persona in self.personas if persona.name == name)


class Casting:
    """Makes the cast with the identity service's own rooms."""

    def __init__(self, cloud: RunningCloud) -> None:
        self._cloud = cloud
        self.people = People(cloud)
        self._domain = self.people.project("home", is_domain=True)
        self._away = self.people.project("away", is_domain=True)
        self._project = self.people.project("victim", self._domain)
        other, abroad = self.people.project("other", self._domain), self.people.project("abroad", self._away)
        owner = self._holder("owner", "member", Target.PROJECT, self._project, self._domain)
        self.cast = Cast(self._domain, self._project, other, owner)
        for role in ("admin", "manager", "member", "reader"):
            self._on_project(role, role, self._project)
        self._on_project("other_member", "member", other)
        self._on_project("other_admin", "admin", other)
        self._on_project("abroad_manager", "manager", abroad, self._away)
        self._on_project("service", "service", self.people.named_project("service"), DEFAULT)
        for role in ("admin", "manager", "reader"):
            self._on_domain(f"domain_{role}", role, self._domain)
        self._on_domain("abroad_domain_manager", "manager", self._away)
        for role in ("admin", "reader"):
            self._on_system(f"system_{role}", role)
        self._nobodies()

    def _add(self, name: str, token: str, user_id: str, home: str, roles: tuple[str, ...], **scope: Any) -> None:
        scopes = {"project_id": None, "project_domain_id": None, "domain_id": None, "system_scope": None, **scope}
        credentials = {
            "user_id": user_id,
            "user_domain_id": home,
            "roles": list(roles),
            "is_admin": "admin" in roles,
            "is_admin_project": True,
            "service_roles": [],
            "tenant_id": scopes["project_id"],
            "token": {
                "domain": {"id": scopes["domain_id"]},
                "project": {"domain": {"id": scopes["project_domain_id"]}},
            },
            **scopes,
        }
        self.cast.personas.append(Persona(name, token, credentials))

    def _holder(self, name: str, role: str, target: Target, target_id: str, domain_id: str) -> str:
        user = self.people.user(name, domain_id)
        self.people.grant(user, role, target, target_id)
        return user

    def _on_project(self, name: str, role: str, project_id: str, domain_id: str = "") -> None:
        domain_id = domain_id or self._domain
        is_owner = name == "member"
        user = self.cast.owner_id if is_owner else self._holder(name, role, Target.PROJECT, project_id, domain_id)
        token = self.people.token(user, {"project": {"id": project_id}})
        scope = {"project_id": project_id, "project_domain_id": domain_id}
        self._add(name, token, user, domain_id, IMPLIED.get(role, (role,)), **scope)

    def _on_domain(self, name: str, role: str, domain_id: str) -> None:
        user = self._holder(name, role, Target.DOMAIN, domain_id, domain_id)
        token = self.people.token(user, {"domain": {"id": domain_id}})
        self._add(name, token, user, domain_id, IMPLIED.get(role, (role,)), domain_id=domain_id)

    def _on_system(self, name: str, role: str) -> None:
        user = self._holder(name, role, Target.SYSTEM, SYSTEM_ID, DEFAULT)
        token = self.people.token(user, {"system": {"all": True}})
        self._add(name, token, user, DEFAULT, IMPLIED.get(role, (role,)), system_scope="all")

    def _nobodies(self) -> None:
        """Callers whose token gives them nothing, or is none."""
        loose = self.people.user("loose", self._domain)
        self._add("unscoped", self.people.token(loose, "unscoped"), loose, self._domain, ())
        good = self.cast["admin"].token
        assert good is not None
        ring = keys.tokens(self._cloud.control.cloud)
        late = msgspec.structs.replace(payloads.unseal(ring, good), expires_at=int(clock.now()) - 10)
        middle = len(good) // 2
        forged = good[:middle] + ("A" if good[middle] != "A" else "B") + good[middle + 1 :]
        self.cast.personas += [
            Persona("no_token", None),
            Persona("expired", payloads.seal(ring, late)),
            Persona("forged", forged),
        ]
