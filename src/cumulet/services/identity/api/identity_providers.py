# SPDX-License-Identifier: Apache-2.0
"""`/v3/OS-FEDERATION/identity_providers`"""

from __future__ import annotations

from typing import Any, cast

from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.identity.api.listing import collection, filters
from cumulet.services.identity.api.views import FLAG, ID, TEXT, body, flags, self_link
from cumulet.services.identity.logic import identity_providers as logic

PATH = "OS-FEDERATION/identity_providers"

ENABLED = {**FLAG, "enum": [value for value in cast(list[Any], FLAG["enum"]) if value is not None]}
_PROPERTIES = {
    "enabled": ENABLED,
    "description": TEXT,
    "authorization_ttl": {"type": ["integer", "null"], "minimum": 0, "maximum": 0x7FFFFFFF},
    "remote_ids": {"type": ["array", "null"], "items": {"type": "string", "maxLength": 64}, "uniqueItems": True},
}
_DOMAIN_ID = {**ID, "type": ["string", "null"]}
_NEW = {"type": "object", "additionalProperties": False}
_CREATE = Schema(
    {
        **_NEW,
        "properties": {
            "identity_provider": {
                **_NEW,
                "properties": {**_PROPERTIES, "domain_id": _DOMAIN_ID},
            }
        },
    }
)
_UPDATE = body("identity_provider", _PROPERTIES, least=1, others=True, additionalProperties=False)


def find_all(request: Request) -> Reply:
    found = logic.find_all(request.cloud.db, filters(request, ("id",), ("enabled",)))
    shown = []
    for known in found:
        item = view(request, known)
        item["links"]["protocols"] = f"{item['links']['self']}/protocols"
        shown.append(item)
    return collection(request, "identity_providers", shown)


def get(request: Request) -> Reply:
    return _one(request, 200, logic.find(request.cloud.db, request.params["idp_id"]))


def create(request: Request) -> Reply:
    words = flags(request.body.get("identity_provider", {}), "enabled")
    return _one(request, 201, logic.create(request.cloud, request.params["idp_id"], words))


def update(request: Request) -> Reply:
    words = flags(request.body["identity_provider"], "enabled")
    return _one(request, 200, logic.update(request.cloud, request.params["idp_id"], words))


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["idp_id"])
    return Reply(204)


def view(request: Request, known: logic.Known) -> dict[str, Any]:
    provider = known.provider
    return {
        "id": provider.id,
        "domain_id": provider.domain_id,
        "enabled": provider.enabled,
        "description": provider.description,
        "remote_ids": known.remote_ids,
        "authorization_ttl": provider.authorization_ttl,
        "links": self_link(request, PATH, provider.id),
    }


def _one(request: Request, status: int, known: logic.Known) -> Reply:
    return Reply(status, {"identity_provider": view(request, known)})


ROUTES = (
    Route("GET", f"/{PATH}", find_all, "identity:list_identity_providers"),
    Route("GET", f"/{PATH}/{{idp_id}}", get, "identity:get_identity_provider"),
    Route("PUT", f"/{PATH}/{{idp_id}}", create, "identity:create_identity_provider", body=_CREATE),
    Route("PATCH", f"/{PATH}/{{idp_id}}", update, "identity:update_identity_provider", body=_UPDATE),
    Route("DELETE", f"/{PATH}/{{idp_id}}", delete, "identity:delete_identity_provider"),
)
