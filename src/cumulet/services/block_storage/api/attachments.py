# SPDX-License-Identifier: Apache-2.0
"""`/attachments`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.db import Tx
from cumulet.kernel.http import Reply, Request
from cumulet.services.block_storage.api import common
from cumulet.services.block_storage.api.common import route
from cumulet.services.block_storage.api.views import moment
from cumulet.services.block_storage.logic import claims as logic
from cumulet.services.block_storage.logic import volumes
from cumulet.services.block_storage.logic.refusals import invalid_volume
from cumulet.services.block_storage.types import Attachment, Volume

SINCE = (3, 27)
COMPLETE = (3, 44)
MODE = (3, 54)

SORT_KEYS = ("id", "volume_id", "status", "created_at", "attached_at", "server_id")
_FILTERS = ("volume_id", "status", "instance_id", "attach_status")

_CREATE = common.wrapped(
    "attachment",
    {
        "type": "object",
        "properties": {
            "instance_uuid": common.UUID,
            "connector": {"type": ["object", "null"]},
            "volume_uuid": common.UUID,
            "mode": {"type": "string", "enum": ["rw", "ro"], "since": MODE},
        },
        "required": ["volume_uuid"],
        "additionalProperties": False,
    },
)
_UPDATE = common.wrapped(
    "attachment",
    {
        "type": "object",
        "properties": {"connector": {"type": "object", "minProperties": 1}},
        "required": ["connector"],
        "additionalProperties": False,
    },
)


def target(request: Request) -> Mapping[str, Any]:
    """What a rule on one attachment is judged on."""
    found = logic.get(request.cloud.db, request.ctx, request.params["attachment_id"])
    return {"project_id": found.project_id, "tenant_id": found.project_id}


def find_all(request: Request) -> Reply:
    return Reply(200, {"attachments": [summary(one) for one in _find(request)]})


def find_all_detailed(request: Request) -> Reply:
    found = _find(request)
    have = {one.volume_id: volumes.find(request.cloud.db, one.volume_id) for one in found}
    return Reply(200, {"attachments": [detail(one, have[one.volume_id]) for one in found]})


def get(request: Request) -> Reply:
    found = logic.get(request.cloud.db, request.ctx, request.params["attachment_id"])
    return Reply(200, {"attachment": detail(found, volumes.find(request.cloud.db, found.volume_id))})


def create(request: Request) -> Reply:
    said = request.body["attachment"]

    def write(tx: Tx) -> tuple[Attachment, Volume]:
        volume = volumes.get(tx, request.ctx, said["volume_uuid"])
        if "error" in volume.status:
            raise invalid_volume(
                "Volume attachments can not be created if the volume is in an error state. The Volume "
                f"{volume.id} currently has a status of: {volume.status} "
            )
        logic.check_shared(request.cloud, request.ctx, volume)
        new = logic.reserve(tx, volume, said.get("instance_uuid"), mode=said.get("mode"))
        if said.get("connector"):
            new = logic.connect(tx, new, said["connector"])
        return new, volume

    made, volume = request.cloud.db.write(write)
    return Reply(200, {"attachment": detail(made, volume)})


def update(request: Request) -> Reply:
    connector = request.body["attachment"]["connector"]

    def write(tx: Tx) -> Attachment:
        found = logic.get(tx, request.ctx, request.params["attachment_id"])
        logic.check_not_used(request.cloud, tx, request.ctx, found)
        return logic.connect(tx, found, connector)

    now = request.cloud.db.write(write)
    return Reply(200, {"attachment": detail(now, volumes.find(request.cloud.db, now.volume_id))})


def complete(request: Request) -> Reply:
    def write(tx: Tx) -> None:
        found = logic.get(tx, request.ctx, request.params["attachment_id"])
        logic.check_not_used(request.cloud, tx, request.ctx, found)
        logic.complete(request.cloud, tx, found, request_id=request.request_id)

    request.cloud.db.write(write)
    return Reply(204)


def delete(request: Request) -> Reply:
    def write(tx: Tx) -> list[Attachment]:
        found = logic.get(tx, request.ctx, request.params["attachment_id"])
        logic.take_away(request.cloud, tx, request.ctx, found)
        return volumes.attachments_of(tx, [found.volume_id])[found.volume_id]

    left = request.cloud.db.write(write)
    return Reply(200, {"attachments": [summary(one) for one in left]})


def summary(one: Attachment) -> dict[str, Any]:
    return {"id": one.id, "status": one.status, "instance": one.server_id, "volume_id": one.volume_id}


def detail(one: Attachment, volume: Volume | None) -> dict[str, Any]:
    connected = one.connector is not None or one.managed
    info = connection_info(volume) if connected and volume is not None else {}
    return {
        **summary(one),
        "attached_at": moment(one.attached_at) or "",
        "detached_at": moment(one.detached_at) or "",
        "attach_mode": one.mode or "null",
        "connection_info": {**info, "attachment_id": one.id} if info else {},
    }


def connection_info(volume: Volume) -> dict[str, Any]:
    """How the volume is reached: by its own host's servers alone, which find it by its id."""
    return {
        "driver_volume_type": "local",
        "data": {
            "volume_id": volume.id,
            "access_mode": "ro" if volume.read_only else "rw",
            "encrypted": False,
            "discard": True,
            "qos_specs": None,
            "cacheable": False,
        },
    }


def _find(request: Request) -> list[Attachment]:
    asked = common.filters(request, _FILTERS, ("project_id",))
    names = {"instance_id": "server_id", "attach_status": "status"}
    exact = {names.get(name, name): value for name, value in asked.items() if not name.endswith("~")}
    page = common.page_of(request, SORT_KEYS)
    return logic.find_page(request.cloud.db, request.ctx, page, exact, everywhere=common.everywhere(request))


ROUTES = (
    route("GET", "/attachments", find_all, "volume:get_all", since=SINCE),
    route("GET", "/attachments/detail", find_all_detailed, "volume:get_all", since=SINCE),
    route("POST", "/attachments", create, "volume:attachment_create", body=_CREATE, since=SINCE),
    route("GET", "/attachments/{attachment_id}", get, "volume:get", target=target, since=SINCE),
    route(
        "PUT", "/attachments/{attachment_id}", update, "volume:attachment_update", target=target, body=_UPDATE,
        since=SINCE,
    ),
    route("DELETE", "/attachments/{attachment_id}", delete, "volume:attachment_delete", target=target, since=SINCE),
    route(
        "POST", "/attachments/{attachment_id}/action", complete, "volume:attachment_complete", target=target,
        body=common.anything("os-complete"), action="os-complete", since=COMPLETE,
    ),
)  # fmt: skip
