# SPDX-License-Identifier: Apache-2.0
"""`/v3/policies/{policy_id}/OS-ENDPOINT-POLICY` and `/v3/endpoints/{endpoint_id}/OS-ENDPOINT-POLICY`"""

from __future__ import annotations

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api import endpoints, policies
from cumulet.services.identity.api.listing import collection
from cumulet.services.identity.logic import endpoint_policies as logic
from cumulet.services.identity.types import PolicyAssociation


def endpoints_of(request: Request) -> Reply:
    found = logic.endpoints_of(request.cloud.db, request.params["policy_id"])
    return collection(request, "endpoints", [endpoints.view(request, one) for one in found])


def policy_of(request: Request) -> Reply:
    found = logic.policy_of(request.cloud.db, request.params["endpoint_id"])
    return Reply(200, {"policy": policies.view(request, found, "endpoints")})


def check(request: Request) -> Reply:
    logic.check(request.cloud.db, _named(request))
    return Reply(204)


def create(request: Request) -> Reply:
    logic.create(request.cloud, _named(request))
    return Reply(204)


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, _named(request))
    return Reply(204)


def _named(request: Request) -> PolicyAssociation:
    """What the path names; its variables are called as the association's fields."""
    return logic.place(**request.params)


_BASE = "/policies/{policy_id}/OS-ENDPOINT-POLICY"
_PLACES = (
    ("endpoint", _BASE + "/endpoints/{endpoint_id}"),
    ("service", _BASE + "/services/{service_id}"),
    ("region_and_service", _BASE + "/services/{service_id}/regions/{region_id}"),
)

ROUTES = (
    Route("GET", _BASE + "/endpoints", endpoints_of, "identity:list_endpoints_for_policy"),
    Route("GET", "/endpoints/{endpoint_id}/OS-ENDPOINT-POLICY/policy", policy_of, "identity:get_policy_for_endpoint"),
    *(Route("GET", path, check, f"identity:check_policy_association_for_{place}") for place, path in _PLACES),
    *(Route("PUT", path, create, f"identity:create_policy_association_for_{place}") for place, path in _PLACES),
    *(Route("DELETE", path, delete, f"identity:delete_policy_association_for_{place}") for place, path in _PLACES),
)
