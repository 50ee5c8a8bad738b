# SPDX-License-Identifier: Apache-2.0
"""`/v1/secrets/{id}/acl` and `/v1/containers/{id}/acl`"""

from __future__ import annotations

from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.key_manager.api import targets
from cumulet.services.key_manager.api.common import ref, words
from cumulet.services.key_manager.api.dialect import phrase
from cumulet.services.key_manager.logic import acls

_ACL = Schema(
    {
        "type": "object",
        "properties": {
            acls.READ: {
                "type": "object",
                "properties": {
                    "users": {"type": "array", "items": {"type": "string", "maxLength": 255}},
                    "project-access": {"type": "boolean"},
                },
                "additionalProperties": False,
            }
        },
        "additionalProperties": False,
    },
    phrase=phrase("ACL"),
)


def get(request: Request) -> Reply:
    found = acls.get(request.cloud, _owner(request)[1])
    if found is None:
        return Reply(200, {acls.READ: {"project-access": True}})
    acl, users = found
    view = {
        "project-access": acl.project_access,
        "users": users,
        "created": acl.created_at.isoformat(),
        "updated": acl.updated_at.isoformat(),
    }
    return Reply(200, {acls.READ: view})


def replace(request: Request) -> Reply:
    acls.replace(request.cloud, _owner(request)[1], words(request))
    return _told(request)


def update(request: Request) -> Reply:
    acls.update(request.cloud, _owner(request)[1], words(request))
    return _told(request)


def delete(request: Request) -> Reply:
    acls.remove(request.cloud, _owner(request)[1])
    return Reply(200, b"null")


def _told(request: Request) -> Reply:
    return Reply(200, {"acl_ref": f"{ref(request, *_owner(request))}/acl"})


def _owner(request: Request) -> tuple[str, str]:
    """The noun of what the list belongs to, and its id."""
    if "secret_id" in request.params:
        return "secrets", request.params["secret_id"]
    return "containers", request.params["container_id"]


ROUTES = (
    Route("GET", "/secrets/{secret_id}/acl", get, "secret_acls:get", target=targets.secret),
    Route("PUT", "/secrets/{secret_id}/acl", replace, "secret_acls:put_patch", body=_ACL, target=targets.secret),
    Route("PATCH", "/secrets/{secret_id}/acl", update, "secret_acls:put_patch", body=_ACL, target=targets.secret),
    Route("DELETE", "/secrets/{secret_id}/acl", delete, "secret_acls:delete", target=targets.secret),
    Route("GET", "/containers/{container_id}/acl", get, "container_acls:get", target=targets.container),
    Route(
        "PUT", "/containers/{container_id}/acl", replace, "container_acls:put_patch", body=_ACL,
        target=targets.container,
    ),
    Route(
        "PATCH", "/containers/{container_id}/acl", update, "container_acls:put_patch", body=_ACL,
        target=targets.container,
    ),
    Route("DELETE", "/containers/{container_id}/acl", delete, "container_acls:delete", target=targets.container),
)  # fmt: skip
