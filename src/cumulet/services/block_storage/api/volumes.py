# SPDX-License-Identifier: Apache-2.0
"""`/volumes`"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request
from cumulet.services.block_storage.api import common, views
from cumulet.services.block_storage.api.common import route
from cumulet.services.block_storage.logic import groups, keys, volume_types
from cumulet.services.block_storage.logic import volumes as logic
from cumulet.services.block_storage.logic.refusals import invalid_input
from cumulet.services.block_storage.logic.volumes import NewVolume
from cumulet.services.block_storage.types import Volume, Wanted

IMAGE_METADATA_FILTER = (3, 4)
GROUP_FILTER = (3, 10)
SUMMARY = (3, 12)
FORCE = (3, 23)
BOOTABLE_STRICT = (3, 2)
SUMMARY_METADATA = (3, 36)
TIME_FILTERS = (3, 60)
SOMETHING_TO_UPDATE = (3, 53)
SERVER_IMAGES = (3, 46)

SORT_KEYS = (
    "id", "name", "status", "size", "created_at", "updated_at", "availability_zone", "bootable", "host", "user_id",
    "project_id", "volume_type_id", "snapshot_id",
)  # fmt: skip
_FILTERS = (
    "name", "status", "metadata", "bootable", "migration_status", "availability_zone", "group_id", "size",
    "created_at", "updated_at", "glance_metadata", "consumes_quota",
)  # fmt: skip
_ADMIN_FILTERS = (
    "id", "project_id", "user_id", "host", "volume_type_id", "snapshot_id", "source_volid", "description",
    "display_name",
)  # fmt: skip
_COLUMNS = {"source_volid": "source_volume_id", "display_name": "name"}
_OPERATORS = ("gt", "gte", "eq", "neq", "lt", "lte")

_NAMES = dict.fromkeys(("name", "display_name"), common.TEXT_OR_NULL)
_DESCRIPTIONS = dict.fromkeys(("description", "display_description"), common.TEXT_OR_NULL)
HINTS = "OS-SCH-HNT:scheduler_hints"
_VOLUMES = {
    "oneOf": [
        {"type": "string", "format": "uuid"},
        {"type": "array", "items": {"type": "string", "format": "uuid"}, "uniqueItems": True},
    ]
}
# Cinder judges hints by a schema of their own, after the rest of the body.
_HINTS = common.schema(
    {
        "type": "object",
        "properties": {
            HINTS: {
                "type": ["object", "null"],
                "properties": {
                    "local_to_instance": {"oneOf": [{"type": "null"}, {"type": "string", "format": "uuid"}]},
                    "different_host": _VOLUMES,
                    "same_host": _VOLUMES,
                    "query": {"type": ["string", "object"]},
                },
                "additionalProperties": True,
            }
        },
    }
)
_CREATE = common.wrapped(
    "volume",
    {
        "type": "object",
        "properties": {
            **_NAMES,
            **_DESCRIPTIONS,
            "volume_type": common.TEXT_OR_NULL,
            "metadata": common.METADATA_OR_NULL,
            "snapshot_id": common.UUID_OR_NULL,
            "source_volid": common.UUID_OR_NULL,
            "consistencygroup_id": common.UUID_OR_NULL,
            "size": {**common.SIZE, "type": ["integer", "string", "null"]},
            "availability_zone": {"type": ["string", "null"], "minLength": 1, "maxLength": 255},
            "multiattach": {"oneOf": [common.BOOLEAN, {"type": "null"}]},
            "image_id": common.TEXT_OR_NULL,
            "imageRef": common.TEXT_OR_NULL,
            "group_id": {**common.TEXT_OR_NULL, "since": (3, 13)},
            "backup_id": {**common.UUID_OR_NULL, "since": (3, 47)},
        },
        "additionalProperties": {
            "versions": [{"value": True, "until": (3, 52)}, {"value": False, "since": SOMETHING_TO_UPDATE}]
        },
    },
    **{HINTS: {"type": ["object", "null"]}},
)
_UPDATE = common.wrapped(
    "volume",
    {
        "type": "object",
        "properties": {**_NAMES, **_DESCRIPTIONS, "metadata": common.METADATA},
        "additionalProperties": False,
        "minProperties": {"versions": [{"value": 0, "until": (3, 52)}, {"value": 1, "since": SOMETHING_TO_UPDATE}]},
    },
)


_volume = common.found_by(logic.get, "volume_id")
target = common.target_of(_volume)


def find_all(request: Request, *, detailed: bool) -> Reply:
    page, wanted = common.page_of(request, SORT_KEYS), wanted_of(request)
    rows = logic.find_page(request.cloud.db, request.ctx, wanted, page)
    shown = _extended(request, rows) if detailed else [views.summary(request, volume) for volume in rows]
    body = common.listing(request, "volumes", rows, shown, page)
    if common.counted(request):
        body["count"] = logic.count(request.cloud.db, request.ctx, wanted)
    return Reply(200, body)


def get(request: Request) -> Reply:
    return Reply(200, {"volume": _extended(request, [request.once(_volume)])[0]})


def create(request: Request) -> Reply:
    body = request.body["volume"]
    _HINTS.check({HINTS: request.body.get(HINTS)}, request.version)
    new = _new(request, body, request.body.get(HINTS) or {})
    if new.image is not None:
        request.require("volume:create_from_image")
        if request.version >= SERVER_IMAGES:
            new = logic.without_server_image(request.cloud, request.cloud.db, request.ctx, new)
    volume = keys.write(
        request.cloud, request.ctx, lambda tx, ready: logic.create(request.cloud, tx, request.ctx, new, ready)
    )
    kinds, consistent = volume_types.names(request.cloud.db), groups.consistent(request.cloud.db, [volume])
    return Reply(202, {"volume": views.detail(request, volume, [], kinds, consistent)})


def update(request: Request) -> Reply:
    body = request.body["volume"]
    changes: dict[str, Any] = {}
    for name in ("name", "description"):
        for said in (f"display_{name}", name):
            if said in body:
                changes[name] = common.clean(body[said])
    if "metadata" in body:
        changes["metadata"] = body["metadata"]

    def write(tx: Tx) -> Volume:
        return logic.update(request.cloud, tx, request.ctx, request.params["volume_id"], changes)

    volume = request.cloud.db.write(write)
    claims = logic.attachments_of(request.cloud.db, [volume.id])
    kinds, consistent = volume_types.names(request.cloud.db), groups.consistent(request.cloud.db, [volume])
    view = views.detail(request, volume, claims[volume.id], kinds, consistent)
    return Reply(200, {"volume": view})


def delete(request: Request) -> Reply:
    volume_id, query = request.params["volume_id"], request.query
    cascade = common.truth(query.get("cascade", "false"), "cascade")
    force = request.version >= FORCE and common.truth(query.get("force", "false"), "force")
    if force:
        request.require("volume:force_delete", target(request))

    def write(tx: Tx) -> None:
        logic.delete(request.cloud, tx, request.ctx, volume_id, cascade=cascade, force=force)

    request.cloud.db.write(write)
    return Reply(202)


def summarize(request: Request) -> Reply:
    """Of all volumes: filters are overlooked, as Cinder has it."""
    metadata, everywhere = request.version >= SUMMARY_METADATA, common.everywhere(request)
    number, size, words = logic.summary(request.cloud.db, request.ctx, everywhere=everywhere, metadata=metadata)
    view: dict[str, Any] = {"total_count": number, "total_size": size}
    return Reply(200, {"volume-summary": {**view, "metadata": words} if metadata else view})


def wanted_of(request: Request) -> Wanted:
    """What the query narrows the list to."""
    asked = common.filters(request, _FILTERS, _ADMIN_FILTERS, resource="volume")
    words: dict[str, Any] = {"everywhere": common.everywhere(request), "exact": {}}
    if words["everywhere"]:
        words["project_id"] = asked.pop("project_id", None)
    asked.pop("project_id", None)
    words["place"] = asked.pop("host", None)
    for name, value in asked.items():
        _narrow(request, words, name, value)
    return Wanted(**words)


def _narrow(request: Request, words: dict[str, Any], name: str, value: str) -> None:
    if name in ("created_at", "updated_at"):
        if request.version >= TIME_FILTERS:
            words[name.removesuffix("_at")] = _bounds(name, value)
    elif name == "metadata":
        words["metadata"] = common.table(value, "metadata")
    elif name == "glance_metadata":
        if request.version >= IMAGE_METADATA_FILTER:
            words["image_metadata"] = common.table(value, "glance_metadata")
    elif name == "bootable":
        words["exact"]["bootable"] = _bootable(request, value)
    elif name in ("name~", "display_name~"):
        words["like"] = value
    elif name == "size":
        if not value.isascii() or not value.isdigit():
            raise invalid_input(f"'size = {value}'")
        words["exact"]["size"] = min(int(value), common.INT_MAX)
    elif name in ("group_id", "consumes_quota"):
        words["exact"] |= _membership(request, name, value)
    else:
        words["exact"][_COLUMNS.get(name.removesuffix("~"), name.removesuffix("~"))] = value


def _membership(request: Request, name: str, value: str) -> dict[str, str]:
    """By group; there is no volume that does not count against the quota."""
    if name == "group_id":
        return {"group_id": value} if request.version >= GROUP_FILTER else {}
    return {} if common.truth(value, name) else {"id": ""}


def _bootable(request: Request, value: str) -> bool:
    if request.version < BOOTABLE_STRICT:
        return value not in ("False", "false", "FALSE", "")
    try:
        return common.truth(value, "bootable")
    except Invalid as error:
        raise invalid_input(f"'bootable = {value}'") from error


def _bounds(name: str, value: str) -> tuple[tuple[str, datetime], ...]:
    bounds = []
    for part in value.split(","):
        operator, _, text = part.partition(":")
        if operator not in _OPERATORS:
            raise Invalid(f"Invalid {operator} operator")
        try:
            read = datetime.fromisoformat(text)
        except ValueError as error:
            raise Invalid(f"Invalid {text or name} value") from error
        bounds.append((operator, read.astimezone(UTC).replace(tzinfo=None) if read.tzinfo else read))
    return tuple(bounds)


def _new(request: Request, body: dict[str, Any], hints: dict[str, Any]) -> NewVolume:
    if body.get("multiattach") is not None and common.truth(body["multiattach"], "multiattach"):
        raise Invalid(
            "multiattach parameter has been removed. The default behavior is to use multiattach enabled volume types. "
            "Contact your administrator to create a multiattach enabled volume type and use it to create multiattach "
            "volumes."
        )
    size = body.get("size")
    name = body["name"] if "name" in body else body.get("display_name")
    description = body["description"] if "description" in body else body.get("display_description")
    return NewVolume(
        name=common.clean(name),
        description=common.clean(description),
        size=int(size) if size is not None else None,
        snapshot_id=body.get("snapshot_id"),
        source_volume_id=body.get("source_volid"),
        backup_id=str(body["backup_id"]) if body.get("backup_id") else None,
        image=body.get("image_id") or body.get("imageRef") or None,
        volume_type=body.get("volume_type"),
        availability_zone=body.get("availability_zone"),
        metadata=body.get("metadata") or {},
        group_id=body["group_id"] if body.get("group_id") is not None else body.get("consistencygroup_id"),
        hints=hints,
    )


def _extended(request: Request, rows: list[Volume]) -> list[dict[str, Any]]:
    source = request.cloud.db
    claims = logic.attachments_of(source, [volume.id for volume in rows])
    seen = views.sight(request, volume_types.names(source), groups.consistent(source, rows))
    return [views.extended(request, volume, claims[volume.id], seen) for volume in rows]


ROUTES = (
    *common.list_routes("/volumes", find_all, "volume:get_all"),
    route("GET", "/volumes/summary", summarize, "volume:get_all", since=SUMMARY),
    route("POST", "/volumes", create, "volume:create", body=_CREATE),
    route("GET", "/volumes/{volume_id}", get, "volume:get", target=target),
    route("PUT", "/volumes/{volume_id}", update, "volume:update", target=target, body=_UPDATE),
    route("DELETE", "/volumes/{volume_id}", delete, "volume:delete", target=target),
)  # fmt: skip
