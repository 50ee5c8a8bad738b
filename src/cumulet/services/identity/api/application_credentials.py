# SPDX-License-Identifier: Apache-2.0
"""`/v3/users/{user_id}/application_credentials`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api import access_rules
from cumulet.services.identity.api.callers import caller, keep_lent_tokens_out
from cumulet.services.identity.api.listing import collection, filters
from cumulet.services.identity.api.views import ID, NAME, ROLES, TEXT, body, self_link
from cumulet.services.identity.logic import access_rules as access_rule_logic
from cumulet.services.identity.logic import application_credentials as logic
from cumulet.services.identity.logic.proofs import forbidden
from cumulet.services.identity.store import application_credentials as store
from cumulet.services.identity.types import ApplicationCredential

METHOD = "application_credential"

_RULE = {
    "id": ID,
    "service": ID,
    "path": {"type": "string", "maxLength": 225, "pattern": "^/"},
    "method": {"type": "string", "enum": ["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"]},
}
_CREATE = body(
    "application_credential",
    {
        "id": {"type": "string"},
        "secret": TEXT,
        "name": NAME,
        "description": TEXT,
        "expires_at": TEXT,
        "project_id": {"type": "string"},
        "access_rules": {"type": "array", "items": {"type": "object", "properties": _RULE}},
        "unrestricted": {"type": ["boolean", "null"]},
        "system": TEXT,
        "roles": ROLES,
    },
    required=("name",),
    additionalProperties=False,
)


def find_all(request: Request) -> Reply:
    keep_lent_tokens_out(request)
    found = logic.of_user(request.cloud.db, request.params["user_id"], filters(request, ("name",)))
    return collection(request, "application_credentials", [view(request, one) for one in found])


def get(request: Request) -> Reply:
    keep_lent_tokens_out(request)
    found = logic.get(request.cloud.db, request.params["credential_id"])
    return Reply(200, {METHOD: view(request, found)})


def create(request: Request) -> Reply:
    keep_lent_tokens_out(request)
    if request.ctx.user_id != request.params["user_id"]:
        raise forbidden("Cannot create an application credential for another user.")
    new, secret = logic.create(request.cloud, caller(request), request.body[METHOD])
    return Reply(201, {METHOD: {**view(request, new), "secret": secret}})


def delete(request: Request) -> Reply:
    keep_lent_tokens_out(request)
    logic.delete(request.cloud, request.params["credential_id"], caller(request))
    return Reply(204)


def view(request: Request, credential: ApplicationCredential) -> dict[str, Any]:
    shown = {
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
    if credential.access_rule_ids is not None:
        limits = access_rule_logic.named(request.cloud.db, credential.access_rule_ids)
        shown["access_rules"] = [access_rules.view(rule) for rule in limits]
    return shown


def _target(request: Request) -> Mapping[str, Any]:
    """The owner is whoever the credential belongs to, whatever the path says."""
    credential = store.find(request.cloud.db, request.params["credential_id"])
    return {"user_id": credential.user_id if credential is not None else request.params["user_id"]}


def _path(request: Request) -> Mapping[str, Any]:
    return {"user_id": request.params["user_id"]}


_ALL = "/users/{user_id}/application_credentials"
_ONE = _ALL + "/{credential_id}"

ROUTES = (
    Route("GET", _ALL, find_all, "identity:list_application_credentials", target=_path),
    Route("POST", _ALL, create, "identity:create_application_credential", body=_CREATE, target=_path, slow=True),
    Route("GET", _ONE, get, "identity:get_application_credential", target=_target),
    Route("DELETE", _ONE, delete, "identity:delete_application_credential", target=_target),
)
