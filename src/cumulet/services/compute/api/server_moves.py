# SPDX-License-Identifier: Apache-2.0
"""`POST /servers/{id}/action` for another flavor or another host: resize, confirm, revert, migrate, evacuate."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import Handler
from cumulet.kernel.schema import Schema
from cumulet.services.compute.api import fields
from cumulet.services.compute.api.common import server_target
from cumulet.services.compute.logic import create, moves
from cumulet.services.compute.logic import resize as logic

_PREFIX = "os_compute_api"
_PATH = "/servers/{server_id}/action"
_MIGRATE = f"{_PREFIX}:os-migrate-server:migrate"
_LIVE = f"{_PREFIX}:os-migrate-server:migrate_live"
TO_HOST, UNTOLD, FORCED = (2, 56), (2, 34), (2, 30)


def resize(request: Request) -> Reply:
    body = request.body["resize"]
    config = body.get("OS-DCF:diskConfig")
    logic.resize(
        request.cloud,
        request.ctx,
        request.params["server_id"],
        str(body["flavorRef"]),
        auto_disk_config=None if config is None else config == "AUTO",
    )
    return Reply(202)


def confirm(request: Request) -> Reply:
    logic.confirm(request.cloud, request.ctx, request.params["server_id"])
    return Reply(204)


def revert(request: Request) -> Reply:
    logic.revert(request.cloud, request.ctx, request.params["server_id"])
    return Reply(202)


def migrate(request: Request) -> Reply:
    body = request.body["migrate"]
    host = body.get("host") if request.version >= TO_HOST and body is not None else None
    if host:
        request.require(f"{_MIGRATE}:host", server_target(request))
    moves.migrate(request.cloud, request.ctx, request.params["server_id"], host or None)
    return Reply(202)


def migrate_live(request: Request) -> Reply:
    body = request.body["os-migrateLive"]
    host = body["host"]
    if host:
        request.require(f"{_LIVE}:host", server_target(request))
    # Before there was a choice, a host that was named was not judged by the scheduler.
    force = _force(request, body) if request.version >= FORCED else bool(host)
    moves.migrate_live(
        request.cloud,
        request.ctx,
        request.params["server_id"],
        host or None,
        force=force,
        told=request.version < UNTOLD,
    )
    return Reply(202)


def evacuate(request: Request) -> Reply:
    """Before 2.14 the answer holds a password for the new server."""
    body = request.body["evacuate"]
    if request.version >= (2, 29):
        _force(request, body)
    shared = request.version < (2, 14) and fields.as_boolean(body["onSharedStorage"])
    if shared and "adminPass" in body:
        raise Invalid("admin password can't be changed on existing disk")
    moves.evacuate(request.cloud, request.ctx, request.params["server_id"], body.get("host"))
    if request.version >= (2, 14):
        return Reply(200)
    return Reply(200, {"adminPass": None if shared else body.get("adminPass") or create.generate_password()})


def _force(request: Request, body: dict[str, Any]) -> bool:
    force = fields.as_boolean(body.get("force", False))
    if force and not body.get("host"):
        raise Invalid("Can't force to a non-provided destination")
    return force


def _action(name: str, handler: Handler, rule: str, schema: Schema) -> Route:
    return Route("POST", _PATH, handler, rule, body=schema, action=name, target=server_target)


def _either(name: str, *versions: dict[str, Any]) -> Schema:
    return Schema(fields.wrapped(name, {"versions": list(versions)}))


def _object(properties: dict[str, Any], required: list[str] | None = None, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False, **more}
    return {**found, "required": required} if required else found


_HOST: dict[str, Any] = {**fields.HOST_NAME, "type": ["string", "null"]}
_AUTO: dict[str, Any] = {**fields.BOOLEAN, "enum": [*fields.BOOLEAN["enum"], "auto"]}
_PASSWORD: dict[str, Any] = {"type": "string"}
_PLACE = {"block_migration": _AUTO, "host": _HOST}
_RESIZE = _object(
    {"flavorRef": {"type": ["string", "integer"], "minLength": 1}, "OS-DCF:diskConfig": fields.DISK_CONFIG},
    ["flavorRef"],
)
_MIGRATE_BODY = _either(
    "migrate", {"until": (2, 55)}, _object({"host": _HOST}, since=TO_HOST) | {"type": ["object", "null"]}
)
_LIVE_BODY = _either(
    "os-migrateLive",
    _object(
        {"block_migration": fields.BOOLEAN, "disk_over_commit": fields.BOOLEAN, "host": _HOST},
        ["block_migration", "disk_over_commit", "host"],
        until=(2, 24),
    ),
    _object(_PLACE, ["block_migration", "host"], since=(2, 25), until=(2, 29)),
    _object({**_PLACE, "force": fields.BOOLEAN}, ["block_migration", "host"], since=FORCED, until=(2, 67)),
    _object(_PLACE, ["block_migration", "host"], since=(2, 68)),
)
_GONE = {"host": fields.HOST_NAME, "adminPass": _PASSWORD}
_EVACUATE = _either(
    "evacuate",
    _object({**_GONE, "onSharedStorage": fields.BOOLEAN}, ["onSharedStorage"], until=(2, 13)),
    _object(_GONE, since=(2, 14), until=(2, 28)),
    _object({**_GONE, "force": fields.BOOLEAN}, since=(2, 29), until=(2, 67)),
    _object(_GONE, since=(2, 68)),
)

ROUTES = (
    _action("resize", resize, f"{_PREFIX}:servers:resize", Schema(fields.wrapped("resize", _RESIZE))),
    _action("confirmResize", confirm, f"{_PREFIX}:servers:confirm_resize", Schema(fields.wrapped("confirmResize", {}))),
    _action("revertResize", revert, f"{_PREFIX}:servers:revert_resize", Schema(fields.wrapped("revertResize", {}))),
    _action("migrate", migrate, _MIGRATE, _MIGRATE_BODY),
    _action("os-migrateLive", migrate_live, _LIVE, _LIVE_BODY),
    _action("evacuate", evacuate, f"{_PREFIX}:os-evacuate", _EVACUATE),
)
