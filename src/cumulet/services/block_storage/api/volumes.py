# SPDX-License-Identifier: Apache-2.0
"""`/volumes`"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Invalid, NotFound, Unsupported
from cumulet.kernel.http import Reply, Request
from cumulet.services.block_storage.api import common, views
from cumulet.services.block_storage.api.common import route
from cumulet.services.block_storage.logic import backends, volume_types
from cumulet.services.block_storage.logic import volumes as logic
from cumulet.services.block_storage.logic.refusals import invalid_input
from cumulet.services.block_storage.logic.volumes import NewVolume
from cumulet.services.block_storage.types import Page, Volume, Wanted

IMAGE_METADATA_FILTER = (3, 4)
SUMMARY = (3, 12)
FORCE = (3, 23)
BOOTABLE_STRICT = (3, 2)
SUMMARY_METADATA = (3, 36)
TIME_FILTERS = (3, 60)
SOMETHING_TO_UPDATE = (3, 53)

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
    **{"OS-SCH-HNT:scheduler_hints": {"type": ["object", "null"]}},
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


def target(request: Request) -> Mapping[str, Any]:
    """What a rule on one volume is judged on."""
    volume = logic.get(request.cloud.db, request.ctx, request.params["volume_id"])
    return {"project_id": volume.project_id, "tenant_id": volume.project_id, "user_id": volume.user_id}


def find_all(request: Request) -> Reply:
    page, wanted = common.page_of(request, SORT_KEYS), wanted_of(request)
    rows = logic.find_page(request.cloud.db, request.ctx, wanted, page)
    shown = [views.summary(request, volume) for volume in rows]
    return _list(request, wanted, rows, shown, page)


def find_all_detailed(request: Request) -> Reply:
    page, wanted = common.page_of(request, SORT_KEYS), wanted_of(request)
    rows = logic.find_page(request.cloud.db, request.ctx, wanted, page)
    return _list(request, wanted, rows, _extended(request, rows), page)


def get(request: Request) -> Reply:
    volume = logic.get(request.cloud.db, request.ctx, request.params["volume_id"])
    return Reply(200, {"volume": _extended(request, [volume])[0]})


def create(request: Request) -> Reply:
    body = request.body["volume"]
    new = _new(body)
    if new.image is not None:
        request.require("volume:create_from_image")
    volume = request.cloud.db.write(lambda tx: logic.create(request.cloud, tx, request.ctx, new))
    return Reply(202, {"volume": views.detail(request, volume, [], volume_types.names(request.cloud.db))})


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
    view = views.detail(request, volume, claims[volume.id], volume_types.names(request.cloud.db))
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
    rows = logic.find_page(request.cloud.db, request.ctx, wanted_of(request), Page(limit=1_000_000))
    view: dict[str, Any] = {"total_count": len(rows), "total_size": sum(volume.size for volume in rows)}
    if request.version >= SUMMARY_METADATA:
        words: dict[str, list[str]] = {}
        for volume in rows:
            for key, value in volume.metadata.items():
                if value not in words.setdefault(key, []):
                    words[key].append(value)
        view["metadata"] = words
    return Reply(200, {"volume-summary": view})


def encryption(request: Request) -> Reply:
    logic.get(request.cloud.db, request.ctx, request.params["volume_id"])
    return Reply(200, {"encryption_key_id": None})


def encryption_item(request: Request) -> Reply:
    logic.get(request.cloud.db, request.ctx, request.params["volume_id"])
    if request.params["key"] != "encryption_key_id":
        raise NotFound("The resource could not be found.")
    return Reply(200, {"encryption_key_id": None})


def wanted_of(request: Request) -> Wanted:
    """What the query narrows the list to."""
    asked = common.filters(request, _FILTERS, _ADMIN_FILTERS)
    words: dict[str, Any] = {"everywhere": common.everywhere(request), "exact": {}}
    if words["everywhere"]:
        words["project_id"] = asked.pop("project_id", None)
    asked.pop("project_id", None)
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
        if name != "consumes_quota" or not common.truth(value, name):
            words["exact"]["id"] = ""  # no volume has one
    else:
        words["exact"][_COLUMNS.get(name.removesuffix("~"), name.removesuffix("~"))] = value


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


def _new(body: dict[str, Any]) -> NewVolume:
    if body.get("multiattach") is not None and common.truth(body["multiattach"], "multiattach"):
        raise Invalid(
            "multiattach parameter has been removed. The default behavior is to use multiattach enabled volume types. "
            "Contact your administrator to create a multiattach enabled volume type and use it to create multiattach "
            "volumes."
        )
    for origin in ("group_id", "consistencygroup_id", "backup_id"):
        if body.get(origin):
            raise Unsupported(f"A volume cannot be made with {origin}.")
    size = body.get("size")
    name = body["name"] if "name" in body else body.get("display_name")
    description = body["description"] if "description" in body else body.get("display_description")
    return NewVolume(
        name=common.clean(name),
        description=common.clean(description),
        size=int(size) if size is not None else None,
        snapshot_id=body.get("snapshot_id"),
        source_volume_id=body.get("source_volid"),
        image=body.get("image_id") or body.get("imageRef") or None,
        volume_type=body.get("volume_type"),
        availability_zone=body.get("availability_zone"),
        metadata=body.get("metadata") or {},
    )


def _extended(request: Request, rows: list[Volume]) -> list[dict[str, Any]]:
    source = request.cloud.db
    claims = logic.attachments_of(source, [volume.id for volume in rows])
    seen = views.sight(request, volume_types.names(source), backends.names(source))
    return [views.extended(request, volume, claims[volume.id], seen) for volume in rows]


def _list(request: Request, wanted: Wanted, rows: list[Volume], shown: list[dict[str, Any]], page: Page) -> Reply:
    body = common.listing(request, "volumes", shown, [volume.id for volume in rows], page)
    if common.counted(request):
        body["count"] = logic.count(request.cloud.db, request.ctx, wanted)
    return Reply(200, body)


ROUTES = (
    route("GET", "/volumes", find_all, "volume:get_all"),
    route("GET", "/volumes/detail", find_all_detailed, "volume:get_all"),
    route("GET", "/volumes/summary", summarize, "volume:get_all", since=SUMMARY),
    route("POST", "/volumes", create, "volume:create", body=_CREATE),
    route("GET", "/volumes/{volume_id}", get, "volume:get", target=target),
    route("PUT", "/volumes/{volume_id}", update, "volume:update", target=target, body=_UPDATE),
    route("DELETE", "/volumes/{volume_id}", delete, "volume:delete", target=target),
    route(
        "GET", "/volumes/{volume_id}/encryption", encryption, "volume_extension:volume_encryption_metadata",
        target=target,
    ),
    route(
        "GET", "/volumes/{volume_id}/encryption/{key}", encryption_item, "volume_extension:volume_encryption_metadata",
        target=target,
    ),
)  # fmt: skip
