# SPDX-License-Identifier: Apache-2.0
"""`/v3/OS-FEDERATION/service_providers`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api.identity_providers import ENABLED
from cumulet.services.identity.api.listing import collection, filters
from cumulet.services.identity.api.views import TEXT, body, flags, self_link
from cumulet.services.identity.logic import service_providers as logic
from cumulet.services.identity.types import ServiceProvider

PATH = "OS-FEDERATION/service_providers"

_URL = {"type": "string", "minLength": 0, "maxLength": 225, "pattern": "^[a-zA-Z0-9+.-]+:.+"}
_PROPERTIES = {
    "auth_url": _URL,
    "sp_url": _URL,
    "description": TEXT,
    "enabled": ENABLED,
    "relay_state_prefix": {"type": ["string", "null"], "maxLength": 256},
}
_CREATE = body("service_provider", _PROPERTIES, required=("auth_url", "sp_url"), additionalProperties=False)
_UPDATE = body("service_provider", _PROPERTIES, least=1, additionalProperties=False)


def find_all(request: Request) -> Reply:
    found = logic.find_all(request.cloud.db, filters(request, ("id",), ("enabled",)))
    return collection(request, "service_providers", [view(request, provider) for provider in found])


def get(request: Request) -> Reply:
    return _one(request, 200, logic.get(request.cloud.db, request.params["service_provider_id"]))


def create(request: Request) -> Reply:
    words = flags(request.body["service_provider"], "enabled")
    return _one(request, 201, logic.create(request.cloud, request.params["service_provider_id"], words))


def update(request: Request) -> Reply:
    words = flags(request.body["service_provider"], "enabled")
    return _one(request, 200, logic.update(request.cloud, request.params["service_provider_id"], words))


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["service_provider_id"])
    return Reply(204)


def view(request: Request, provider: ServiceProvider) -> dict[str, Any]:
    return {
        "auth_url": provider.auth_url,
        "id": provider.id,
        "enabled": provider.enabled,
        "description": provider.description,
        "relay_state_prefix": provider.relay_state_prefix,
        "sp_url": provider.sp_url,
        "links": self_link(request, PATH, provider.id),
    }


def _one(request: Request, status: int, provider: ServiceProvider) -> Reply:
    return Reply(status, {"service_provider": view(request, provider)})


_ONE = f"/{PATH}/{{service_provider_id}}"

ROUTES = (
    Route("GET", f"/{PATH}", find_all, "identity:list_service_providers"),
    Route("GET", _ONE, get, "identity:get_service_provider"),
    Route("PUT", _ONE, create, "identity:create_service_provider", body=_CREATE),
    Route("PATCH", _ONE, update, "identity:update_service_provider", body=_UPDATE),
    Route("DELETE", _ONE, delete, "identity:delete_service_provider"),
)
