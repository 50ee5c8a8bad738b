# SPDX-License-Identifier: Apache-2.0
"""`/v3/OS-TRUST/trusts`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.errors import NotFound
from cumulet.kernel.http import ANYONE, Reply, Request, Route
from cumulet.services.identity.api import roles as role_views
from cumulet.services.identity.api import targets
from cumulet.services.identity.api.callers import caller
from cumulet.services.identity.api.listing import collection
from cumulet.services.identity.api.views import ROLES, TEXT, base_url, body, self_link
from cumulet.services.identity.logic import roles
from cumulet.services.identity.logic import trusts as logic
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Trust

_NUMBER = {"type": ["integer", "null"], "maximum": 0x7FFFFFFF}
_USER = {"type": "string"}
_CREATE = body(
    "trust",
    {
        "trustor_user_id": _USER,
        "trustee_user_id": _USER,
        "impersonation": {"type": "boolean"},
        "project_id": TEXT,
        "remaining_uses": {**_NUMBER, "minimum": 1},
        "expires_at": TEXT,
        "allow_redelegation": {"type": ["boolean", "null"]},
        "redelegation_count": {**_NUMBER, "minimum": 0},
        "redelegated_trust_id": TEXT,
        "roles": ROLES,
    },
    required=("trustor_user_id", "trustee_user_id", "impersonation"),
)
_SIDES = ("trustor_user_id", "trustee_user_id")


def find_all(request: Request) -> Reply:
    """All trusts, or those of one side; who asks for one's own need not be an administrator."""
    side = next((name for name in _SIDES if request.query.get(name)), None)
    if side is None:
        request.require("identity:list_trusts")
    else:
        rule = f"identity:list_trusts_for_{side.removesuffix('_user_id')}"
        request.require(rule, {"target": {"trust": {side: request.query[side]}}})
    logic.check_caller(caller(request))
    if side is None and request.query:
        return collection(request, "trusts", [])
    wanted = [Filter(side, request.query[side])] if side is not None else []
    found = logic.find_all(request.cloud.db, wanted)
    return collection(request, "trusts", [_brief(request, trust) for trust in found])


def get(request: Request) -> Reply:
    logic.check_caller(caller(request))
    return Reply(200, {"trust": view(request, logic.get(request.cloud.db, request.params["trust_id"]))})


def create(request: Request) -> Reply:
    bearer = caller(request)
    logic.check_caller(bearer)
    return Reply(201, {"trust": view(request, logic.create(request.cloud, bearer, request.body["trust"]))})


def delete(request: Request) -> Reply:
    logic.check_caller(caller(request))
    logic.delete(request.cloud, request.params["trust_id"])
    return Reply(204)


def roles_of(request: Request) -> Reply:
    logic.check_caller(caller(request))
    shown = view(request, logic.get(request.cloud.db, request.params["trust_id"]))
    return Reply(200, {"roles": shown["roles"], "links": shown["roles_links"]})


def role_of(request: Request) -> Reply:
    logic.check_caller(caller(request))
    role_id = request.params["role_id"]
    if role_id not in logic.get(request.cloud.db, request.params["trust_id"]).role_ids:
        raise NotFound(f"Could not find role: {role_id}.", code="RoleNotFound")
    return Reply(200, {"role": role_views.view(request, roles.get(request.cloud.db, role_id))})


def view(request: Request, trust: Trust) -> dict[str, Any]:
    shown = [role_views.view(request, role) for role in logic.roles_of(request.cloud.db, trust)]
    # Keystone's own words, which lead to nothing.
    links = {"self": f"{base_url(request)}/{trust.id}/roles", "next": None, "previous": None}
    return {**_brief(request, trust), "roles": shown, "roles_links": links}


def _brief(request: Request, trust: Trust) -> dict[str, Any]:
    return {
        **trust.extra,
        "id": trust.id,
        "trustor_user_id": trust.trustor_user_id,
        "trustee_user_id": trust.trustee_user_id,
        "project_id": trust.project_id,
        "impersonation": trust.impersonation,
        "expires_at": clock.iso_micro_z(trust.expires_at) if trust.expires_at else None,
        "remaining_uses": trust.remaining_uses,
        "redelegated_trust_id": trust.redelegated_trust_id,
        "redelegation_count": trust.redelegation_count,
        "deleted_at": None,
        "links": self_link(request, "OS-TRUST/trusts", trust.id),
    }


def _target(request: Request) -> Mapping[str, Any]:
    """The trust; whoever may not see it learns no less than that it is not there."""
    return {"target": {"trust": targets.shown(logic.get(request.cloud.db, request.params["trust_id"]))}}


_ALL = "/OS-TRUST/trusts"
_ONE = _ALL + "/{trust_id}"

# Which rule a list needs depends on whose trusts are asked for: the handler judges it.
ROUTES = (
    Route("GET", _ALL, find_all, ANYONE),
    Route("POST", _ALL, create, "identity:create_trust", body=_CREATE, target=targets.of_body("trust")),
    Route("GET", _ONE, get, "identity:get_trust", target=_target),
    Route("DELETE", _ONE, delete, "identity:delete_trust", target=_target),
    Route("GET", _ONE + "/roles", roles_of, "identity:list_roles_for_trust", target=_target),
    Route("GET", _ONE + "/roles/{role_id}", role_of, "identity:get_role_for_trust", target=_target),
)
