# SPDX-License-Identifier: Apache-2.0
"""`/v3/limits`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.identity.api import targets
from cumulet.services.identity.api.listing import collection, filters
from cumulet.services.identity.api.views import AMOUNT, NAME, REGION_ID, SHORT_TEXT, body, self_link
from cumulet.services.identity.logic import limits as logic
from cumulet.services.identity.logic.limit_models import DESCRIPTIONS
from cumulet.services.identity.logic.limits import Full
from cumulet.services.identity.store import limits as store
from cumulet.services.identity.store import projects

_OWNER = {"type": ["string", "null"], "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9-]+$"}
_REQUIRED = ["service_id", "resource_name", "resource_limit"]
_CREATE = Schema(
    {
        "type": "object",
        "properties": {
            "limits": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "project_id": _OWNER,
                        "domain_id": _OWNER,
                        "resource_name": NAME,
                        "region_id": REGION_ID,
                        "service_id": {"type": "string", "format": "uuid"},
                        "resource_limit": AMOUNT,
                        "description": SHORT_TEXT,
                    },
                    "required": _REQUIRED,
                    "oneOf": [{"required": [*_REQUIRED, "domain_id"]}, {"required": [*_REQUIRED, "project_id"]}],
                    "additionalProperties": False,
                },
                "minItems": 1,
            }
        },
        "required": ["limits"],
        "additionalProperties": False,
    }
)
_UPDATE = body("limit", {"resource_limit": AMOUNT, "description": SHORT_TEXT}, additionalProperties=False)


def find_all(request: Request) -> Reply:
    asked = filters(request, ("project_id", "domain_id"))
    found = [view(request, one) for one in logic.find_all(request.cloud.db, request.ctx, asked)]
    for name in ("service_id", "region_id", "resource_name"):
        if name in request.query:
            found = [one for one in found if one[name] == request.query[name]]
    return collection(request, "limits", found)


def model(request: Request) -> Reply:
    name = request.cloud.settings.identity.limit_model
    return Reply(200, {"model": {"name": name, "description": DESCRIPTIONS[name]}})


def get(request: Request) -> Reply:
    return Reply(200, {"limit": view(request, logic.get(request.cloud.db, request.params["limit_id"]))})


def create(request: Request) -> Reply:
    new = logic.create(request.cloud, request.body["limits"])
    return Reply(201, {"limits": [view(request, one) for one in new]})


def update(request: Request) -> Reply:
    changed = logic.update(request.cloud, request.params["limit_id"], request.body["limit"])
    return Reply(200, {"limit": view(request, changed)})


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["limit_id"])
    return Reply(204)


def view(request: Request, limit: Full) -> dict[str, Any]:
    own, registered = limit.own, limit.registered
    return {
        "id": own.id,
        "project_id": own.project_id,
        "domain_id": own.domain_id,
        "service_id": registered.service_id,
        "region_id": registered.region_id,
        "resource_name": registered.resource_name,
        "resource_limit": own.resource_limit,
        "description": own.description,
        "links": self_link(request, "limits", own.id),
    }


def _target(request: Request) -> Mapping[str, Any]:
    limit = store.find(request.cloud.db, request.params["limit_id"])
    if limit is None:
        return {"target": {}}
    shown = targets.shown(limit)
    for owner in ("project", "domain"):
        owner_id = shown[f"{owner}_id"]
        resource = projects.find(request.cloud.db, owner_id) if owner_id else None
        if resource is not None:
            shown[owner] = targets.shown(resource)
    return {"target": {"limit": shown}}


ROUTES = (
    Route("GET", "/limits", find_all, "identity:list_limits"),
    Route("POST", "/limits", create, "identity:create_limits", body=_CREATE),
    Route("GET", "/limits/model", model, "identity:get_limit_model"),
    Route("GET", "/limits/{limit_id}", get, "identity:get_limit", target=_target),
    Route("PATCH", "/limits/{limit_id}", update, "identity:update_limit", body=_UPDATE, target=_target),
    Route("DELETE", "/limits/{limit_id}", delete, "identity:delete_limit", target=_target),
)
