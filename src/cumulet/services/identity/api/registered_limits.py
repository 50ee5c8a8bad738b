# SPDX-License-Identifier: Apache-2.0
"""`/v3/registered_limits`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.identity.api.listing import collection, filters
from cumulet.services.identity.api.views import AMOUNT, NAME, REGION_ID, SHORT_TEXT, body, self_link
from cumulet.services.identity.logic import registered_limits as logic
from cumulet.services.identity.types import RegisteredLimit

_PROPERTIES = {
    "service_id": {"type": "string", "format": "uuid"},
    "region_id": REGION_ID,
    "resource_name": NAME,
    "default_limit": AMOUNT,
    "description": SHORT_TEXT,
}
_CREATE = Schema(
    {
        "type": "object",
        "properties": {
            "registered_limits": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": _PROPERTIES,
                    "additionalProperties": False,
                    "required": ["service_id", "resource_name", "default_limit"],
                },
                "minItems": 1,
            }
        },
        "required": ["registered_limits"],
        "additionalProperties": False,
    }
)
_UPDATE = body("registered_limit", _PROPERTIES, additionalProperties=False)


def find_all(request: Request) -> Reply:
    asked = filters(request, ("service_id", "region_id", "resource_name"))
    found = logic.find_all(request.cloud.db, asked)
    return collection(request, "registered_limits", [view(request, one) for one in found])


def get(request: Request) -> Reply:
    found = logic.get(request.cloud.db, request.params["limit_id"])
    return Reply(200, {"registered_limit": view(request, found)})


def create(request: Request) -> Reply:
    new = logic.create(request.cloud, request.body["registered_limits"])
    return Reply(201, {"registered_limits": [view(request, one) for one in new]})


def update(request: Request) -> Reply:
    changed = logic.update(request.cloud, request.params["limit_id"], request.body["registered_limit"])
    return Reply(200, {"registered_limit": view(request, changed)})


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["limit_id"])
    return Reply(204)


def view(request: Request, limit: RegisteredLimit) -> dict[str, Any]:
    return {
        "id": limit.id,
        "service_id": limit.service_id,
        "region_id": limit.region_id,
        "resource_name": limit.resource_name,
        "default_limit": limit.default_limit,
        "description": limit.description,
        "links": self_link(request, "registered_limits", limit.id),
    }


_ALL = "/registered_limits"
_ONE = "/registered_limits/{limit_id}"

ROUTES = (
    Route("GET", _ALL, find_all, "identity:list_registered_limits"),
    Route("POST", _ALL, create, "identity:create_registered_limits", body=_CREATE),
    Route("GET", _ONE, get, "identity:get_registered_limit"),
    Route("PATCH", _ONE, update, "identity:update_registered_limit", body=_UPDATE),
    Route("DELETE", _ONE, delete, "identity:delete_registered_limit"),
)
