# SPDX-License-Identifier: Apache-2.0
"""`/v3/users/{user_id}/application_credentials`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api.listing import collection, filters
from cumulet.services.identity.api.views import ID, NAME, TEXT, body, self_link
from cumulet.services.identity.logic import application_credentials as logic
from cumulet.services.identity.logic import tokens, users
from cumulet.services.identity.store import application_credentials as store
from cumulet.services.identity.types import ApplicationCredential

METHOD = "application_credential"

_CREATE = body(
    "application_credential",
    {
        "id": {"type": "string"},
        "secret": TEXT,
        "name": NAME,
        "description": TEXT,
        "expires_at": TEXT,
        "project_id": {"type": "string"},
        "access_rules": {"type": "array", "items": {"type": "object"}},
        "unrestricted": {"type": ["boolean", "null"]},
        "system": TEXT,
        "roles": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"id": ID, "name": NAME},
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": False,
            },
        },
    },
    required=("name",),
    additionalProperties=False,
)


def find_all(request: Request) -> Reply:
    found = logic.of_user(request.cloud.db, request.params["user_id"], filters(request, ("name",)))
    return collection(request, "application_credentials", [view(request, one) for one in found])


def get(request: Request) -> Reply:
    found = logic.get(request.cloud.db, request.params["credential_id"])
    return Reply(200, {METHOD: view(request, found)})


def create(request: Request) -> Reply:
    users.get(request.cloud.db, request.params["user_id"])
    new, secret = logic.create(request.cloud, request.ctx, request.body[METHOD], _used(request))
    return Reply(201, {METHOD: {**view(request, new), "secret": secret}})


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["credential_id"], _used(request))
    return Reply(204)


def view(request: Request, credential: ApplicationCredential) -> dict[str, Any]:
    return {
        "id": credential.id,
        "name": credential.name,
        "description": credential.description,
        "user_id": credential.user_id,
        "project_id": credential.project_id,
        "system": None,
        "expires_at": clock.iso_micro(credential.expires_at) if credential.expires_at else None,
        "unrestricted": credential.unrestricted,
        "roles": [
            {
                "id": role.id,
                "name": role.name,
                "domain_id": role.domain_id,
                "description": role.description,
                "options": role.options,
            }
            for role in logic.roles_of(request.cloud.db, credential)
        ],
        "links": self_link(request, "application_credentials", credential.id),
    }


def _target(request: Request) -> Mapping[str, Any]:
    """The owner is whoever the credential belongs to, whatever the path says."""
    credential = store.find(request.cloud.db, request.params["credential_id"])
    return {"user_id": credential.user_id if credential is not None else request.params["user_id"]}


def _path(request: Request) -> Mapping[str, Any]:
    return {"user_id": request.params["user_id"]}


def _used(request: Request) -> ApplicationCredential | None:
    """The credential that the caller's own token was made with."""
    if METHOD not in request.ctx.methods:
        return None
    return tokens.read(request.cloud, request.headers["x-auth-token"]).application_credential


_ALL = "/users/{user_id}/application_credentials"
_ONE = _ALL + "/{credential_id}"

ROUTES = (
    Route("GET", _ALL, find_all, "identity:list_application_credentials", target=_path),
    Route("POST", _ALL, create, "identity:create_application_credential", body=_CREATE, target=_path, slow=True),
    Route("GET", _ONE, get, "identity:get_application_credential", target=_target),
    Route("DELETE", _ONE, delete, "identity:delete_application_credential", target=_target),
)
