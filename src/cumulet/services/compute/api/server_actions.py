# SPDX-License-Identifier: Apache-2.0
"""`POST /servers/{id}/action`"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict, Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.microversions import Version
from cumulet.kernel.schema import Schema
from cumulet.services.compute.api import fields
from cumulet.services.compute.api.common import server_target, the_server
from cumulet.services.compute.logic import delete, power, snapshots
from cumulet.services.compute.logic import servers as logic
from cumulet.services.compute.types import VmState
from cumulet.services.network.contract import NetworkContract

_PREFIX = "os_compute_api"
_PATH = "/servers/{server_id}/action"


def start(request: Request) -> Reply:
    return _power(request, "start")


def stop(request: Request) -> Reply:
    return _power(request, "stop")


def pause(request: Request) -> Reply:
    return _power(request, "pause")


def unpause(request: Request) -> Reply:
    return _power(request, "unpause")


def reboot(request: Request) -> Reply:
    kind = request.body["reboot"]["type"].upper()
    return _power(request, "reboot_soft" if kind == "SOFT" else "reboot_hard")


def lock(request: Request) -> Reply:
    said = request.body["lock"] if request.version >= (2, 73) else None  # before, it may be anything
    reason = (said or {}).get("locked_reason")
    logic.set_lock(request.cloud, request.ctx, the_server(request), reason)
    return Reply(202)


def unlock(request: Request) -> Reply:
    server = the_server(request)
    if server.locked_by == "admin":
        request.require(f"{_PREFIX}:os-lock-server:unlock:unlock_override", server_target(request))
    logic.clear_lock(request.cloud, request.ctx, server)
    return Reply(202)


def reset_state(request: Request) -> Reply:
    state = request.body["os-resetState"]["state"]
    logic.reset_state(request.cloud, request.ctx, the_server(request), VmState(state))
    return Reply(202)


def create_image(request: Request) -> Reply:
    server, body = the_server(request), request.body["createImage"]
    make = snapshots.create_image
    if not server.image_id:
        request.require(f"{_PREFIX}:servers:create_image:allow_volume_backed", server_target(request))
        make = snapshots.create_volume_image
    image_id = make(request.cloud, request.ctx, server, body["name"].strip(), body.get("metadata", {}))
    if request.version >= (2, 45):
        return Reply(202, {"image_id": image_id})
    return Reply(202, headers={"Location": f"{request.origin}/image/v2/images/{image_id}"})


def add_security_group(request: Request) -> Reply:
    name = _group_name(request, "addSecurityGroup")
    server, network = the_server(request), request.cloud.contracts.use(NetworkContract)
    request.cloud.db.write(lambda tx: network.add_security_group(tx, request.ctx, server.id, name))
    return Reply(202)


def remove_security_group(request: Request) -> Reply:
    name = _group_name(request, "removeSecurityGroup")
    server, network = the_server(request), request.cloud.contracts.use(NetworkContract)
    request.cloud.db.write(lambda tx: network.remove_security_group(tx, request.ctx, server.id, name))
    return Reply(202)


def add_fixed_ip(request: Request) -> Reply:
    network_id = str(request.body["addFixedIp"]["networkId"])
    server, network = the_server(request), request.cloud.contracts.use(NetworkContract)
    return _readdressed(request, lambda tx: network.add_address(tx, request.ctx, server.id, network_id))


def remove_fixed_ip(request: Request) -> Reply:
    address = request.body["removeFixedIp"]["address"]
    server, network = the_server(request), request.cloud.contracts.use(NetworkContract)
    return _readdressed(request, lambda tx: network.remove_address(tx, request.ctx, server.id, address))


def _readdressed(request: Request, change: Callable[[Tx], None]) -> Reply:
    try:
        request.cloud.db.write(change)
    except Conflict as error:
        raise Invalid(error.message, code=error.code) from error
    return Reply(202)


def force_delete(request: Request) -> Reply:
    delete.delete(request.cloud, request.ctx, request.params["server_id"])
    return Reply(202)


def _power(request: Request, verb: str) -> Reply:
    power.act(request.cloud, request.ctx, request.params["server_id"], verb)
    return Reply(202)


def _group_name(request: Request, action: str) -> str:
    name: Any = request.body[action]["name"]
    if not str(name).strip():
        raise Invalid("Security group name cannot be empty")
    return str(name)


def _action(
    name: str,
    handler: Any,
    rule: str,
    schema: dict[str, Any] | None = None,
    *,
    since: Version | None = None,
    until: Version | None = None,
) -> Route:
    body = Schema(fields.wrapped(name, schema)) if schema is not None else None
    return Route(
        "POST", _PATH, handler, f"{_PREFIX}:{rule}", body=body, action=name, since=since, until=until,
        target=server_target,
    )  # fmt: skip


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**found, "required": required} if required else found


_LOCK = {
    "versions": [
        {"until": (2, 72)},
        {
            "type": ["object", "null"],
            "properties": {"locked_reason": {"type": "string", "minLength": 1, "maxLength": 255}},
            "additionalProperties": False,
            "since": (2, 73),
        },
    ]
}
_GROUP = _object({"name": {"type": "string", "minLength": 1}}, ["name"])
_NETWORK = _object({"networkId": {"type": ["string", "number"], "minLength": 1, "maxLength": 36}}, ["networkId"])
_ADDRESS = _object({"address": fields.ADDRESS}, ["address"])
_IMAGE = _object({"name": fields.NAME, "metadata": fields.METADATA}, ["name"])
_REBOOT = _object({"type": {"type": "string", "enum": ["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]}}, ["type"])
ROUTES = (
    _action("os-start", start, "servers:start"),
    _action("os-stop", stop, "servers:stop"),
    _action("reboot", reboot, "servers:reboot", _REBOOT),
    _action("pause", pause, "os-pause-server:pause"),
    _action("unpause", unpause, "os-pause-server:unpause"),
    _action("lock", lock, "os-lock-server:lock", _LOCK),
    _action("unlock", unlock, "os-lock-server:unlock"),
    _action(
        "os-resetState",
        reset_state,
        "os-admin-actions:reset_state",
        _object({"state": {"type": "string", "enum": ["active", "error"]}}, ["state"]),
    ),
    _action("forceDelete", force_delete, "os-deferred-delete:force"),
    _action("createImage", create_image, "servers:create_image", _IMAGE),
    _action("addSecurityGroup", add_security_group, "os-security-groups:add", _GROUP),
    _action("removeSecurityGroup", remove_security_group, "os-security-groups:remove", _GROUP),
    _action("addFixedIp", add_fixed_ip, "os-multinic:add", _NETWORK, until=(2, 43)),
    _action("removeFixedIp", remove_fixed_ip, "os-multinic:remove", _ADDRESS, until=(2, 43)),
)
