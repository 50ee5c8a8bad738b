# SPDX-License-Identifier: Apache-2.0
"""`/os-server-groups`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.paging import whole_number
from cumulet.kernel.schema import Schema
from cumulet.services.compute.api import common, fields
from cumulet.services.compute.logic import groups as logic
from cumulet.services.compute.types import ServerGroup

_RULE = "os_compute_api:os-server-groups"
_ONE = "/os-server-groups/{group_id}"
ONE_POLICY = (2, 64)  # a policy and its rules instead of a list of policies

_HARD, _SOFT = ["anti-affinity", "affinity"], ["soft-anti-affinity", "soft-affinity"]
_POLICIES = {
    "versions": [
        {"value": [{"type": "string", "enum": _HARD}], "until": (2, 14)},
        {"value": [{"type": "string", "enum": [*_HARD, *_SOFT]}], "since": (2, 15)},
    ]
}
_CREATE = Schema(
    fields.wrapped(
        "server_group",
        {
            "type": "object",
            "properties": {
                "name": fields.NAME,
                "policies": {
                    "type": "array",
                    "prefixItems": _POLICIES,
                    "uniqueItems": True,
                    "minItems": 1,
                    "maxItems": 1,
                    "until": (2, 63),
                },
                "policy": {"type": "string", "enum": [*_HARD, *_SOFT], "since": ONE_POLICY},
                "rules": {
                    "type": "object",
                    "properties": {"max_server_per_host": fields.POSITIVE},
                    "additionalProperties": False,
                    "since": ONE_POLICY,
                },
            },
            "required": [
                "name",
                {"value": "policies", "until": (2, 63)},
                {"value": "policy", "since": ONE_POLICY},
            ],
            "additionalProperties": False,
        },
    )
)
_LIST = fields.query(
    {
        "all_projects": fields.many({"type": "string"}),
        "limit": fields.many(fields.COUNT),
        "offset": fields.many(fields.COUNT),
    },
    closed_since=(2, 75),
)
_NOTHING = fields.query({}, closed_since=(2, 102))


def find_all(request: Request) -> Reply:
    everywhere = "all_projects" in request.query and request.ctx.is_admin
    if everywhere:
        request.require(f"{_RULE}:index:all_projects")
    found = logic.find_all(request.cloud.db, request.ctx, everywhere)
    offset = whole_number(request, "offset") or 0
    found = found[offset : offset + (common.page_limit(request) or common.MOST_ROWS)]
    return Reply(200, {"server_groups": [view(request, group) for group in found]})


def get(request: Request) -> Reply:
    return Reply(200, {"server_group": view(request, _group(request))})


def create(request: Request) -> Reply:
    body = request.body["server_group"]
    policy = body["policy"] if request.version >= ONE_POLICY else body["policies"][0]
    rules = {name: int(value) for name, value in body.get("rules", {}).items()}
    if rules and policy != "anti-affinity":
        raise Invalid("Only anti-affinity policy supports rules.")
    made = logic.create(request.cloud, request.ctx, body["name"], policy, rules)
    return Reply(200, {"server_group": view(request, made)})


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.ctx, request.params["group_id"])
    return Reply(204)


def view(request: Request, group: ServerGroup) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": group.id,
        "name": group.name,
        "members": [server.id for server in logic.members(request.cloud.db, group.id)],
    }
    if request.version >= ONE_POLICY:
        found.update(policy=group.policy, rules=group.rules)
    else:
        found.update(policies=[group.policy], metadata={})
    if request.version >= (2, 13):
        found.update(project_id=group.project_id, user_id=group.user_id)
    return found


def target(request: Request) -> Mapping[str, Any]:
    return {"project_id": _group(request).project_id}


def _group(request: Request) -> ServerGroup:
    return logic.get(request.cloud.db, request.ctx, request.params["group_id"])


ROUTES = (
    Route("GET", "/os-server-groups", find_all, f"{_RULE}:index", query=_LIST),
    Route("POST", "/os-server-groups", create, f"{_RULE}:create", body=_CREATE),
    Route("GET", _ONE, get, f"{_RULE}:show", query=_NOTHING, target=target),
    Route("DELETE", _ONE, delete, f"{_RULE}:delete", target=target),
)
