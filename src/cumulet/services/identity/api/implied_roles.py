# SPDX-License-Identifier: Apache-2.0
"""`/v3/roles/{prior_role_id}/implies` and `/v3/role_inferences`: which roles bring others with them."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api import targets
from cumulet.services.identity.api.views import self_link
from cumulet.services.identity.logic import roles as logic
from cumulet.services.identity.types import Role


def find_all(request: Request) -> Reply:
    prior = logic.get(request.cloud.db, request.params["prior_role_id"])
    implied = logic.implied_by(request.cloud.db, prior.id)
    return _inference(request, prior, [_view(request, role) for role in implied])


def get(request: Request) -> Reply:
    return _one(request, 200)


def check(request: Request) -> Reply:
    logic.check_implied(request.cloud.db, request.params["prior_role_id"], request.params["implied_role_id"])
    return Reply(204)


def create(request: Request) -> Reply:
    logic.imply(request.cloud, request.params["prior_role_id"], request.params["implied_role_id"])
    return _one(request, 201)


def delete(request: Request) -> Reply:
    logic.stop_implying(request.cloud, request.params["prior_role_id"], request.params["implied_role_id"])
    return Reply(204)


def inferences(request: Request) -> Reply:
    rules = [
        {"prior_role": _view(request, prior), "implies": [_view(request, role) for role in implied]}
        for prior, implied in logic.implications(request.cloud.db)
    ]
    return Reply(200, {"role_inferences": rules})


def _one(request: Request, status: int) -> Reply:
    prior = logic.get(request.cloud.db, request.params["prior_role_id"])
    implied = logic.check_implied(request.cloud.db, prior.id, request.params["implied_role_id"])
    return _inference(request, prior, _view(request, implied), status)


def _inference(request: Request, prior: Role, implies: Any, status: int = 200) -> Reply:
    rule = {"prior_role": _view(request, prior), "implies": implies}
    return Reply(status, {"role_inference": rule, "links": {"self": request.url}})


def _view(request: Request, role: Role) -> dict[str, Any]:
    return {"id": role.id, "name": role.name, "links": self_link(request, "roles", role.id)}


_ALL = "/roles/{prior_role_id}/implies"
_ONE = _ALL + "/{implied_role_id}"

ROUTES = (
    Route("GET", _ALL, find_all, "identity:list_implied_roles", target=targets.of_path),
    Route("GET", _ONE, get, "identity:get_implied_role", target=targets.of_path),
    Route("HEAD", _ONE, check, "identity:check_implied_role", target=targets.of_path),
    Route("PUT", _ONE, create, "identity:create_implied_role", target=targets.of_path),
    Route("DELETE", _ONE, delete, "identity:delete_implied_role", target=targets.of_path),
    Route("GET", "/role_inferences", inferences, "identity:list_role_inference_rules"),
)
