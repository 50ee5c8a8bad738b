# SPDX-License-Identifier: Apache-2.0
"""`/v3/users`"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import PUBLIC, Reply, Request, Route
from cumulet.services.identity.api import targets
from cumulet.services.identity.api.listing import collection, filters
from cumulet.services.identity.api.views import FLAG, ID, NAME, TEXT, body, flags, in_long_form, self_link
from cumulet.services.identity.logic import accounts, directory_mirror, federated_users
from cumulet.services.identity.logic import users as logic
from cumulet.services.identity.store import passwords
from cumulet.services.identity.store import users as store
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
    domain_id = request.ctx.domain_id or request.query.get("domain_id")
    if domain_id is not None:
        directory_mirror.refresh_domain(request.cloud, domain_id, directory_mirror.USER)
    users = logic.find_all(request.cloud.db, asked)
    return collection(request, "users", views(request, with_password_ending(request, users)))


def get(request: Request) -> Reply:
    directory_mirror.refresh(request.cloud, request.params["user_id"])
    user = logic.get(request.cloud.db, request.params["user_id"])
    known = federated_users.described(request.cloud.db, user.id)
    return Reply(200, {"user": {**view(request, user), **({"federated": known} if known else {})}})


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


def with_password_ending(request: Request, users: list[User]) -> list[User]:
    """Those of `users` whose password ends as the query asks: `password_expires_at=lt:2026-11-06T15:32:17Z`."""
    for name, text in request.query_pairs:
        if name == "password_expires_at":
            said, _, moment = text.partition(":") if ":" in text[2:4] else ("eq", ":", text)
            if said not in ("lt", "lte", "gt", "gte", "eq", "neq"):
                raise Invalid(
                    f"The given operator {said} is not valid. "
                    "It must be one of the following: 'eq', 'neq', 'lt', 'lte', 'gt', or 'gte'."
                )
            found = store.with_password_ending(request.cloud.db, said, _moment(moment))
            users = [user for user in users if user.id in found]
    return users


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo is not None else moment
    except (ValueError, OverflowError):
        raise Invalid(
            "Timestamp not in expected format. The server could not comply with the request since it is either "
            "malformed or otherwise incorrect. The client is assumed to be in error."
        ) from None


def view(request: Request, user: User) -> dict[str, Any]:
    return views(request, [user])[0]


def views(request: Request, users: list[User]) -> list[dict[str, Any]]:
    ends = passwords.expiries(request.cloud.db, (user.id for user in users))
    enabled = accounts.enabled(request.cloud, users)
    shown = []
    for user in users:
        end = ends.get(user.id)
        one = {
            **user.extra,
            "id": user.id,
            "name": user.name,
            "domain_id": user.domain_id,
            "enabled": enabled[user.id],
            "password_expires_at": clock.iso_micro(end) if end is not None else None,
            "options": user.options,
            "links": self_link(request, "users", user.id),
        }
        if user.default_project_id is not None:
            one["default_project_id"] = user.default_project_id
        shown.append(one)
    return shown


ROUTES = (
    Route("GET", "/users", find_all, "identity:list_users", target=targets.of_domain_token("domain_id"), slow=True),
    Route("POST", "/users", create, "identity:create_user", body=_CREATE, target=targets.of_body("user"), slow=True),
    Route("GET", "/users/{user_id}", get, "identity:get_user", target=targets.of_path, slow=True),
    Route("PATCH", "/users/{user_id}", update, "identity:update_user", body=_UPDATE, target=targets.of_path, slow=True),
    Route("DELETE", "/users/{user_id}", delete, "identity:delete_user", target=targets.of_path),
    Route("POST", "/users/{user_id}/password", change_password, PUBLIC, slow=True),
)
