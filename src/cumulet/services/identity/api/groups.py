# SPDX-License-Identifier: Apache-2.0
"""`/v3/groups`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api import targets, users
from cumulet.services.identity.api.listing import collection, filters
from cumulet.services.identity.api.views import ID, NAME, TEXT, body, self_link
from cumulet.services.identity.logic import directory_mirror, federated_users
from cumulet.services.identity.logic import groups as logic
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Group

_PROPERTIES: Mapping[str, Any] = {"description": TEXT, "name": {**NAME, "maxLength": 64}}
_CREATE = body("group", {"domain_id": ID, **_PROPERTIES}, required=("name",))
_UPDATE = body("group", _PROPERTIES, least=1)


def find_all(request: Request) -> Reply:
    asked = filters(request, ("domain_id", "name"))
    if request.ctx.domain_id is not None:
        asked.append(Filter("domain_id", request.ctx.domain_id))
    domain_id = request.ctx.domain_id or request.query.get("domain_id")
    if domain_id is not None:
        directory_mirror.refresh_domain(request.cloud, domain_id, directory_mirror.GROUP)
    found = logic.find_all(request.cloud.db, asked)
    return collection(request, "groups", [view(request, group) for group in found])


def of_user(request: Request) -> Reply:
    asked = filters(request, ("name",))
    if request.ctx.domain_id is not None:
        asked.append(Filter("domain_id", request.ctx.domain_id))
    directory_mirror.refresh_groups_of(request.cloud, request.params["user_id"])
    found = logic.of_user(request.cloud.db, request.params["user_id"], asked)
    ends = federated_users.membership_ends(request.cloud.db, request.params["user_id"])
    shown = [{**view(request, group), "membership_expires_at": ends.get(group.id)} for group in found]
    return collection(request, "groups", shown)


def get(request: Request) -> Reply:
    directory_mirror.refresh(request.cloud, request.params["group_id"])
    return Reply(200, {"group": view(request, logic.get(request.cloud.db, request.params["group_id"]))})


def create(request: Request) -> Reply:
    group = logic.create(request.cloud, request.ctx, request.body["group"])
    return Reply(201, {"group": view(request, group)})


def update(request: Request) -> Reply:
    group = logic.update(request.cloud, request.params["group_id"], request.body["group"])
    return Reply(200, {"group": view(request, group)})


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["group_id"])
    return Reply(204)


def members(request: Request) -> Reply:
    asked = filters(request, ("domain_id", "name"), ("enabled",))
    directory_mirror.refresh_members(request.cloud, request.params["group_id"])
    found = logic.members(request.cloud.db, request.params["group_id"], asked)
    return collection(request, "users", users.views(request, users.with_password_ending(request, found)))


def check_member(request: Request) -> Reply:
    directory_mirror.refresh_members(request.cloud, request.params["group_id"])
    logic.check_member(request.cloud.db, request.params["group_id"], request.params["user_id"])
    return Reply(204)


def join(request: Request) -> Reply:
    logic.join(request.cloud, request.params["group_id"], request.params["user_id"])
    return Reply(204)


def leave(request: Request) -> Reply:
    logic.leave(request.cloud, request.params["group_id"], request.params["user_id"])
    return Reply(204)


def view(request: Request, group: Group) -> dict[str, Any]:
    return {
        **group.extra,
        "id": group.id,
        "name": group.name,
        "domain_id": group.domain_id,
        "description": group.description,
        "links": self_link(request, "groups", group.id),
    }


_ONE = "/groups/{group_id}"
_MEMBER = "/groups/{group_id}/users/{user_id}"
_OF_USER = "/users/{user_id}/groups"
_LISTED = targets.of_domain_token("group", "domain_id")

ROUTES = (
    Route("GET", "/groups", find_all, "identity:list_groups", target=_LISTED, slow=True),
    Route("POST", "/groups", create, "identity:create_group", body=_CREATE, target=targets.of_body("group")),
    Route("GET", _ONE, get, "identity:get_group", target=targets.of_path, slow=True),
    Route("PATCH", _ONE, update, "identity:update_group", body=_UPDATE, target=targets.of_path),
    Route("DELETE", _ONE, delete, "identity:delete_group", target=targets.of_path),
    Route("GET", _ONE + "/users", members, "identity:list_users_in_group", target=targets.of_path, slow=True),
    Route("GET", _MEMBER, check_member, "identity:check_user_in_group", target=targets.of_path, slow=True),
    Route("PUT", _MEMBER, join, "identity:add_user_to_group", target=targets.of_path),
    Route("GET", _OF_USER, of_user, "identity:list_groups_for_user", target=targets.of_path, slow=True),
    Route("DELETE", _MEMBER, leave, "identity:remove_user_from_group", target=targets.of_path),
)
