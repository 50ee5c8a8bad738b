# SPDX-License-Identifier: Apache-2.0
"""`/v3/endpoints`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api.listing import collection, filters
from cumulet.services.identity.api.views import TEXT, body, self_link
from cumulet.services.identity.logic import endpoints as logic
from cumulet.services.identity.types import Endpoint

_PROPERTIES = {
    "enabled": {"type": "boolean"},
    "interface": {"type": "string", "enum": ["admin", "internal", "public"]},
    "region_id": TEXT,
    "region": TEXT,
    "service_id": {"type": "string"},
    "url": {"type": "string", "minLength": 0, "maxLength": 225, "pattern": "^[a-zA-Z0-9+.-]+:.+"},
    "name": {"type": "string"},
    "description": TEXT,
}
_CREATE = body("endpoint", _PROPERTIES, required=("interface", "service_id", "url"))
_UPDATE = body("endpoint", _PROPERTIES, least=1)


def find_all(request: Request) -> Reply:
    found = logic.find_all(request.cloud.db, filters(request, ("interface", "service_id", "region_id")))
    return collection(request, "endpoints", [view(request, endpoint) for endpoint in found])


def get(request: Request) -> Reply:
    return Reply(200, {"endpoint": view(request, logic.get(request.cloud.db, request.params["endpoint_id"]))})


def create(request: Request) -> Reply:
    return Reply(201, {"endpoint": view(request, logic.create(request.cloud, request.body["endpoint"]))})


def update(request: Request) -> Reply:
    endpoint = logic.update(request.cloud, request.params["endpoint_id"], request.body["endpoint"])
    return Reply(200, {"endpoint": view(request, endpoint)})


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["endpoint_id"])
    return Reply(204)


def view(request: Request, endpoint: Endpoint) -> dict[str, Any]:
    return {
        **endpoint.extra,
        "id": endpoint.id,
        "interface": endpoint.interface,
        "region_id": endpoint.region_id,
        "region": endpoint.region_id,
        "service_id": endpoint.service_id,
        "url": endpoint.url,
        "enabled": endpoint.enabled,
        "links": self_link(request, "endpoints", endpoint.id),
    }


ROUTES = (
    Route("GET", "/endpoints", find_all, "identity:list_endpoints"),
    Route("POST", "/endpoints", create, "identity:create_endpoint", body=_CREATE),
    Route("GET", "/endpoints/{endpoint_id}", get, "identity:get_endpoint"),
    Route("PATCH", "/endpoints/{endpoint_id}", update, "identity:update_endpoint", body=_UPDATE),
    Route("DELETE", "/endpoints/{endpoint_id}", delete, "identity:delete_endpoint"),
)
