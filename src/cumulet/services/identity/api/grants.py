# SPDX-License-Identifier: Apache-2.0
"""Grants of roles: `/v3/projects/{project_id}/users/{user_id}/roles` and its kin for domains, groups and the system.

Those below `/OS-INHERIT` hold on the projects below the target instead of on the target itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api import roles, targets
from cumulet.services.identity.api.listing import collection
from cumulet.services.identity.logic import grants as logic
from cumulet.services.identity.types import SYSTEM_ID, Actor, Assignment, Target

_INHERITED = "inherited_to_projects"


def find_all(request: Request) -> Reply:
    found = logic.find_all(request.cloud.db, _given(request))
    return collection(request, "roles", [roles.view(request, role) for role in found])


def check(request: Request) -> Reply:
    logic.check(request.cloud.db, _given(request))
    return Reply(204)


def create(request: Request) -> Reply:
    logic.create(request.cloud, _given(request))
    return Reply(204)


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, _given(request))
    return Reply(204)


def _given(request: Request) -> Assignment:
    """The grant that the path names."""
    params = request.params
    actor = Actor.USER if "user_id" in params else Actor.GROUP
    if "project_id" in params:
        target, target_id = Target.PROJECT, params["project_id"]
    elif "domain_id" in params:
        target, target_id = Target.DOMAIN, params["domain_id"]
    else:
        target, target_id = Target.SYSTEM, SYSTEM_ID
    inherited = request.path.endswith(_INHERITED)
    return Assignment(actor, params[f"{actor}_id"], target, target_id, params.get("role_id", ""), inherited)


def _routes(actor: Actor, target: Target) -> Iterator[Route]:
    actor_path = f"/{actor}s/{{{actor}_id}}/roles"
    if target == Target.SYSTEM:
        path, plural, end = "/system" + actor_path, f"s_for_{actor}", f"_for_{actor}"
        rule = "system_grant"
    else:
        path, plural, end = f"/{target}s/{{{target}_id}}{actor_path}", "s", ""
        rule = "grant"
    rules = {verb: f"identity:{verb}_{rule}{end}" for verb in ("check", "create", "revoke")}
    places = [(path, path + "/{role_id}")]
    if target != Target.SYSTEM:
        below = "/OS-INHERIT" + path
        places.append((f"{below}/{_INHERITED}", f"{below}/{{role_id}}/{_INHERITED}"))
    for every, one in places:
        yield Route("GET", every, find_all, f"identity:list_{rule}{plural}", target=targets.of_path)
        yield Route("GET", one, check, rules["check"], target=targets.of_path)
        yield Route("PUT", one, create, rules["create"], target=targets.of_path)
        yield Route("DELETE", one, delete, rules["revoke"], target=targets.of_path)


ROUTES = tuple(route for actor in Actor for target in Target for route in _routes(actor, target))
