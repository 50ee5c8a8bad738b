# SPDX-License-Identifier: Apache-2.0
"""`/v3/OS-EP-FILTER/endpoint_groups`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api import endpoints
from cumulet.services.identity.api.listing import collection, filters
from cumulet.services.identity.api.views import NAME, TEXT, body, self_link
from cumulet.services.identity.logic import endpoint_groups as logic
from cumulet.services.identity.types import EndpointGroup

_PROPERTIES = {
    "description": TEXT,
    "filters": {
        "type": "object",
        "properties": {
            "interface": {"type": "string", "enum": ["admin", "internal", "public"]},
            "service_id": {"type": "string"},
            "region_id": TEXT,
            "enabled": {"type": "boolean"},
        },
    },
    "name": NAME,
}
_CREATE = body("endpoint_group", _PROPERTIES, required=("name", "filters"), additionalProperties=False)
_UPDATE = body("endpoint_group", _PROPERTIES, least=1, additionalProperties=False)


def find_all(request: Request) -> Reply:
    found = logic.find_all(request.cloud.db, filters(request, ("name",)))
    return collection(request, "endpoint_groups", [view(request, group) for group in found])


def get(request: Request) -> Reply:
    return Reply(200, {"endpoint_group": view(request, _named(request))})


def create(request: Request) -> Reply:
    return Reply(201, {"endpoint_group": view(request, logic.create(request.cloud, request.body["endpoint_group"]))})


def update(request: Request) -> Reply:
    group = logic.update(request.cloud, request.params["endpoint_group_id"], request.body["endpoint_group"])
    return Reply(200, {"endpoint_group": view(request, group)})


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["endpoint_group_id"])
    return Reply(204)


def members(request: Request) -> Reply:
    found = logic.members(request.cloud.db, _named(request))
    return collection(request, "endpoints", [endpoints.view(request, one) for one in found])


def view(request: Request, group: EndpointGroup) -> dict[str, Any]:
    return {
        "id": group.id,
        "name": group.name,
        "description": group.description,
        "filters": group.filters,
        "links": self_link(request, "OS-EP-FILTER/endpoint_groups", group.id),
    }


def _named(request: Request) -> EndpointGroup:
    return logic.get(request.cloud.db, request.params["endpoint_group_id"])


_ALL = "/OS-EP-FILTER/endpoint_groups"
_ONE = _ALL + "/{endpoint_group_id}"

ROUTES = (
    Route("GET", _ALL, find_all, "identity:list_endpoint_groups"),
    Route("POST", _ALL, create, "identity:create_endpoint_group", body=_CREATE),
    Route("GET", _ONE, get, "identity:get_endpoint_group"),
    Route("PATCH", _ONE, update, "identity:update_endpoint_group", body=_UPDATE),
    Route("DELETE", _ONE, delete, "identity:delete_endpoint_group"),
    Route("GET", _ONE + "/endpoints", members, "identity:list_endpoints_associated_with_endpoint_group"),
)
