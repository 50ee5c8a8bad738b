# SPDX-License-Identifier: Apache-2.0
"""`/servers/{id}/os-volume_attachments`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import Invalid, NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.paging import whole_number
from cumulet.services.compute.api import fields
from cumulet.services.compute.api.common import server_target, the_server
from cumulet.services.compute.logic import servers, volume_swap
from cumulet.services.compute.logic import volumes as logic
from cumulet.services.compute.types import Device, Server, VmState

_PATH = "/servers/{server_id}/os-volume_attachments"
_RULE = "os_compute_api:os-volumes-attachments"

_CREATE = fields.body(
    "volumeAttachment",
    {
        "volumeId": fields.UUID,
        "device": {"type": ["string", "null"], "pattern": "(^/dev/x{0,1}[a-z]{0,1}d{0,1})([a-z]+)[0-9]*$"},
        "tag": {**fields.TAG, "since": (2, 49)},
        "delete_on_termination": {**fields.BOOLEAN, "since": (2, 79)},
    },
    ["volumeId"],
)
_UPDATE = fields.body(
    "volumeAttachment",
    {
        "volumeId": fields.UUID,
        "device": {
            "type": ["string", "null"],
            "pattern": "(^/dev/x{0,1}[a-z]{0,1}d{0,1})([a-z]+)[0-9]*$",
            "since": (2, 85),
        },
        "tag": {**fields.TAG, "since": (2, 85)},
        "delete_on_termination": {**fields.BOOLEAN, "since": (2, 85)},
        "serverId": {**fields.UUID, "since": (2, 85)},
        "id": {**fields.UUID, "since": (2, 85)},
    },
    ["volumeId"],
)
_LIST = fields.query({"limit": fields.many(fields.COUNT), "offset": fields.many(fields.COUNT)}, closed_since=(2, 75))


def find_all(request: Request) -> Reply:
    found = logic.attached(request.cloud.db, the_server(request))
    offset = whole_number(request, "offset") or 0
    limit = whole_number(request, "limit")
    found = found[offset:] if limit is None else found[offset : offset + limit]
    return Reply(200, {"volumeAttachments": [view(request, device) for device in found]})


def get(request: Request) -> Reply:
    device = logic.get(request.cloud.db, the_server(request), request.params["volume_id"])
    return Reply(200, {"volumeAttachment": view(request, device)})


def create(request: Request) -> Reply:
    server, body = the_server(request), request.body["volumeAttachment"]
    _check_shelved(request, server, "attach_volume")
    device = logic.attach(
        request.cloud,
        request.ctx,
        server,
        body["volumeId"],
        device_name=body.get("device"),
        tag=body.get("tag"),
        delete_on_termination=fields.as_boolean(body.get("delete_on_termination", False)),
        several=request.version >= (2, 60),
    )
    if request.version >= (2, 101):
        return Reply(202)
    found: dict[str, Any] = {
        "id": device.volume_id,
        "serverId": server.id,
        "volumeId": device.volume_id,
        "device": device.device_name,
    }
    if request.version >= (2, 70):
        found["tag"] = device.tag
    if request.version >= (2, 79):
        found["delete_on_termination"] = device.delete_on_termination
    return Reply(200, {"volumeAttachment": found})


def update(request: Request) -> Reply:
    """Change the flag for deletion, or give the server another volume in the place of this one."""
    server, volume_id, body = the_server(request), request.params["volume_id"], request.body["volumeAttachment"]
    other = body["volumeId"] != volume_id
    if request.version < (2, 85) or other:
        request.require(f"{_RULE}:swap")
    if request.version >= (2, 85):
        _change(request, server, volume_id, body)
    if request.version < (2, 85) or other:
        volume_swap.swap(request.cloud, request.ctx, server, volume_id, body["volumeId"])
    return Reply(202)


def _change(request: Request, server: Server, volume_id: str, body: dict[str, Any]) -> None:
    try:
        device = logic.get(request.cloud.db, server, volume_id)
    except NotFound as error:
        raise NotFound(f"No volume Block Device Mapping with id {volume_id}.", code="VolumeBDMNotFound") from error
    fixed = {"id": volume_id, "serverId": server.id, "device": device.device_name, "tag": device.tag}
    for name, value in fixed.items():
        if name in body and body[name] != value:
            raise Invalid(f"The {name} property is not mutable")
    if "delete_on_termination" in body:
        flag = fields.as_boolean(body["delete_on_termination"])
        logic.change(request.cloud, server, volume_id, flag)


def delete(request: Request) -> Reply:
    server = the_server(request)
    _check_shelved(request, server, "detach_volume")
    logic.detach(request.cloud, request.ctx, server, request.params["volume_id"])
    return Reply(202)


def _check_shelved(request: Request, server: Server, verb: str) -> None:
    """Until 2.19 the volumes of shelved servers stay as they are."""
    if request.version < (2, 20) and server.state in (VmState.SHELVED, VmState.SHELVED_OFFLOADED):
        raise servers.invalid_state(server, verb, "vm_state", server.vm_state)


def view(request: Request, device: Device) -> dict[str, Any]:
    found: dict[str, Any] = {
        "volumeId": device.volume_id,
        "serverId": device.server_id,
        "device": device.device_name,
    }
    if request.version < (2, 89):
        found["id"] = device.volume_id
    if request.version >= (2, 70):
        found["tag"] = device.tag
    if request.version >= (2, 79):
        found["delete_on_termination"] = device.delete_on_termination
    if request.version >= (2, 89):
        found["attachment_id"] = device.attachment_id
        found["bdm_uuid"] = device.id
    return found


ROUTES = (
    Route("GET", _PATH, find_all, f"{_RULE}:index", query=_LIST, target=server_target),
    Route("POST", _PATH, create, f"{_RULE}:create", body=_CREATE, target=server_target),
    Route("GET", _PATH + "/{volume_id}", get, f"{_RULE}:show", target=server_target),
    Route("PUT", _PATH + "/{volume_id}", update, f"{_RULE}:update", body=_UPDATE, target=server_target),
    Route("DELETE", _PATH + "/{volume_id}", delete, f"{_RULE}:delete", target=server_target),
)
