# SPDX-License-Identifier: Apache-2.0
"""`/v3/regions`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel import ids
from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.identity.api.views import collection, self_link
from cumulet.services.identity.logic import regions as logic
from cumulet.services.identity.types import Region

_ID = {"type": ["string", "null"], "maxLength": 255}
_PROPERTIES = {"id": _ID, "description": {"type": ["string", "null"]}, "parent_region_id": _ID}

_CREATE = Schema(
    {
        "type": "object",
        "properties": {"region": {"type": "object", "properties": _PROPERTIES, "additionalProperties": True}},
        "required": ["region"],
    }
)
_UPDATE = Schema(
    {
        "type": "object",
        "properties": {
            "region": {
                "type": "object",
                "properties": _PROPERTIES,
                "minProperties": 1,
                "additionalProperties": True,
            }
        },
        "required": ["region"],
    }
)


def find_all(request: Request) -> Reply:
    regions = logic.find_all(request.cloud, request.query.get("parent_region_id"))
    return Reply(200, collection(request, "regions", [view(request, region) for region in regions]))


def get(request: Request) -> Reply:
    return Reply(200, {"region": view(request, logic.get(request.cloud.db, request.params["region_id"]))})


def create(request: Request) -> Reply:
    return _create(request, request.body["region"].get("id") or ids.new_hex())


def create_named(request: Request) -> Reply:
    named, said = request.params["region_id"], request.body["region"].get("id")
    if said not in (None, named):
        raise Invalid(f'Conflicting region IDs specified: "{named}" != "{said}"')
    return _create(request, named)


def update(request: Request) -> Reply:
    region_id, body = request.params["region_id"], request.body["region"]
    if body.get("id", region_id) != region_id:
        raise Invalid("Cannot change region ID")
    changes = {name: body[name] for name in ("description", "parent_region_id") if name in body}
    if "description" in changes:
        changes["description"] = changes["description"] or ""
    return Reply(200, {"region": view(request, logic.update(request.cloud, region_id, changes))})


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["region_id"])
    return Reply(204)


def view(request: Request, region: Region) -> dict[str, Any]:
    return {
        "id": region.id,
        "description": region.description,
        "parent_region_id": region.parent_region_id,
        "links": self_link(request, "regions", region.id),
    }


def _create(request: Request, region_id: str) -> Reply:
    body = request.body["region"]
    new = Region(region_id, body.get("description") or "", body.get("parent_region_id"))
    return Reply(201, {"region": view(request, logic.create(request.cloud, new))})


ROUTES = (
    Route("GET", "/regions", find_all, "identity:list_regions"),
    Route("POST", "/regions", create, "identity:create_region", body=_CREATE),
    Route("GET", "/regions/{region_id}", get, "identity:get_region"),
    Route("PUT", "/regions/{region_id}", create_named, "identity:create_region", body=_CREATE),
    Route("PATCH", "/regions/{region_id}", update, "identity:update_region", body=_UPDATE),
    Route("DELETE", "/regions/{region_id}", delete, "identity:delete_region"),
)
