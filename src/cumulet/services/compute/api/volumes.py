# SPDX-License-Identifier: Apache-2.0
"""`/os-volumes` and `/os-snapshots`, block storage's by older names until 2.35"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.paging import whole_number
from cumulet.services.block_storage.contract import NewOlderVolume, OlderSnapshot, OlderVolume, OlderVolumes
from cumulet.services.compute.api import common, fields

_UNTIL = (2, 35)
_RULE = "os_compute_api:os-volumes"
_VOLUME, _SNAPSHOT = "/os-volumes/{volume_id}", "/os-snapshots/{snapshot_id}"
_TEXT: fields.Fields = {"type": "string"}
_CREATE = fields.body(
    "volume",
    {
        "volume_type": _TEXT,
        "metadata": {"type": "object", "properties": {}, "additionalProperties": True},
        "snapshot_id": _TEXT,
        "size": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "minimum": 1},
        "availability_zone": _TEXT,
        "display_name": _TEXT,
        "display_description": _TEXT,
    },
    ["size"],
)
_CREATE_SNAPSHOT = fields.body(
    "snapshot",
    {"volume_id": _TEXT, "force": fields.BOOLEAN, "display_name": _TEXT, "display_description": _TEXT},
    ["volume_id"],
)
_LIST = fields.query({"limit": fields.many(fields.COUNT), "offset": fields.many(fields.COUNT)})
_LARGEST = 0x7FFFFFFF  # GiB


def find_all(request: Request) -> Reply:
    found = _volumes(request).volumes(request.cloud.db, request.ctx)
    return Reply(200, {"volumes": [_view(each) for each in _page(request, found)]})


def get(request: Request) -> Reply:
    found = _volumes(request).volume(request.cloud.db, request.ctx, request.params["volume_id"])
    return Reply(200, {"volume": _view(found)})


def create(request: Request) -> Reply:
    body, volumes = request.body["volume"], _volumes(request)
    new = NewOlderVolume(
        size=min(int(body["size"]), _LARGEST),
        name=body.get("display_name"),
        description=body.get("display_description"),
        volume_type=body.get("volume_type"),
        snapshot_id=body.get("snapshot_id"),
        availability_zone=body.get("availability_zone"),
        metadata={str(name): str(value) for name, value in body.get("metadata", {}).items()},
    )
    key = volumes.key_for(request.ctx, new)
    made = request.cloud.db.write(lambda tx: volumes.create_volume(tx, request.ctx, new, key))
    location = common.self_link(request, "os-volumes", made.id)
    return Reply(200, {"volume": _view(made)}, headers={"Location": location})


def delete(request: Request) -> Reply:
    volumes, volume_id = _volumes(request), request.params["volume_id"]
    request.cloud.db.write(lambda tx: volumes.delete_volume(tx, request.ctx, volume_id))
    return Reply(202)


def find_snapshots(request: Request) -> Reply:
    found = _volumes(request).snapshots(request.cloud.db, request.ctx)
    return Reply(200, {"snapshots": [_snapshot_view(each) for each in _page(request, found)]})


def get_snapshot(request: Request) -> Reply:
    found = _volumes(request).snapshot(request.cloud.db, request.ctx, request.params["snapshot_id"])
    return Reply(200, {"snapshot": _snapshot_view(found)})


def create_snapshot(request: Request) -> Reply:
    body, volumes = request.body["snapshot"], _volumes(request)
    words = (body["volume_id"], body.get("display_name"), body.get("display_description"))
    forced = fields.as_boolean(body.get("force", False))
    made = request.cloud.db.write(lambda tx: volumes.create_snapshot(tx, request.ctx, *words, in_use=forced))
    return Reply(200, {"snapshot": _snapshot_view(made)})


def delete_snapshot(request: Request) -> Reply:
    volumes, snapshot_id = _volumes(request), request.params["snapshot_id"]
    request.cloud.db.write(lambda tx: volumes.delete_snapshot(tx, request.ctx, snapshot_id))
    return Reply(202)


def _volumes(request: Request) -> OlderVolumes:
    return request.cloud.contracts.use(OlderVolumes)


def _page(request: Request, found: list[Any]) -> list[Any]:
    offset = whole_number(request, "offset") or 0
    return found[offset : offset + (common.page_limit(request) or common.MOST_ROWS)]


def _view(volume: OlderVolume) -> dict[str, Any]:
    attachment: dict[str, str] = {}
    if volume.server_id is not None:
        attachment = {"id": volume.id, "volumeId": volume.id, "serverId": volume.server_id}
        if volume.device:
            attachment["device"] = volume.device
    return {
        "id": volume.id,
        "status": volume.status,
        "size": volume.size,
        "availabilityZone": volume.availability_zone,
        "createdAt": common.micro(volume.created_at),
        "attachments": [attachment],
        "displayName": volume.name,
        "displayDescription": volume.description,
        "volumeType": volume.volume_type,
        "snapshotId": volume.snapshot_id,
        "metadata": volume.metadata,
    }


def _snapshot_view(snapshot: OlderSnapshot) -> dict[str, Any]:
    return {
        "id": snapshot.id,
        "volumeId": snapshot.volume_id,
        "status": snapshot.status,
        "size": snapshot.size,
        "createdAt": common.micro(snapshot.created_at),
        "displayName": snapshot.name,
        "displayDescription": snapshot.description,
    }


def _route(method: str, path: str, handler: Any, rule: str, **more: Any) -> Route:
    return Route(method, path, handler, f"{_RULE}:{rule}", until=_UNTIL, **more)


ROUTES = (
    _route("GET", "/os-volumes", find_all, "list", query=_LIST),
    _route("GET", "/os-volumes/detail", find_all, "detail", query=_LIST),
    _route("POST", "/os-volumes", create, "create", body=_CREATE),
    _route("GET", _VOLUME, get, "show"),
    _route("DELETE", _VOLUME, delete, "delete"),
    _route("GET", "/os-snapshots", find_snapshots, "snapshots:list", query=_LIST),
    _route("GET", "/os-snapshots/detail", find_snapshots, "snapshots:detail", query=_LIST),
    _route("POST", "/os-snapshots", create_snapshot, "snapshots:create", body=_CREATE_SNAPSHOT),
    _route("GET", _SNAPSHOT, get_snapshot, "snapshots:show"),
    _route("DELETE", _SNAPSHOT, delete_snapshot, "snapshots:delete"),
)
