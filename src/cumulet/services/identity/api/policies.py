# SPDX-License-Identifier: Apache-2.0
"""`/v3/policies`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api.listing import collection, filters
from cumulet.services.identity.api.views import body, self_link
from cumulet.services.identity.logic import policies as logic
from cumulet.services.identity.types import StoredPolicy

_PROPERTIES = {"blob": {"type": "string"}, "type": {"type": "string", "maxLength": 255}}
_CREATE = body("policy", _PROPERTIES, required=("blob", "type"))
_UPDATE = body("policy", _PROPERTIES, least=1)


def find_all(request: Request) -> Reply:
    found = logic.find_all(request.cloud.db, filters(request, ("type",)))
    return collection(request, "policies", [view(request, policy) for policy in found])


def get(request: Request) -> Reply:
    return Reply(200, {"policy": view(request, logic.get(request.cloud.db, request.params["policy_id"]))})


def create(request: Request) -> Reply:
    return Reply(201, {"policy": view(request, logic.create(request.cloud, request.body["policy"]))})


def update(request: Request) -> Reply:
    policy = logic.update(request.cloud, request.params["policy_id"], request.body["policy"])
    return Reply(200, {"policy": view(request, policy)})


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["policy_id"])
    return Reply(204)


def view(request: Request, policy: StoredPolicy, collection_name: str = "policies") -> dict[str, Any]:
    """A policy; Keystone's link names the collection in which it was asked for."""
    return {
        **policy.extra,
        "id": policy.id,
        "type": policy.type,
        "blob": policy.blob,
        "links": self_link(request, collection_name, policy.id),
    }


ROUTES = (
    Route("GET", "/policies", find_all, "identity:list_policies"),
    Route("POST", "/policies", create, "identity:create_policy", body=_CREATE),
    Route("GET", "/policies/{policy_id}", get, "identity:get_policy"),
    Route("PATCH", "/policies/{policy_id}", update, "identity:update_policy", body=_UPDATE),
    Route("DELETE", "/policies/{policy_id}", delete, "identity:delete_policy"),
)
