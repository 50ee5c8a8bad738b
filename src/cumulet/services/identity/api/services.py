# SPDX-License-Identifier: Apache-2.0
"""`/v3/services`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api.listing import collection, filters
from cumulet.services.identity.api.views import body, self_link
from cumulet.services.identity.logic import services as logic
from cumulet.services.identity.types import Service

_PROPERTIES = {
    "enabled": {"type": "boolean"},
    "type": {"type": "string", "minLength": 1, "maxLength": 255},
    "name": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": {"type": ["string", "null"]},
}
_CREATE = body("service", _PROPERTIES, required=("type",), others=True)
_UPDATE = body("service", _PROPERTIES, least=1, others=True)


def find_all(request: Request) -> Reply:
    found = logic.find_all(request.cloud.db, filters(request, ("type", "name")))
    return collection(request, "services", [view(request, service) for service in found])


def get(request: Request) -> Reply:
    return Reply(200, {"service": view(request, logic.get(request.cloud.db, request.params["service_id"]))})


def create(request: Request) -> Reply:
    return Reply(201, {"service": view(request, logic.create(request.cloud, request.body["service"]))})


def update(request: Request) -> Reply:
    service = logic.update(request.cloud, request.params["service_id"], request.body["service"])
    return Reply(200, {"service": view(request, service)})


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["service_id"])
    return Reply(204)


def view(request: Request, service: Service) -> dict[str, Any]:
    shown = {
        **service.extra,
        "id": service.id,
        "type": service.type,
        "name": service.name,
        "enabled": service.enabled,
        "links": self_link(request, "services", service.id),
    }
    if service.description is not None:
        shown["description"] = service.description
    return shown


ROUTES = (
    Route("GET", "/services", find_all, "identity:list_services"),
    Route("POST", "/services", create, "identity:create_service", body=_CREATE),
    Route("GET", "/services/{service_id}", get, "identity:get_service"),
    Route("PATCH", "/services/{service_id}", update, "identity:update_service", body=_UPDATE),
    Route("DELETE", "/services/{service_id}", delete, "identity:delete_service"),
)
