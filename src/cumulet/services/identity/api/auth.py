# SPDX-License-Identifier: Apache-2.0
"""`/v3/auth/catalog`, `/v3/auth/projects`, `/v3/auth/domains`, `/v3/auth/system`: what a token's holder could reach."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import Forbidden
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api import domains, projects
from cumulet.services.identity.api.listing import collection
from cumulet.services.identity.api.views import base_url
from cumulet.services.identity.logic import catalog, effective, tokens
from cumulet.services.identity.logic import domains as domain_logic
from cumulet.services.identity.logic import projects as project_logic
from cumulet.services.identity.store import groups


def catalog_of(request: Request) -> Reply:
    ctx = request.ctx
    if ctx.project_id is None:
        raise Forbidden("You are not authorized to perform the requested action.")
    shown = catalog.of(request.cloud, ctx.user_id, ctx.project_id)
    return Reply(200, {"catalog": shown, "links": {"self": f"{base_url(request)}/auth/catalog"}})


def projects_of(request: Request) -> Reply:
    source, user_id = request.cloud.db, request.ctx.user_id
    found = project_logic.of_user(source, user_id, [*groups.ids_of_user(source, user_id), *_lent(request)])
    return collection(request, "projects", projects.views(request, found))


def domains_of(request: Request) -> Reply:
    found = domain_logic.of_user(request.cloud.db, request.ctx.user_id, _lent(request))
    return collection(request, "domains", domains.views(request, found))


def system_of(request: Request) -> Reply:
    given = effective.on_system(request.cloud.db, request.ctx.user_id, _lent(request))
    held: list[dict[str, Any]] = [{"all": True}] if given else []
    return Reply(200, {"system": held, "links": {"self": f"{base_url(request)}/auth/system"}})


def _lent(request: Request) -> tuple[str, ...]:
    """The ids of the groups that the token itself puts its user into."""
    federation = tokens.read(request.cloud, request.headers["x-auth-token"]).token.federation
    return federation.group_ids if federation is not None else ()


ROUTES = (
    Route("GET", "/auth/catalog", catalog_of, "identity:get_auth_catalog"),
    Route("GET", "/auth/projects", projects_of, "identity:get_auth_projects"),
    Route("GET", "/auth/domains", domains_of, "identity:get_auth_domains"),
    Route("GET", "/auth/system", system_of, "identity:get_auth_system"),
)
