# SPDX-License-Identifier: Apache-2.0
"""`/v3/OS-FEDERATION/mappings`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.identity.api.listing import collection
from cumulet.services.identity.api.views import self_link
from cumulet.services.identity.logic import mappings as logic
from cumulet.services.identity.types import Mapping

PATH = "OS-FEDERATION/mappings"

# What is in a mapping is judged, and refused in Keystone's own words, by `logic.mapping_rules`.
_BODY = Schema({"type": "object", "properties": {"mapping": {"type": "object"}}})


def find_all(request: Request) -> Reply:
    return collection(request, "mappings", [view(request, mapping) for mapping in logic.find_all(request.cloud.db)])


def get(request: Request) -> Reply:
    return _one(request, 200, logic.get(request.cloud.db, request.params["mapping_id"]))


def create(request: Request) -> Reply:
    words = request.body.get("mapping", {})
    return _one(request, 201, logic.create(request.cloud, request.params["mapping_id"], words))


def update(request: Request) -> Reply:
    words = request.body.get("mapping", {})
    return _one(request, 200, logic.update(request.cloud, request.params["mapping_id"], words))


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["mapping_id"])
    return Reply(204)


def view(request: Request, mapping: Mapping) -> dict[str, Any]:
    return {
        "id": mapping.id,
        "rules": mapping.rules,
        "schema_version": mapping.schema_version,
        "links": self_link(request, PATH, mapping.id),
    }


def _one(request: Request, status: int, mapping: Mapping) -> Reply:
    return Reply(status, {"mapping": view(request, mapping)})


ROUTES = (
    Route("GET", f"/{PATH}", find_all, "identity:list_mappings"),
    Route("GET", f"/{PATH}/{{mapping_id}}", get, "identity:get_mapping"),
    Route("PUT", f"/{PATH}/{{mapping_id}}", create, "identity:create_mapping", body=_BODY),
    Route("PATCH", f"/{PATH}/{{mapping_id}}", update, "identity:update_mapping", body=_BODY),
    Route("DELETE", f"/{PATH}/{{mapping_id}}", delete, "identity:delete_mapping"),
)
