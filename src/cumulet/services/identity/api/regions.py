# SPDX-License-Identifier: Apache-2.0
"""`/v3/regions`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel import ids
from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api.listing import collection
from cumulet.services.identity.api.views import body, self_link
from cumulet.services.identity.logic import regions as logic
from cumulet.services.identity.logic.changes import extras
from cumulet.services.identity.types import Region

_ID = {"type": ["string", "null"], "maxLength": 255}
_PROPERTIES = {
    "description": {"type": ["string", "null"], "maxLength": 255},
    "id": _ID,
    "parent_region_id": {**_ID, "minLength": 1},
}
_CREATE = body("region", _PROPERTIES)
_UPDATE = body("region", {**_PROPERTIES, "id": {**_ID, "minLength": 1}}, least=1)


def find_all(request: Request) -> Reply:
    regions = logic.find_all(request.cloud, request.query.get("parent_region_id"))
    return collection(request, "regions", [view(request, region) for region in regions])


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
    region_id, words = request.params["region_id"], request.body["region"]
    if words.get("id", region_id) != region_id:
        raise Invalid("Cannot change ID")
    changes = {name: words[name] for name in ("description", "parent_region_id") if name in words}
    if "description" in changes:
        changes["description"] = changes["description"] or ""
    changes["extra"] = extras(words, _PROPERTIES)
    return Reply(200, {"region": view(request, logic.update(request.cloud, region_id, changes))})


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["region_id"])
    return Reply(204)


def view(request: Request, region: Region) -> dict[str, Any]:
    return {
        **region.extra,
        "id": region.id,
        "description": region.description,
        "parent_region_id": region.parent_region_id,
        "links": self_link(request, "regions", region.id),
    }


def _create(request: Request, region_id: str) -> Reply:
    words = request.body["region"]
    new = Region(region_id, words.get("description") or "", words.get("parent_region_id"), extras(words, _PROPERTIES))
    return Reply(201, {"region": view(request, logic.create(request.cloud, new))})


ROUTES = (
    Route("GET", "/regions", find_all, "identity:list_regions"),
    Route("POST", "/regions", create, "identity:create_region", body=_CREATE),
    Route("GET", "/regions/{region_id}", get, "identity:get_region"),
    Route("PUT", "/regions/{region_id}", create_named, "identity:create_region", body=_CREATE),
    Route("PATCH", "/regions/{region_id}", update, "identity:update_region", body=_UPDATE),
    Route("DELETE", "/regions/{region_id}", delete, "identity:delete_region"),
)
