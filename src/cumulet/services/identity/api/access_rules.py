# SPDX-License-Identifier: Apache-2.0
"""`/v3/users/{user_id}/access_rules`: the requests that a user's application credentials may be limited to."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api import targets
from cumulet.services.identity.api.callers import keep_lent_tokens_out
from cumulet.services.identity.api.listing import collection, filters
from cumulet.services.identity.api.views import base_url
from cumulet.services.identity.logic import access_rules as logic
from cumulet.services.identity.types import AccessRule


def find_all(request: Request) -> Reply:
    keep_lent_tokens_out(request)
    asked = filters(request, ("service", "path", "method"))
    found = logic.of_user(request.cloud.db, request.params["user_id"], asked)
    return collection(request, "access_rules", [_linked(request, rule) for rule in found])


def get(request: Request) -> Reply:
    keep_lent_tokens_out(request)
    found = logic.get(request.cloud.db, request.params["access_rule_id"], request.params["user_id"])
    return Reply(200, {"access_rule": _linked(request, found)})


def delete(request: Request) -> Reply:
    keep_lent_tokens_out(request)
    logic.delete(request.cloud, request.params["access_rule_id"], request.params["user_id"])
    return Reply(204)


def view(rule: AccessRule) -> dict[str, Any]:
    return {"id": rule.id, "service": rule.service, "path": rule.path, "method": rule.method}


def _linked(request: Request, rule: AccessRule) -> dict[str, Any]:
    return {**view(rule), "links": {"self": f"{base_url(request)}/access_rules/{rule.id}"}}


_ALL = "/users/{user_id}/access_rules"
_ONE = _ALL + "/{access_rule_id}"

ROUTES = (
    Route("GET", _ALL, find_all, "identity:list_access_rules", target=targets.of_path),
    Route("GET", _ONE, get, "identity:get_access_rule", target=targets.of_path),
    Route("DELETE", _ONE, delete, "identity:delete_access_rule", target=targets.of_path),
)
