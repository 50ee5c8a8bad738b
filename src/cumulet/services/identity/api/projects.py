# SPDX-License-Identifier: Apache-2.0
"""`/v3/projects`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api import targets
from cumulet.services.identity.api.listing import collection, filters
from cumulet.services.identity.api.tags import TAGS
from cumulet.services.identity.api.views import FLAG, IMMUTABLE, SHORT_NAME, TEXT, body, flags, is_asked, self_link
from cumulet.services.identity.logic import domains, users
from cumulet.services.identity.logic import projects as logic
from cumulet.services.identity.store import groups
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Project

_NULLABLE_ID = {"type": ["string", "null"], "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9-]+$"}
_PROPERTIES = {
    "description": TEXT,
    "domain_id": _NULLABLE_ID,
    "enabled": FLAG,
    "is_domain": FLAG,
    "parent_id": _NULLABLE_ID,
    "name": SHORT_NAME,
    "tags": TAGS,
    "options": IMMUTABLE,
}
_CREATE = body("project", _PROPERTIES, required=("name",))
_UPDATE = body("project", {name: _PROPERTIES[name] for name in ("description", "enabled", "name", "options", "tags")})
_TAG_QUERIES = ("tags", "tags-any", "not-tags", "not-tags-any")


def find_all(request: Request) -> Reply:
    asked = filters(request, ("domain_id", "name", "parent_id"), ("enabled", "is_domain"))
    if "is_domain" not in request.query:
        asked.append(Filter("is_domain", False))
    if request.ctx.domain_id is not None:
        asked.append(Filter("domain_id", request.ctx.domain_id))
    tags = {name: request.query[name].split(",") for name in _TAG_QUERIES if name in request.query}
    return collection(request, "projects", views(request, logic.find_all(request.cloud.db, asked, tags)))


def of_user(request: Request) -> Reply:
    """The projects on which a user has a role."""
    user_id = request.params["user_id"]
    users.get(request.cloud.db, user_id)
    return collection(request, "projects", views(request, _of_user(request, user_id)))


def get(request: Request) -> Reply:
    project = logic.get(request.cloud.db, request.params["project_id"])
    return Reply(200, {"project": {**view(request, project), **_family(request, project)}})


def create(request: Request) -> Reply:
    words = flags(request.body["project"], "enabled", "is_domain")
    return Reply(201, {"project": view(request, logic.create(request.cloud, request.ctx, words))})


def update(request: Request) -> Reply:
    words = flags(request.body["project"], "enabled", "is_domain")
    project = logic.update(request.cloud, request.params["project_id"], words)
    return Reply(200, {"project": {**view(request, project), "extra": project.extra}})


def delete(request: Request) -> Reply:
    project = logic.get(request.cloud.db, request.params["project_id"])
    if project.is_domain:
        domains.delete(request.cloud, project.id, as_project=True)
    else:
        logic.delete(request.cloud, project.id)
    return Reply(204)


def view(request: Request, project: Project) -> dict[str, Any]:
    return views(request, [project])[0]


def views(request: Request, projects: list[Project]) -> list[dict[str, Any]]:
    tags = logic.tags_of(request.cloud.db, projects)
    return [
        {
            **project.extra,
            "id": project.id,
            "name": project.name,
            "domain_id": project.domain_id,
            "description": project.description,
            "enabled": project.enabled,
            "parent_id": project.parent_id,
            "is_domain": project.is_domain,
            "tags": tags.get(project.id, []),
            "options": project.options,
            "links": self_link(request, "projects", project.id),
        }
        for project in projects
    ]


def _family(request: Request, project: Project) -> dict[str, Any]:
    """The project's parents and children where the query asks for them."""
    for word in ("parents", "subtree"):
        if is_asked(request, f"{word}_as_list") and is_asked(request, f"{word}_as_ids"):
            raise Invalid(f"Cannot use {word}_as_list and {word}_as_ids query params at the same time.")
    source = request.cloud.db
    family: dict[str, Any] = {}
    if is_asked(request, "parents_as_list"):
        family["parents"] = _visible(request, logic.parents(source, project))
    elif is_asked(request, "parents_as_ids"):
        family["parents"] = _chain([parent.id for parent in logic.parents(source, project)])
    if is_asked(request, "subtree_as_list"):
        family["subtree"] = _visible(request, logic.subtree(source, project.id))
    elif is_asked(request, "subtree_as_ids"):
        family["subtree"] = _tree(project.id, logic.subtree(source, project.id))
    return family


def _visible(request: Request, projects: list[Project]) -> list[dict[str, Any]]:
    """Those of `projects` on which the caller has a role."""
    mine = {project.id for project in _of_user(request, request.ctx.user_id)}
    return [{"project": one} for one in views(request, [project for project in projects if project.id in mine])]


def _of_user(request: Request, user_id: str) -> list[Project]:
    return logic.of_user(request.cloud.db, user_id, groups.ids_of_user(request.cloud.db, user_id))


def _chain(ids: list[str]) -> dict[str, Any] | None:
    return {ids[0]: _chain(ids[1:])} if ids else None


def _tree(parent_id: str, projects: list[Project]) -> dict[str, Any] | None:
    return {one.id: _tree(one.id, projects) for one in projects if one.parent_id == parent_id} or None


ROUTES = (
    Route("GET", "/projects", find_all, "identity:list_projects", target=targets.of_domain_token("domain_id")),
    Route("POST", "/projects", create, "identity:create_project", body=_CREATE, target=targets.of_body("project")),
    Route("GET", "/users/{user_id}/projects", of_user, "identity:list_user_projects", target=targets.of_path),
    Route("GET", "/projects/{project_id}", get, "identity:get_project", target=targets.of_path),
    Route("PATCH", "/projects/{project_id}", update, "identity:update_project", body=_UPDATE, target=targets.of_path),
    Route("DELETE", "/projects/{project_id}", delete, "identity:delete_project", target=targets.of_path),
)
