# SPDX-License-Identifier: Apache-2.0
"""`/v3/users/{user_id}/OS-OAUTH1/access_tokens`: what a user has lent to consumers."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import Forbidden, NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api import request_tokens, roles
from cumulet.services.identity.api.listing import collection
from cumulet.services.identity.api.views import base_url
from cumulet.services.identity.logic import access_tokens as logic
from cumulet.services.identity.logic import tokens
from cumulet.services.identity.logic.proofs import is_delegated
from cumulet.services.identity.logic.refusals import not_proven
from cumulet.services.identity.types import AccessToken, Role


def find_all(request: Request) -> Reply:
    _check_direct(request)
    found = logic.of_user(request.cloud.db, request.params["user_id"])
    return collection(request, "access_tokens", [view(request, token) for token in found])


def get(request: Request) -> Reply:
    _check_direct(request)
    return Reply(200, {"access_token": view(request, _named(request))})


def delete(request: Request) -> Reply:
    _check_direct(request)
    logic.delete(request.cloud, request.params["user_id"], request.params["access_token_id"])
    return Reply(204)


def roles_of(request: Request) -> Reply:
    found = logic.roles_of(request.cloud.db, _named(request))
    return collection(request, "roles", [_role(request, role) for role in found])


def role_of(request: Request) -> Reply:
    token, role_id = logic.get(request.cloud.db, request.params["access_token_id"]), request.params["role_id"]
    if token.user_id != request.params["user_id"]:
        raise not_proven("User IDs do not match", "OAuthRefused")
    for role in logic.roles_of(request.cloud.db, token):
        if role.id == role_id:
            return Reply(200, {"role": _role(request, role)})
    raise NotFound(f"Could not find role: {role_id}.", code="RoleNotFound")


def view(request: Request, token: AccessToken) -> dict[str, Any]:
    own = f"{base_url(request)}/users/{token.user_id}/OS-OAUTH1/access_tokens/{token.id}"
    return {
        "id": token.id,
        "consumer_id": token.consumer_id,
        "project_id": token.project_id,
        "authorizing_user_id": token.user_id,
        "expires_at": request_tokens.moment(token.expires_at) if token.expires_at is not None else None,
        "links": {"roles": f"{own}/roles", "self": own},
    }


def _named(request: Request) -> AccessToken:
    found = logic.get(request.cloud.db, request.params["access_token_id"])
    if found.user_id != request.params["user_id"]:
        raise NotFound("Access token not found", code="AccessTokenNotFound")
    return found


def _role(request: Request, role: Role) -> dict[str, Any]:
    return {name: value for name, value in roles.view(request, role).items() if name != "description"}


def _check_direct(request: Request) -> None:
    if is_delegated(tokens.read(request.cloud, request.headers["x-auth-token"])):
        raise Forbidden("Cannot manage OAuth access tokens with a token issued via delegation.")


_ALL = "/users/{user_id}/OS-OAUTH1/access_tokens"
_ONE = _ALL + "/{access_token_id}"

ROUTES = (
    Route("GET", _ALL, find_all, "identity:list_access_tokens"),
    Route("GET", _ONE, get, "identity:get_access_token"),
    Route("DELETE", _ONE, delete, "identity:delete_access_token"),
    Route("GET", _ONE + "/roles", roles_of, "identity:list_access_token_roles"),
    Route("GET", _ONE + "/roles/{role_id}", role_of, "identity:get_access_token_role"),
)
