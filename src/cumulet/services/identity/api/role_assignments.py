# SPDX-License-Identifier: Apache-2.0
"""`/v3/role_assignments`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.db import Source
from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import ANYONE, Reply, Request, Route
from cumulet.services.identity.api.views import base_url, is_asked
from cumulet.services.identity.logic import assignments as logic
from cumulet.services.identity.logic import projects as project_logic
from cumulet.services.identity.logic.assignments import Asked, Held
from cumulet.services.identity.store import groups, projects, roles, users
from cumulet.services.identity.types import Actor, Assignment, Project, Target

_PROJECT, _DOMAIN, _SYSTEM = "scope.project.id", "scope.domain.id", "scope.system"
_INHERITED = "scope.OS-INHERIT:inherited_to"


def find_all(request: Request) -> Reply:
    subtree = is_asked(request, "include_subtree")
    _authorize(request, subtree)
    asked = _asked(request, subtree)
    found = logic.find_all(request.cloud.db, asked)
    if request.ctx.domain_id is not None:
        found = [held for held in found if _within(request.cloud.db, held.now, request.ctx.domain_id)]
    names = Names(request.cloud.db) if is_asked(request, "include_names") else None
    shown = [view(request, held, names) for held in found]
    query = f"?{request.query_string}" if request.query_string else ""
    links = {"next": None, "previous": None, "self": request.url + query}
    return Reply(200, {"role_assignments": shown, "links": links})


def view(request: Request, held: Held, names: Names | None) -> dict[str, Any]:
    now, given = held.now, held.given
    scope: dict[str, Any]
    if now.target == Target.SYSTEM:
        scope = {"system": {"all": True}}
    elif now.target == Target.DOMAIN:
        scope = {"domain": names.domain(now.target_id) if names else {"id": now.target_id}}
    else:
        scope = {"project": names.project(now.target_id) if names else {"id": now.target_id}}
    if given.inherited:
        scope["OS-INHERIT:inherited_to"] = "projects"
    person = names.person(now) if names else {"id": now.actor_id}
    role = names.role(now.role_id) if names else {"id": now.role_id}
    return {"role": role, str(now.actor): person, "scope": scope, "links": _links(request, held)}


def _authorize(request: Request, subtree: bool) -> None:
    domain_id = request.ctx.domain_id
    if not subtree:
        request.require("identity:list_role_assignments", {"target": {"domain_id": domain_id}} if domain_id else {})
        return
    project_id = request.query.get(_PROJECT)
    project = projects.find(request.cloud.db, project_id) if project_id else None
    target: Mapping[str, Any] = {"target": {"domain_id": project.domain_id}} if project is not None else {}
    request.require("identity:list_role_assignments_for_tree", target)
    if not project_id:
        raise Invalid("'scope.project.id' is a dependency of 'include_subtree'")
    project_logic.get(request.cloud.db, project_id)


def _asked(request: Request, subtree: bool) -> Asked:
    query = request.query
    for one, other, words in (
        (_DOMAIN, _PROJECT, "Specify a domain or project, not both"),
        (_DOMAIN, _SYSTEM, "Specify system or domain, not both"),
        (_PROJECT, _SYSTEM, "Specify system or project, not both"),
        ("user.id", "group.id", "Specify a user or group, not both"),
    ):
        if query.get(one) and query.get(other):
            raise Invalid(words)
    effective = is_asked(request, "effective")
    inherited = query[_INHERITED] == "projects" if _INHERITED in query else None
    if effective and query.get("group.id"):
        raise Invalid("Combining effective and group filter will always result in an empty list.")
    if effective and inherited and query.get(_DOMAIN):
        raise Invalid("Combining effective, domain and inherited filters will always result in an empty list.")
    target, target_id = _target(query)
    if effective and target == Target.PROJECT:
        project_logic.get(request.cloud.db, target_id or "")
    return Asked(
        user_id=query.get("user.id"),
        group_id=query.get("group.id"),
        role_id=query.get("role.id"),
        target=target,
        target_id=target_id,
        inherited=inherited,
        effective=effective,
        subtree=subtree,
    )


def _target(query: Mapping[str, str]) -> tuple[str | None, str | None]:
    if query.get(_PROJECT):
        return Target.PROJECT, query[_PROJECT]
    if query.get(_DOMAIN):
        return Target.DOMAIN, query[_DOMAIN]
    return (Target.SYSTEM, None) if query.get(_SYSTEM) == "all" else (None, None)


def _within(source: Source, one: Assignment, domain_id: str) -> bool:
    if one.target == Target.DOMAIN:
        return one.target_id == domain_id
    project = projects.find(source, one.target_id) if one.target == Target.PROJECT else None
    return project is not None and project.domain_id == domain_id


def _links(request: Request, held: Held) -> dict[str, str]:
    """Where the assignment that was made is found, and what else it came by."""
    now, given = held.now, held.given
    base = base_url(request)
    place = "/system" if given.target == Target.SYSTEM else f"/{given.target}s/{given.target_id}"
    path = f"{place}/{given.actor}s/{given.actor_id}/roles/{held.prior_id or now.role_id}"
    if given.inherited:
        path = f"/OS-INHERIT{path}/inherited_to_projects"
    links = {"assignment": base + path}
    if given.actor == Actor.GROUP and now.actor == Actor.USER:
        links["membership"] = f"{base}/groups/{given.actor_id}/users/{now.actor_id}"
    if held.prior_id is not None:
        # The ids stand in the order that Keystone gives them in, which is not the one that the words promise.
        links["prior_role"] = f"{base}/prior_role/{now.role_id}/implies/{held.prior_id}"
    return links


class Names:
    """Looks up the names of what assignments speak of, each once."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._projects: dict[str, Project | None] = {}

    def domain(self, domain_id: str) -> dict[str, Any]:
        domain = self._project(domain_id)
        return {"id": domain_id, "name": domain.name if domain else ""}

    def project(self, project_id: str) -> dict[str, Any]:
        project = self._project(project_id)
        if project is None:
            return {"id": project_id, "name": ""}
        return {"id": project_id, "name": project.name, "domain": self.domain(project.domain_id or project.id)}

    def person(self, one: Assignment) -> dict[str, Any]:
        find = users.find if one.actor == Actor.USER else groups.find
        person = find(self._source, one.actor_id)
        if person is None:
            return {"id": one.actor_id, "name": ""}
        return {"id": person.id, "name": person.name, "domain": self.domain(person.domain_id)}

    def role(self, role_id: str) -> dict[str, Any]:
        role = roles.find(self._source, role_id)
        if role is None:
            return {"id": role_id, "name": ""}
        shown: dict[str, Any] = {"id": role.id, "name": role.name}
        if role.domain_id is not None:
            shown["domain"] = self.domain(role.domain_id)
        return shown

    def _project(self, project_id: str) -> Project | None:
        if project_id not in self._projects:
            self._projects[project_id] = projects.find(self._source, project_id)
        return self._projects[project_id]


# Which rule a request needs depends on its query: the handler judges it.
ROUTES = (Route("GET", "/role_assignments", find_all, ANYONE),)
