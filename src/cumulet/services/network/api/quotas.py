# SPDX-License-Identifier: Apache-2.0
"""Quotas over HTTP."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Forbidden, Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.network import events
from cumulet.services.network.api import validators as check
from cumulet.services.network.logic import quotas as logic
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import quotas as store

_MOST = 2**31 - 1
# `check_limit` asks for what is done anyway, unless `force` forbids it.
_NO_LIMITS = ("project_id", "tenant_id", "force", "check_limit")


def find_all(request: Request) -> Reply:
    """Every project that has limits of its own; administrators only, whatever policy says of single ones."""
    if not request.ctx.is_admin:
        raise Forbidden("rule:get_quota is disallowed by policy", code="PolicyNotAuthorized")
    defaults = logic.defaults(request.cloud)
    found = [
        {**defaults, **own, "project_id": project_id, "tenant_id": project_id}
        for project_id, own in store.all_limits(request.cloud.db).items()
    ]
    return Reply(200, {"quotas": found})


def show(request: Request) -> Reply:
    _require_sight(request)
    return _reply(logic.of_project(request.cloud, request.cloud.db, request.params["project_id"]))


def show_default(request: Request) -> Reply:
    _require_sight(request)
    return _reply(logic.defaults(request.cloud))


def show_details(request: Request) -> Reply:
    own = request.ctx.project_id == request.params["project_id"]
    if not own and not request.allows("get_quota", _target(request)):
        raise fault("AdminRequired", reason="Only admin is authorized to access quotas for another project")
    return _reply(logic.details(request.cloud, request.cloud.db, request.params["project_id"]))


def show_own_project(request: Request) -> Reply:
    """What clients ask to learn their own project."""
    return Reply(200, {"project": {"project_id": request.ctx.project_id}})


def show_own_tenant(request: Request) -> Reply:
    """The same in older words."""
    return Reply(200, {"tenant": {"tenant_id": request.ctx.project_id}})


def update(request: Request) -> Reply:
    body = request.body.get("quota") if isinstance(request.body, dict) else None
    if not isinstance(body, dict):
        raise Invalid("Unable to find 'quota' in request body")
    known = logic.defaults(request.cloud)
    values = {name: _limit(known, name, value) for name, value in body.items() if name not in _NO_LIMITS}
    force = "force" in body and check.boolean(body["force"])

    def write(tx: Tx) -> dict[str, int]:
        _tell(request, tx, *events.begun("update", "quota", {**request.body, "id": request.params["project_id"]}))
        limits = logic.update(request.cloud, tx, request.params["project_id"], values, force=force)
        _tell(request, tx, *events.updated("quota", limits))
        return limits

    return _reply(request.cloud.db.write(write))


def delete(request: Request) -> Reply:
    project_id = request.params["project_id"]

    def write(tx: Tx) -> None:
        if not store.limits(tx, project_id):
            raise fault("TenantQuotaNotFound", id=project_id)
        _tell(request, tx, *events.begun("delete", "quota", {"quota_id": project_id}))
        store.forget(tx, project_id)
        _tell(request, tx, *events.deleted("quota", {"id": project_id}))

    request.cloud.db.write(write)
    return Reply(204)


def _tell(request: Request, tx: Tx, topic: str, payload: dict[str, Any]) -> None:
    request.cloud.outbox.publish(tx, topic, payload, request.request_id)


def _limit(known: Collection[str], name: str, value: Any) -> int:
    if name not in known:
        raise Invalid(f"Unrecognized attribute(s) '{name}'")
    number = check.integer(value)
    reason = check.at_most(-1, _MOST)(number)
    if reason is not None:
        raise Invalid(f"Invalid input for {name}. Reason: {reason}.")
    return number


def _reply(limits: dict[str, Any]) -> Reply:
    return Reply(200, {"quota": limits})


def _require_sight(request: Request) -> None:
    """Anyone may see the limits of their own project; those of another are policy's matter."""
    if request.ctx.project_id != request.params["project_id"]:
        request.require("get_quota", _target(request))


def _target(request: Request) -> dict[str, Any]:
    return {"project_id": request.params["project_id"], "tenant_id": request.params["project_id"]}


ROUTES = (
    Route("GET", "/quotas", find_all, "@"),
    Route("GET", "/quotas/tenant", show_own_tenant, "@"),
    Route("GET", "/quotas/project", show_own_project, "@"),
    Route("GET", "/quotas/{project_id}", show, ANYONE),
    Route("PUT", "/quotas/{project_id}", update, "update_quota", target=_target),
    Route("DELETE", "/quotas/{project_id}", delete, "delete_quota", target=_target),
    Route("GET", "/quotas/{project_id}/default", show_default, ANYONE),
    Route("GET", "/quotas/{project_id}/details", show_details, ANYONE),
)
