# SPDX-License-Identifier: Apache-2.0
"""`/v3/users`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import PUBLIC, Reply, Request, Route
from cumulet.services.identity.api import targets
from cumulet.services.identity.api.listing import collection, filters
from cumulet.services.identity.api.views import FLAG, ID, NAME, TEXT, body, flags, in_long_form, self_link
from cumulet.services.identity.logic import users as logic
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import User

_OPTION = {"type": ["boolean", "null"]}
_OPTIONS = {
    "type": "object",
    "properties": {
        "ignore_change_password_upon_first_use": _OPTION,
        "ignore_password_expiry": _OPTION,
        "ignore_lockout_failure_attempts": _OPTION,
        "lock_password": _OPTION,
        "ignore_user_inactivity": _OPTION,
        "multi_factor_auth_rules": {
            "type": ["array", "null"],
            "items": {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
            "uniqueItems": True,
        },
        "multi_factor_auth_enabled": _OPTION,
    },
    "additionalProperties": False,
}
_PROPERTIES = {
    "default_project_id": TEXT,
    "description": TEXT,
    "domain_id": ID,
    "enabled": FLAG,
    "name": NAME,
    "password": TEXT,
    "options": _OPTIONS,
}
_CREATE = body("user", _PROPERTIES, required=("name",))
_UPDATE = body("user", _PROPERTIES, least=1)
_PASSWORD = in_long_form(
    {
        "type": "object",
        "properties": {"original_password": {"type": "string"}, "password": {"type": "string"}},
        "required": ["original_password", "password"],
        "additionalProperties": False,
    }
)


def find_all(request: Request) -> Reply:
    asked = filters(request, ("domain_id", "name"), ("enabled",))
    if request.ctx.domain_id is not None:
        asked.append(Filter("domain_id", request.ctx.domain_id))
    users = logic.find_all(request.cloud.db, asked)
    return collection(request, "users", [view(request, user) for user in users])


def get(request: Request) -> Reply:
    return Reply(200, {"user": view(request, logic.get(request.cloud.db, request.params["user_id"]))})


def create(request: Request) -> Reply:
    words = flags(request.body["user"], "enabled")
    return Reply(201, {"user": view(request, logic.create(request.cloud, request.ctx, words))})


def update(request: Request) -> Reply:
    words = flags(request.body["user"], "enabled")
    user = logic.update(request.cloud, request.params["user_id"], words)
    return Reply(200, {"user": {**view(request, user), "extra": user.extra}})


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["user_id"])
    return Reply(204)


def change_password(request: Request) -> Reply:
    words = request.body.get("user", {}) if isinstance(request.body, dict) else {}
    _PASSWORD.check(words)
    logic.change_password(request.cloud, request.params["user_id"], words["original_password"], words["password"])
    return Reply(204)


def view(request: Request, user: User) -> dict[str, Any]:
    shown = {
        **user.extra,
        "id": user.id,
        "name": user.name,
        "domain_id": user.domain_id,
        "enabled": user.enabled,
        "password_expires_at": None,
        "options": user.options,
        "links": self_link(request, "users", user.id),
    }
    if user.default_project_id is not None:
        shown["default_project_id"] = user.default_project_id
    return shown


ROUTES = (
    Route("GET", "/users", find_all, "identity:list_users", target=targets.of_domain_token("domain_id")),
    Route("POST", "/users", create, "identity:create_user", body=_CREATE, target=targets.of_body("user")),
    Route("GET", "/users/{user_id}", get, "identity:get_user", target=targets.of_path),
    Route("PATCH", "/users/{user_id}", update, "identity:update_user", body=_UPDATE, target=targets.of_path),
    Route("DELETE", "/users/{user_id}", delete, "identity:delete_user", target=targets.of_path),
    Route("POST", "/users/{user_id}/password", change_password, PUBLIC),
)
