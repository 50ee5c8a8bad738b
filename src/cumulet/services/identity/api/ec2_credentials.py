# SPDX-License-Identifier: Apache-2.0
"""`/v3/users/{user_id}/credentials/OS-EC2`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.identity.api.credentials import check_direct
from cumulet.services.identity.api.listing import collection
from cumulet.services.identity.api.views import TEXT, base_url
from cumulet.services.identity.logic import ec2_credentials as logic
from cumulet.services.identity.logic import users
from cumulet.services.identity.logic.credentials import get as get_credential
from cumulet.services.identity.logic.ec2_credentials import AccessKey

_CREATE = Schema({"type": "object", "properties": {"tenant_id": TEXT}})


def find_all(request: Request) -> Reply:
    check_direct(request)
    keys = logic.of_user(request.cloud, request.params["user_id"])
    shown = sorted((view(request, key) for key in keys), key=lambda one: str(one["access"]))
    return collection(request, "credentials", shown, key="access")


def create(request: Request) -> Reply:
    check_direct(request)
    made = logic.create(request.cloud, request.params["user_id"], str(request.body.get("tenant_id")))
    return Reply(201, {"credential": view(request, made)})


def get(request: Request) -> Reply:
    users.get(request.cloud.db, request.params["user_id"])
    found = logic.get(request.cloud, request.params["access"])
    check_direct(request)
    return Reply(200, {"credential": view(request, found)})


def delete(request: Request) -> Reply:
    users.get(request.cloud.db, request.params["user_id"])
    logic.get(request.cloud, request.params["access"])
    check_direct(request)
    logic.delete(request.cloud, request.params["access"])
    return Reply(204)


def view(request: Request, key: AccessKey) -> dict[str, Any]:
    own = f"{base_url(request)}/users/{key.user_id}/credentials/OS-EC2/{key.access}"
    return {
        "user_id": key.user_id,
        "tenant_id": key.project_id,
        "access": key.access,
        "secret": key.secret,
        "trust_id": key.trust_id,
        "links": {"self": own},
    }


def _path(request: Request) -> Mapping[str, Any]:
    return {"user_id": request.params["user_id"]}


def _wanted(request: Request) -> Mapping[str, Any]:
    return {**_path(request), "target": {"credential": _path(request)}}


def _owner(request: Request) -> Mapping[str, Any]:
    """The owner is whoever the key belongs to, whatever the path says; NotFound where there is none."""
    found = get_credential(request.cloud, request.cloud.db, logic.credential_id(request.params["access"]))
    return {**_path(request), "target": {"credential": {"user_id": found.user_id}}}


_ALL = "/users/{user_id}/credentials/OS-EC2"
_ONE = _ALL + "/{access}"

ROUTES = (
    Route("GET", _ALL, find_all, "identity:ec2_list_credentials", target=_path),
    Route("POST", _ALL, create, "identity:ec2_create_credential", body=_CREATE, target=_wanted),
    Route("GET", _ONE, get, "identity:ec2_get_credential", target=_owner),
    Route("DELETE", _ONE, delete, "identity:ec2_delete_credential", target=_owner),
)
