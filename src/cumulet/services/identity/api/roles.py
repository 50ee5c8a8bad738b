# SPDX-License-Identifier: Apache-2.0
"""`/v3/roles`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import ANYONE, Reply, Request, Route
from cumulet.services.identity.api import targets
from cumulet.services.identity.api.listing import collection, filters
from cumulet.services.identity.api.views import IMMUTABLE, NAME, TEXT, body, self_link
from cumulet.services.identity.logic import roles as logic
from cumulet.services.identity.store import roles as store
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Role

_PROPERTIES = {
    "name": NAME,
    "description": TEXT,
    "domain_id": {"type": ["string", "null"], "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9-]+$"},
    "options": IMMUTABLE,
}
_CREATE = body("role", _PROPERTIES, required=("name",))
_UPDATE = body("role", _PROPERTIES, least=1)


def find_all(request: Request) -> Reply:
    domain_id = request.query.get("domain_id")
    request.require("identity:list_domain_roles" if domain_id else "identity:list_roles")
    asked = [*filters(request, ("name",)), Filter("domain_id", domain_id or None)]
    found = logic.find_all(request.cloud.db, asked)
    return collection(request, "roles", [view(request, role) for role in found])


def get(request: Request) -> Reply:
    _require(request, "get")
    return Reply(200, {"role": view(request, logic.get(request.cloud.db, request.params["role_id"]))})


def create(request: Request) -> Reply:
    words = request.body["role"]
    request.require("identity:create_domain_role" if words.get("domain_id") else "identity:create_role")
    return Reply(201, {"role": view(request, logic.create(request.cloud, words))})


def update(request: Request) -> Reply:
    _require(request, "update")
    role = logic.update(request.cloud, request.params["role_id"], request.body["role"])
    return Reply(200, {"role": view(request, role)})


def delete(request: Request) -> Reply:
    _require(request, "delete")
    logic.delete(request.cloud, request.params["role_id"])
    return Reply(204)


def view(request: Request, role: Role) -> dict[str, Any]:
    return {
        **role.extra,
        "id": role.id,
        "name": role.name,
        "domain_id": role.domain_id,
        "description": role.description,
        "options": role.options,
        "links": self_link(request, "roles", role.id),
    }


def _require(request: Request, verb: str) -> None:
    """A domain's own roles have rules of their own."""
    role = store.find(request.cloud.db, request.params["role_id"])
    kind = "domain_role" if role is not None and role.domain_id is not None else "role"
    request.require(f"identity:{verb}_{kind}", targets.of_path(request))


# Which rule a request needs depends on the role's domain: the handlers judge it.
ROUTES = (
    Route("GET", "/roles", find_all, ANYONE),
    Route("POST", "/roles", create, ANYONE, body=_CREATE),
    Route("GET", "/roles/{role_id}", get, ANYONE),
    Route("PATCH", "/roles/{role_id}", update, ANYONE, body=_UPDATE),
    Route("DELETE", "/roles/{role_id}", delete, ANYONE),
)
