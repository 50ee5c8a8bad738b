# SPDX-License-Identifier: Apache-2.0
"""`/v3/domains`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api import targets
from cumulet.services.identity.api.listing import collection, filters
from cumulet.services.identity.api.tags import TAGS
from cumulet.services.identity.api.views import FLAG, ID, IMMUTABLE, SHORT_NAME, body, flags, self_link
from cumulet.services.identity.logic import domains as logic
from cumulet.services.identity.logic import projects
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Project

_PROPERTIES = {
    "description": {"type": ["string", "null"], "maxLength": 255},
    "enabled": FLAG,
    "name": SHORT_NAME,
    "options": IMMUTABLE,
    "tags": TAGS,
}
_CREATE = body("domain", {"explicit_domain_id": ID, **_PROPERTIES}, required=("name",))
_UPDATE = body("domain", _PROPERTIES, least=1)


def find_all(request: Request) -> Reply:
    asked = filters(request, ("name",), ("enabled",))
    if request.ctx.domain_id is not None:
        asked.append(Filter("id", request.ctx.domain_id))
    return collection(request, "domains", views(request, logic.find_all(request.cloud.db, asked)))


def get(request: Request) -> Reply:
    return Reply(200, {"domain": view(request, logic.get(request.cloud.db, request.params["domain_id"]))})


def create(request: Request) -> Reply:
    words = flags(request.body["domain"], "enabled")
    return Reply(201, {"domain": view(request, logic.create(request.cloud, words))})


def update(request: Request) -> Reply:
    words = flags(request.body["domain"], "enabled")
    return Reply(200, {"domain": view(request, logic.update(request.cloud, request.params["domain_id"], words))})


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["domain_id"])
    return Reply(204)


def view(request: Request, domain: Project) -> dict[str, Any]:
    return views(request, [domain])[0]


def views(request: Request, domains: list[Project]) -> list[dict[str, Any]]:
    tags = projects.tags_of(request.cloud.db, domains)
    return [
        {
            **domain.extra,
            "id": domain.id,
            "name": domain.name,
            "description": domain.description,
            "enabled": domain.enabled,
            "tags": tags.get(domain.id, []),
            "options": domain.options,
            "links": self_link(request, "domains", domain.id),
        }
        for domain in domains
    ]


ROUTES = (
    Route("GET", "/domains", find_all, "identity:list_domains", target=targets.of_domain_token("domain", "id")),
    Route("POST", "/domains", create, "identity:create_domain", body=_CREATE),
    Route("GET", "/domains/{domain_id}", get, "identity:get_domain", target=targets.of_path),
    Route("PATCH", "/domains/{domain_id}", update, "identity:update_domain", body=_UPDATE, target=targets.of_path),
    Route("DELETE", "/domains/{domain_id}", delete, "identity:delete_domain", target=targets.of_path),
)
