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
from cumulet.services.block_storage.logic import limits, outside, volumes
from cumulet.services.block_storage.logic.refusals import invalid_volume
from cumulet.services.block_storage.logic.targets import Way
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
    found = request.once(_attachment)
    return {"project_id": found.project_id, "tenant_id": found.project_id}


def find_all(request: Request) -> Reply:
    return Reply(200, {"attachments": [summary(one) for one in _find(request)]})


def find_all_detailed(request: Request) -> Reply:
    found = _find(request)
    have = {one.volume_id: volumes.find(request.cloud.db, one.volume_id) for one in found}
    return Reply(200, {"attachments": [detail(request, one, have[one.volume_id]) for one in found]})


def get(request: Request) -> Reply:
    found = request.once(_attachment)
    return Reply(200, {"attachment": detail(request, found, volumes.find(request.cloud.db, found.volume_id))})


def create(request: Request) -> Reply:
    said = request.body["attachment"]

    connector = said.get("connector")

    def write(tx: Tx) -> tuple[Attachment, Volume, str | None]:
        volume = volumes.get(tx, request.ctx, said["volume_uuid"])
        if "error" in volume.status:
            raise invalid_volume(
                "Volume attachments can not be created if the volume is in an error state. The Volume "
                f"{volume.id} currently has a status of: {volume.status} "
            )
        logic.check_shared(request.cloud, request.ctx, volume)
        new = logic.reserve(tx, volume, said.get("instance_uuid"), mode=said.get("mode"))
        if not connector:
            return new, volume, None
        who = outside.initiator(tx, volume, connector)
        if who is not None:
            logic.check_connector(new, connector)
            return new, volume, who
        return logic.connect(tx, new, connector), volume, None

    made, volume, who = request.cloud.db.write(write)
    if who is not None:
        made = outside.connect(request.cloud, volume, made, connector, who)
    return Reply(200, {"attachment": detail(request, made, volume)})


def update(request: Request) -> Reply:
    connector = request.body["attachment"]["connector"]

    def write(tx: Tx) -> tuple[Attachment, Volume | None, str | None]:
        found = logic.get(tx, request.ctx, request.params["attachment_id"])
        logic.check_not_used(request.cloud, tx, request.ctx, found)
        volume = volumes.find(tx, found.volume_id)
        who = None if volume is None or found.managed else outside.initiator(tx, volume, connector)
        if who is not None:
            logic.check_connector(found, connector)
            outside.check_stays(found, who)
            return found, volume, who
        return logic.connect(tx, found, connector), volume, None

    now, volume, who = request.cloud.db.write(write)
    if volume is not None and who is not None:
        now = outside.connect(request.cloud, volume, now, connector, who)
    return Reply(200, {"attachment": detail(request, now, volume)})


def complete(request: Request) -> Reply:
    def write(tx: Tx) -> None:
        found = logic.get(tx, request.ctx, request.params["attachment_id"])
        logic.check_not_used(request.cloud, tx, request.ctx, found)
        logic.complete(request.cloud, tx, found, request_id=request.request_id)

    request.cloud.db.write(write)
    return Reply(204)


def delete(request: Request) -> Reply:
    def write(tx: Tx) -> tuple[str, list[Attachment]]:
        found = logic.get(tx, request.ctx, request.params["attachment_id"])
        logic.take_away(request.cloud, tx, request.ctx, found)
        return found.volume_id, volumes.attachments_of(tx, [found.volume_id])[found.volume_id]

    volume_id, left = request.cloud.db.write(write)
    outside.settle(request.cloud, volume_id)
    return Reply(200, {"attachments": [summary(one) for one in left]})


def summary(one: Attachment) -> dict[str, Any]:
    return {"id": one.id, "status": one.status, "instance": one.server_id, "volume_id": one.volume_id}


def detail(request: Request, one: Attachment, volume: Volume | None) -> dict[str, Any]:
    connected = one.connector is not None or one.managed
    info: dict[str, Any] = {}
    if connected and volume is not None:
        info = _flat(connection_info(request, volume, one.connector or {}, outside.way_of(request.cloud, one)))
    return {
        **summary(one),
        "attached_at": moment(one.attached_at) or "",
        "detached_at": moment(one.detached_at) or "",
        "attach_mode": one.mode or "null",
        "connection_info": {**info, "attachment_id": one.id} if info else {},
    }


def connection_info(
    request: Request, volume: Volume, connector: Mapping[str, Any], way: Way | None = None
) -> dict[str, Any]:
    """How the volume is reached: by the initiator outside that has this way, or by this cloud's hosts, by its id."""
    data: dict[str, Any] = {
        "volume_id": volume.id,
        "access_mode": "ro" if volume.read_only else "rw",
        "encrypted": volume.encryption_key_id is not None,
        "discard": True,
        "qos_specs": limits.shown(request.cloud.db, volume),
        "cacheable": False,
    }
    if way is None:
        return {"driver_volume_type": "local", "data": data}
    told = outside.shown(way, multipath=bool(connector.get("multipath", False)))
    enforced = {"enforce_multipath": bool(connector.get("enforce_multipath", False))}
    return {"driver_volume_type": "iscsi", "data": {**told, **data, **enforced}}


def _attachment(request: Request) -> Attachment:
    return logic.get(request.cloud.db, request.ctx, request.params["attachment_id"])


def _flat(info: dict[str, Any]) -> dict[str, Any]:
    """As attachments show it: what actions have under `data` stands beside the driver's type."""
    return {"driver_volume_type": info["driver_volume_type"], **info["data"]}


def _find(request: Request) -> list[Attachment]:
    asked = common.filters(request, _FILTERS, ("project_id",), resource="attachment")
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
