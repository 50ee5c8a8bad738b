# SPDX-License-Identifier: Apache-2.0
"""`/v3/credentials`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.errors import Forbidden
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.identity.api import targets
from cumulet.services.identity.api.listing import collection, filters
from cumulet.services.identity.api.views import TEXT, body, self_link
from cumulet.services.identity.logic import credentials as logic
from cumulet.services.identity.logic import tokens
from cumulet.services.identity.logic.proofs import is_delegated
from cumulet.services.identity.types import Credential

_BLOB = {"type": "string"}
_CREATE = Schema(
    {
        "type": "object",
        "properties": {
            "credential": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "blob": _BLOB,
                    "project_id": TEXT,
                    "type": {"type": "string"},
                    "user_id": {"type": "string"},
                },
                "additionalProperties": True,
                "required": ["blob", "type", "user_id"],
                "if": {"properties": {"type": {"const": "ec2"}}},
                "then": {"required": ["blob", "type", "user_id", "project_id"]},
            }
        },
        "required": ["credential"],
    }
)
_UPDATE = body("credential", {"blob": _BLOB}, required=("blob",), others=True, additionalProperties=False)


def find_all(request: Request) -> Reply:
    asked = filters(request, ("user_id", "type"))
    every = [] if _is_delegated(request) else logic.find_all(request.cloud, asked)
    rule = "identity:get_credential"
    found = [one for one in every if request.allows(rule, {"target": {"credential": targets.shown(one)}})]
    return collection(request, "credentials", [view(request, one) for one in found])


def get(request: Request) -> Reply:
    check_direct(request)
    found = logic.get(request.cloud, request.cloud.db, request.params["credential_id"])
    return Reply(200, {"credential": view(request, found)})


def create(request: Request) -> Reply:
    check_direct(request)
    return Reply(201, {"credential": view(request, logic.create(request.cloud, request.body["credential"]))})


def update(request: Request) -> Reply:
    check_direct(request)
    blob = request.body["credential"]["blob"]
    changed = logic.update(request.cloud, request.params["credential_id"], blob)
    return Reply(200, {"credential": view(request, changed)})


def delete(request: Request) -> Reply:
    check_direct(request)
    logic.delete(request.cloud, request.params["credential_id"])
    return Reply(204)


def view(request: Request, credential: Credential) -> dict[str, Any]:
    return {
        **credential.extra,
        "id": credential.id,
        "user_id": credential.user_id,
        "project_id": credential.project_id,
        "type": credential.type,
        "blob": credential.blob,
        "links": self_link(request, "credentials", credential.id),
    }


def check_direct(request: Request) -> None:
    """Forbidden for a token that was lent: what it may do ends, and a credential would not."""
    if _is_delegated(request):
        action = "Delegated tokens cannot access credentials directly"
        raise Forbidden(f"You are not authorized to perform the requested action: {action}.")


def _is_delegated(request: Request) -> bool:
    return is_delegated(tokens.read(request.cloud, request.headers["x-auth-token"]))


def _own(request: Request) -> Mapping[str, Any]:
    if request.ctx.system_scope is not None:
        return {}
    return {"target": {"credential": {"user_id": request.ctx.user_id}}}


_ONE = "/credentials/{credential_id}"

ROUTES = (
    Route("GET", "/credentials", find_all, "identity:list_credentials", target=_own),
    Route(
        "POST", "/credentials", create, "identity:create_credential", body=_CREATE,
        target=targets.of_body("credential"),
    ),
    Route("GET", _ONE, get, "identity:get_credential", target=targets.of_path),
    Route("PATCH", _ONE, update, "identity:update_credential", body=_UPDATE, target=targets.of_path),
    Route("DELETE", _ONE, delete, "identity:delete_credential", target=targets.of_path),
)  # fmt: skip
