# SPDX-License-Identifier: Apache-2.0
"""`/v1/quotas`, what is in force for the caller's project, and `/v1/project-quotas`, what projects have set."""

from __future__ import annotations

from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.key_manager.api import targets
from cumulet.services.key_manager.api.common import listing, page, words
from cumulet.services.key_manager.api.dialect import phrase
from cumulet.services.key_manager.logic import quotas

_LIMIT = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
_PUT = Schema(
    {
        "type": "object",
        "properties": {
            "project_quotas": {
                "type": "object",
                "properties": dict.fromkeys(quotas.RESOURCES, _LIMIT),
                "additionalProperties": False,
            }
        },
        "required": ["project_quotas"],
        "additionalProperties": False,
    },
    phrase=phrase("Project Quota"),
)


def get_effective(request: Request) -> Reply:
    limits = quotas.limits(request.cloud, request.cloud.db, request.ctx.project_id or "")
    return Reply(200, {"quotas": limits})


def find_all(request: Request) -> Reply:
    wanted = page(request)
    found, total = quotas.find_all(request.cloud, wanted)
    shown = [{"project_id": one.project_id, "project_quotas": quotas.own(one)} for one in found]
    return Reply(200, listing(request, "project_quotas", shown, total, wanted))


def get(request: Request) -> Reply:
    return Reply(200, {"project_quotas": quotas.own(quotas.get(request.cloud, request.params["project_id"]))})


def update(request: Request) -> Reply:
    limits = {name: int(limit) for name, limit in words(request)["project_quotas"].items()}
    quotas.update(request.cloud, request.params["project_id"], limits)
    return Reply(204)


def delete(request: Request) -> Reply:
    quotas.delete(request.cloud, request.params["project_id"])
    return Reply(204)


_ONE = "/project-quotas/{project_id}"

ROUTES = (
    Route("GET", "/quotas", get_effective, "quotas:get", target=targets.anything),
    Route("GET", "/project-quotas", find_all, "project_quotas:get", target=targets.anything),
    Route("GET", _ONE, get, "project_quotas:get", target=targets.anything),
    Route("PUT", _ONE, update, "project_quotas:put", body=_PUT, target=targets.anything),
    Route("DELETE", _ONE, delete, "project_quotas:delete", target=targets.anything),
)
