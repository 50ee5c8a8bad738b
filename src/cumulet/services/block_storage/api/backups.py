# SPDX-License-Identifier: Apache-2.0
"""`/backups`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Invalid, OverQuota
from cumulet.kernel.http import Reply, Request
from cumulet.services.block_storage.api import common
from cumulet.services.block_storage.api.common import links, route
from cumulet.services.block_storage.api.views import moment
from cumulet.services.block_storage.logic import backup_records as records
from cumulet.services.block_storage.logic import backups as logic
from cumulet.services.block_storage.logic import keys
from cumulet.services.block_storage.logic.backups import NewBackup
from cumulet.services.block_storage.types import Volume
from cumulet.services.block_storage.types.backups import Backup, BackupStatus, Wanted

UPDATE = (3, 9)
PROJECT = (3, 18)
SORT_BY_NAME = (3, 37)
METADATA = (3, 43)
ZONE = (3, 51)
USER = (3, 56)
KEY = (3, 64)

SORT_KEYS = (
    "id", "name", "status", "volume_id", "size", "created_at", "updated_at", "project_id", "user_id", "container",
    "availability_zone", "host", "snapshot_id", "parent_id", "object_count", "data_timestamp",
)  # fmt: skip
_FILTERS = ("name", "status", "volume_id")
_ADMIN_FILTERS = (
    "id", "project_id", "user_id", "host", "display_name", "container", "availability_zone", "snapshot_id", "parent_id",
    "size", "object_count", "service", "metadata", "encryption_key_id",
)  # fmt: skip
_NUMBERS = ("size", "object_count")
_VALID = [BackupStatus.AVAILABLE.value, BackupStatus.ERROR.value]

_CREATE = common.wrapped(
    "backup",
    {
        "type": "object",
        "properties": {
            "volume_id": common.UUID,
            "container": common.TEXT_OR_NULL,
            "description": common.DESCRIPTION,
            "incremental": common.BOOLEAN,
            "force": common.BOOLEAN,
            "name": common.TEXT_OR_NULL,
            "snapshot_id": common.UUID_OR_NULL,
            "metadata": {**common.METADATA_OR_NULL, "since": METADATA},
            "availability_zone": {**common.TEXT_OR_NULL, "since": ZONE},
        },
        "required": ["volume_id"],
        "additionalProperties": False,
    },
)
_UPDATE = common.wrapped(
    "backup",
    {
        "type": ["object", "null"],
        "properties": {
            "name": common.TEXT_OR_NULL,
            "description": common.DESCRIPTION,
            "metadata": {**common.METADATA, "since": METADATA},
        },
        "additionalProperties": False,
    },
)
_RESTORE = common.wrapped(
    "restore",
    {
        "type": ["object", "null"],
        "properties": {"name": common.TEXT_OR_NULL, "volume_id": common.UUID_OR_NULL},
        "additionalProperties": False,
    },
)
_IMPORT = common.wrapped(
    "backup-record",
    {
        "type": "object",
        "properties": {
            "backup_service": {"type": "string", "minLength": 0, "maxLength": 255},
            "backup_url": {"type": "string", "minLength": 1, "format": "base64"},
        },
        "required": ["backup_service", "backup_url"],
        "additionalProperties": False,
    },
)
_RESET = common.reset_status("os-reset_status")


target = common.target_of(common.found_by(logic.get, "backup_id"))


def find_all(request: Request, *, detailed: bool) -> Reply:
    wanted = _wanted(request)
    rows = logic.find_page(request.cloud.db, request.ctx, wanted)
    shown = _details(request, rows) if detailed else [_summary(request, one) for one in rows]
    body = common.listing(request, "backups", rows, shown, wanted)
    if common.counted(request):
        body["count"] = logic.count(request.cloud.db, request.ctx, wanted)
    return Reply(200, body)


def get(request: Request) -> Reply:
    found = logic.get(request.cloud.db, request.ctx, request.params["backup_id"])
    return Reply(200, {"backup": _details(request, [found])[0]})


def create(request: Request) -> Reply:
    body = request.body["backup"]
    new = NewBackup(
        volume_id=body["volume_id"],
        snapshot_id=body.get("snapshot_id"),
        name=common.clean(body.get("name")),
        description=common.clean(body.get("description")),
        container=body.get("container"),
        availability_zone=body.get("availability_zone"),
        metadata=body.get("metadata") or {},
        incremental=common.truth(body.get("incremental", False), "incremental"),
        in_use=common.truth(body.get("force", False), "force"),
    )
    made = keys.write(
        request.cloud, request.ctx, lambda tx, ready: logic.create(request.cloud, tx, request.ctx, new, ready)
    )
    return Reply(202, {"backup": _summary(request, made)})


def update(request: Request) -> Reply:
    body = request.body["backup"] or {}
    changes: dict[str, Any] = {name: common.clean(body[name]) for name in ("name", "description") if name in body}
    if "metadata" in body:
        changes["metadata"] = body["metadata"]
    found = request.cloud.db.write(lambda tx: logic.update(tx, request.ctx, request.params["backup_id"], changes))
    return Reply(200, {"backup": _summary(request, found)})


def delete(request: Request) -> Reply:
    request.cloud.db.write(lambda tx: logic.delete(request.cloud, tx, request.ctx, request.params["backup_id"]))
    return Reply(202)


def force_delete(request: Request) -> Reply:
    def write(tx: Tx) -> None:
        logic.delete(request.cloud, tx, request.ctx, request.params["backup_id"], force=True)

    request.cloud.db.write(write)
    return Reply(202)


def reset_status(request: Request) -> Reply:
    status = request.body["os-reset_status"]["status"]
    if status.lower() not in _VALID:
        raise Invalid(f"Backup status: {status} is invalid, valid statuses are: {_VALID}.")

    def write(tx: Tx) -> None:
        logic.reset_status(request.cloud, tx, request.ctx, request.params["backup_id"], status.lower())

    request.cloud.db.write(write)
    return Reply(202)


def restore(request: Request) -> Reply:
    body = request.body["restore"] or {}
    volume_id, name = body.get("volume_id"), common.clean(body.get("name"))
    if volume_id is None:
        request.require("volume:create")

    def write(tx: Tx, ready: keys.Ready) -> tuple[Backup, Volume]:
        return logic.restore(request.cloud, tx, request.ctx, request.params["backup_id"], volume_id, name, ready)

    try:
        backup, volume = keys.write(request.cloud, request.ctx, write)
    except OverQuota as error:
        # Cinder's answer has not the exception's name here.
        raise OverQuota(error.message, headers=error.headers) from error
    view = {"backup_id": backup.id, "volume_id": volume.id, "volume_name": volume.name}
    return Reply(202, {"restore": view})


def export_record(request: Request) -> Reply:
    found = records.export(request.cloud, request.cloud.db, request.ctx, request.params["backup_id"])
    return Reply(200, {"backup-record": found})


def import_record(request: Request) -> Reply:
    body = request.body["backup-record"]

    def write(tx: Tx, ready: keys.Ready) -> Backup:
        return records.add(request.cloud, tx, request.ctx, body["backup_service"], body["backup_url"], ready)

    return Reply(201, {"backup": _summary(request, keys.write(request.cloud, request.ctx, write))})


def _wanted(request: Request) -> Wanted:
    """What the query narrows the list to."""
    said = request.query.get("all_tenants", "0")
    if request.version >= common.GENERAL_FILTERS and not request.ctx.is_admin:
        said = "0"  # a filter of administrators, which is overlooked in what others ask
    try:
        everywhere = common.truth(said, "all_tenants") and request.ctx.is_admin
    except Invalid as error:
        raise Invalid(f"all_tenants must be a boolean, got '{said}'.") from error
    keys = SORT_KEYS if request.version >= SORT_BY_NAME else [key for key in SORT_KEYS if key != "name"]
    page = common.page_of(request, keys)
    asked = common.filters(request, _FILTERS, _ADMIN_FILTERS, resource="backup")
    exact: dict[str, Any] = {}
    like: dict[str, str] = {}
    metadata: dict[str, str] = {}
    for name, value in asked.items():
        column = name.removesuffix("~").removeprefix("display_")
        if column == "metadata":
            metadata = common.table(value, "metadata")
        elif column in _NUMBERS:
            exact[column] = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else -1
        elif name.endswith("~"):
            like[column] = value
        else:
            exact[column] = value
    return Wanted(
        limit=page.limit,
        offset=page.offset,
        marker=page.marker,
        sort=page.sort,
        everywhere=everywhere,
        exact=exact,
        like=like,
        metadata=metadata,
    )


def _summary(request: Request, one: Backup) -> dict[str, Any]:
    return {"id": one.id, "name": one.name, "links": links(request, "backups", one.id)}


def _details(request: Request, rows: list[Backup]) -> list[dict[str, Any]]:
    dependent = logic.children(request.cloud.db, [one.id for one in rows])
    attributes = request.version >= PROJECT and request.allows("backup:backup_project_attribute")
    return [_detail(request, one, one.id in dependent, attributes) for one in rows]


def _detail(request: Request, one: Backup, has_dependent: bool, attributes: bool) -> dict[str, Any]:
    """A backup in full; `attributes` says whether the caller may see whose it is."""
    view: dict[str, Any] = {
        "id": one.id,
        "status": one.status,
        "size": one.size,
        "object_count": one.object_count,
        "availability_zone": one.availability_zone,
        "container": one.container,
        "created_at": moment(one.created_at),
        "updated_at": moment(one.updated_at),
        "name": one.name,
        "description": one.description,
        "fail_reason": one.fail_reason,
        "volume_id": one.volume_id,
        "links": links(request, "backups", one.id),
        "is_incremental": one.parent_id is not None,
        "has_dependent_backups": has_dependent,
        "snapshot_id": one.snapshot_id,
        "data_timestamp": moment(one.data_timestamp),
    }
    if request.version >= METADATA:
        view["metadata"] = one.metadata
    if request.version >= KEY and one.encryption_key_id is not None:
        view["encryption_key_id"] = one.encryption_key_id
    if attributes:
        view["os-backup-project-attr:project_id"] = one.project_id
    if attributes and request.version >= USER:
        view["user_id"] = one.user_id
    return view


_ONE = "/backups/{backup_id}"
_ACTION = "volume_extension:backup_admin_actions"
ROUTES = (
    *common.list_routes("/backups", find_all, "backup:get_all"),
    route("POST", "/backups", create, "backup:create", body=_CREATE),
    route("POST", "/backups/import_record", import_record, "backup:backup-import", body=_IMPORT),
    route("GET", _ONE, get, "backup:get", target=target),
    route("PUT", _ONE, update, "backup:update", target=target, body=_UPDATE, since=UPDATE),
    route("DELETE", _ONE, delete, "backup:delete", target=target),
    route("POST", f"{_ONE}/restore", restore, "backup:restore", target=target, body=_RESTORE),
    route("GET", f"{_ONE}/export_record", export_record, "backup:export-import", target=target),
    route(
        "POST", f"{_ONE}/action", reset_status, f"{_ACTION}:reset_status", target=target, body=_RESET,
        action="os-reset_status",
    ),
    route(
        "POST", f"{_ONE}/action", force_delete, f"{_ACTION}:force_delete", target=target,
        body=common.anything("os-force_delete"), action="os-force_delete",
    ),
)  # fmt: skip
