# SPDX-License-Identifier: Apache-2.0
"""Actions on whole servers: suspend, rebuild, rescue, shelve, restore, backup, and what is asked of the guest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.microversions import Version
from cumulet.kernel.http.routes import ANYONE
from cumulet.kernel.schema import Schema
from cumulet.services.compute.api import fields, removed
from cumulet.services.compute.api import server_schemas as schemas
from cumulet.services.compute.api.common import self_link, server_target, the_server
from cumulet.services.compute.api.fields import as_boolean
from cumulet.services.compute.api.server_create import files
from cumulet.services.compute.api.servers import changed_view
from cumulet.services.compute.logic import backup, create, guest_calls, life, rebuild, rescue, shelve, soft_delete

_PREFIX = "os_compute_api"
_RESCUE_WITH_VOLUME, _REIMAGE, _UNSHELVE_TO_HOST = (2, 87), (2, 93), (2, 91)
# The request's words for columns.
_REBUILD_COLUMNS = {
    "name": "name", "description": "description", "metadata": "metadata", "accessIPv4": "access_ip_v4",
    "accessIPv6": "access_ip_v6", "user_data": "user_data", "hostname": "hostname",
    "trusted_image_certificates": "trusted_certs",
}  # fmt: skip


def _act(verb: life.Verb) -> Callable[[Request], Reply]:
    def handler(request: Request) -> Reply:
        life.act(request.cloud, request.ctx, request.params["server_id"], verb)
        return Reply(202)

    return handler


def rebuild_server(request: Request) -> Reply:
    """202 with the server as it is to be, and the password."""
    body, target = request.body["rebuild"], server_target(request)
    if "trusted_image_certificates" in body:
        request.require(f"{_PREFIX}:servers:rebuild:trusted_certs", target)
    changes: dict[str, Any] = {column: body[name] for name, column in _REBUILD_COLUMNS.items() if name in body}
    if "name" in changes:
        changes["name"] = changes["name"].strip()
    if "OS-DCF:diskConfig" in body:
        changes["auto_disk_config"] = body["OS-DCF:diskConfig"] == "AUTO"
    wanted = rebuild.Rebuild(
        image_id=body["imageRef"],
        changes=changes,
        sets_key="key_name" in body,
        key_name=body.get("key_name") or None,
        files=files(body),
        keep_ephemeral=as_boolean(body.get("preserve_ephemeral", False)),
        reimage=request.version >= _REIMAGE,
    )
    fresh = rebuild.rebuild(request.cloud, request.ctx, request.params["server_id"], wanted)
    view = changed_view(request, fresh)
    if request.version >= (2, 54):
        view["key_name"] = fresh.keypair["name"] if fresh.keypair is not None else None
    view["adminPass"] = body.get("adminPass") or create.generate_password()
    if request.version >= (2, 57):
        view.pop("OS-EXT-SRV-ATTR:user_data", None)
        view["user_data"] = fresh.user_data
    return Reply(202, {"server": view}, {"Location": self_link(request, "servers", fresh.id)})


def rescue_server(request: Request) -> Reply:
    body = request.body["rescue"] or {}
    rescue.rescue(
        request.cloud,
        request.ctx,
        request.params["server_id"],
        body.get("rescue_image_ref"),
        with_volume=request.version >= _RESCUE_WITH_VOLUME,
    )
    return Reply(200, {"adminPass": body.get("adminPass") or create.generate_password()})


def shelve_server(request: Request) -> Reply:
    shelve.shelve(request.cloud, request.ctx, request.params["server_id"])
    return Reply(202)


def unshelve_server(request: Request) -> Reply:
    """From 2.77 on to another zone, from 2.91 on to a host, which takes a rule of its own."""
    body = (request.body["unshelve"] or {}) if request.version >= (2, 77) else {}
    host = body.get("host", "") if request.version >= _UNSHELVE_TO_HOST else ""
    if host:
        request.require(f"{_PREFIX}:os-shelve:unshelve_to_host", server_target(request))
    shelve.unshelve(
        request.cloud,
        request.ctx,
        request.params["server_id"],
        moves="availability_zone" in body,
        zone=body.get("availability_zone") or None,
        host=host,
    )
    return Reply(202)


def restore(request: Request) -> Reply:
    soft_delete.restore(request.cloud, request.ctx, request.params["server_id"])
    return Reply(202)


def create_backup(request: Request) -> Reply:
    body = request.body["createBackup"]
    rotation = int(body["rotation"])
    name, kind, metadata = body["name"].strip(), body["backup_type"], body.get("metadata", {})
    image_id = backup.create(request.cloud, request.ctx, the_server(request), name, kind, rotation, metadata)
    if request.version >= (2, 45):
        return Reply(202, {"image_id": image_id})
    return Reply(202, headers={"Location": f"{request.origin}/image/v2/images/{image_id}"} if rotation else {})


def change_password(request: Request) -> Reply:
    password = request.body["changePassword"]["adminPass"]
    guest_calls.set_password(request.cloud, request.ctx, the_server(request), password)
    return Reply(202)


def crash_dump(request: Request) -> Reply:
    guest_calls.crash_dump(request.cloud, request.ctx, request.params["server_id"])
    return Reply(202)


def inject_network_info(request: Request) -> Reply:
    """Guests here ask for their networks by themselves: nothing has to be put into them."""
    life.check_changeable(request.ctx, the_server(request))
    return Reply(202)


def _action(
    name: str, handler: Callable[[Request], Reply], rule: str, schema: Any = None, since: Version | None = None
) -> Route:
    body = Schema(fields.wrapped(name, {} if schema is None else schema))
    path = "/servers/{server_id}/action"
    return Route(
        "POST", path, handler, f"{_PREFIX}:{rule}", body=body, action=name, since=since, target=server_target
    )  # fmt: skip


_RESCUE = {
    "type": ["object", "null"],
    "properties": {"adminPass": {"type": "string"}, "rescue_image_ref": fields.UUID},
    "additionalProperties": False,
}
_UNSHELVE = {
    "versions": [
        {"until": (2, 76)},
        {
            "type": ["object", "null"],
            "properties": {"availability_zone": fields.NAME},
            "required": ["availability_zone"],
            "additionalProperties": False,
            "since": (2, 77),
            "until": (2, 90),
        },
        {
            "type": ["object", "null"],
            "properties": {"availability_zone": {"type": ["string", "null"]}, "host": {"type": "string"}},
            "additionalProperties": False,
            "since": (2, 91),
        },
    ]
}
_BACKUP = {
    "type": "object",
    "properties": {
        "name": fields.NAME,
        "backup_type": {"type": "string"},
        "rotation": fields.COUNT,
        "metadata": fields.METADATA,
    },
    "required": ["name", "backup_type", "rotation"],
    "additionalProperties": False,
}
_PASSWORD = {
    "type": "object",
    "properties": {"adminPass": {"type": "string"}},
    "required": ["adminPass"],
    "additionalProperties": False,
}

ROUTES = (
    _action("suspend", _act(life.SUSPEND), "os-suspend-server:suspend"),
    _action("resume", _act(life.RESUME), "os-suspend-server:resume"),
    _action("rebuild", rebuild_server, "servers:rebuild", schemas.REBUILD),
    _action("rescue", rescue_server, "os-rescue", _RESCUE),
    _action("unrescue", _act(life.UNRESCUE), "os-unrescue"),
    _action("shelve", shelve_server, "os-shelve:shelve"),
    _action("shelveOffload", _act(life.SHELVE_OFFLOAD), "os-shelve:shelve_offload"),
    _action("unshelve", unshelve_server, "os-shelve:unshelve", _UNSHELVE),
    _action("restore", restore, "os-deferred-delete:restore"),
    _action("createBackup", create_backup, "os-create-backup", _BACKUP),
    _action("changePassword", change_password, "os-admin-password", _PASSWORD),
    _action("trigger_crash_dump", crash_dump, "servers:trigger_crash_dump", fields.NULL, since=(2, 17)),
    _action("injectNetworkInfo", inject_network_info, "os-admin-actions:inject_network_info"),
    Route("POST", "/servers/{server_id}/action", removed.gone, ANYONE, action="resetNetwork"),
)
