# SPDX-License-Identifier: Apache-2.0
"""Auto-allocated topologies over HTTP: whoever asks for a project's gets one."""

from __future__ import annotations

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Forbidden, Invalid, NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.families import Family
from cumulet.services.network.api.resource import tell
from cumulet.services.network.logic import concern
from cumulet.services.network.logic import topologies as logic
from cumulet.services.network.logic.faults import bad, fault
from cumulet.services.network.store import topologies as store
from cumulet.services.network.types import Network, Router

NAME = "auto_allocated_topology"
DRY_RUN = "dry-run"


def show(request: Request) -> Reply:
    """The project's topology, made now where there is none; with `fields=dry-run`, whether it could be."""
    project_id = _project(request)
    fields = [value for name, value in request.query_pairs if name == "fields" and value]
    if DRY_RUN in fields:
        logic.check(request.cloud.db, request.ctx)
        return Reply(200, {NAME: {"id": "dry-run=pass", "project_id": project_id}})
    if fields:
        raise bad("auto_allocate", "Unrecognized field")
    found = store.find(request.cloud.db, project_id)
    return _reply(found.network_id if found is not None else _make(request, project_id), project_id)


def delete(request: Request) -> Reply:
    """Remove the project's topology; nothing happens where there is none."""
    project_id = _project(request)
    if not request.allows(f"delete_{NAME}", _words(project_id)):
        raise Forbidden(f"rule:delete_{NAME} is disallowed by policy", code="PolicyNotAuthorized")

    def write(tx: Tx) -> None:
        found = store.find(tx, project_id)
        if found is not None:
            hosts = concern.of(tx, Router, [found.router_id] if found.router_id is not None else [])
            tell(request.cloud, tx, hosts | concern.of(tx, Network, [found.network_id]))
            logic.delete(request.cloud, tx, request.ctx, found)

    request.cloud.db.write(write)
    return Reply(204)


def _make(request: Request, project_id: str) -> str:
    def write(tx: Tx) -> str:
        made = logic.provide(request.cloud, tx, request.ctx, project_id)
        if made.router_id is not None:
            tell(request.cloud, tx, concern.of(tx, Router, [made.router_id]))
        return made.network_id

    return request.cloud.db.write(write)


def _project(request: Request) -> str:
    """The project that the path names: the caller's own, or any one where an administrator asks."""
    named = request.params["project_id"]
    if named == "None":  # what clients send that were told of no project
        named = request.ctx.project_id or ""
    if named != request.ctx.project_id and not request.ctx.is_admin:
        raise fault("NotAuthorized")
    if not request.allows(f"get_{NAME}", _words(named)):
        raise NotFound("The resource could not be found.")
    if (reason := check.text(255)(named)) is not None or not named:
        raise Invalid(f"Invalid input for project_id. Reason: {reason or 'a project is needed'}.")
    return named


def _words(project_id: str) -> dict[str, str]:
    return {"project_id": project_id, "tenant_id": project_id}


def _reply(key: str, project_id: str) -> Reply:
    return Reply(200, {NAME: {"id": key, **_words(project_id)}})


FAMILY = Family(
    routes=(
        Route("GET", "/auto-allocated-topology/{project_id}", show, ANYONE),
        Route("DELETE", "/auto-allocated-topology/{project_id}", delete, ANYONE),
    ),
    extensions={"auto-allocated-topology": ("Auto Allocated Topology Services", "2016-01-01T00:00:00-00:00")},
)
