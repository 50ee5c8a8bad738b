# SPDX-License-Identifier: Apache-2.0
"""`/snapshots`"""

from __future__ import annotations

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Invalid
from cumulet.kernel.formats import FORMATS, Format
from cumulet.kernel.http import Reply, Request
from cumulet.services.block_storage.api import common, views
from cumulet.services.block_storage.api.common import route
from cumulet.services.block_storage.logic import manageable
from cumulet.services.block_storage.logic import snapshots as logic
from cumulet.services.block_storage.logic.refusals import invalid_input
from cumulet.services.block_storage.types import Snapshot, SnapshotStatus

METADATA_FILTER = (3, 22)
IN_USE = (3, 66)  # from this version on, attached volumes need no force

SORT_KEYS = ("id", "name", "status", "volume_id", "size", "created_at", "updated_at", "project_id", "user_id")
_FILTERS = ("name", "status", "volume_id", "metadata", "availability_zone", "consumes_quota")
_ADMIN_FILTERS = ("id", "project_id", "user_id", "host", "display_name")

_CREATE = common.wrapped(
    "snapshot",
    {
        "type": "object",
        "properties": {
            "name": common.TEXT_OR_NULL,
            "display_name": common.TEXT_OR_NULL,
            "description": common.DESCRIPTION,
            "volume_id": common.UUID_OR_NULL,
            "force": common.BOOLEAN,
            "metadata": common.METADATA_OR_NULL,
        },
        "required": ["volume_id"],
        "additionalProperties": False,
    },
)
_UPDATE = common.wrapped(
    "snapshot",
    {
        "type": "object",
        "properties": {
            **dict.fromkeys(("name", "display_name"), common.TEXT_OR_NULL),
            **dict.fromkeys(("description", "display_description"), common.DESCRIPTION),
        },
        "additionalProperties": False,
        "minProperties": 1,
    },
)
_STATUSES = (
    "error", "available", "creating", "deleting", "deleted", "updating", "error_deleting", "unmanaging", "backing-up",
    "restoring",
)  # fmt: skip
_RESET = common.reset_status("os-reset_status")
_PROGRESS = "progress must be an integer percentage between 0 and 100"


def _is_progress(text: str) -> bool:
    try:
        return not text or (text[-1] == "%" and 0 <= int(text[:-1]) <= 100)
    except ValueError:
        return False


FORMATS["progress"] = Format(_is_progress, invalid_input(_PROGRESS).message)
_REPORT = common.wrapped(
    "os-update_snapshot_status",
    {
        "type": "object",
        "properties": {
            "status": {"type": "string"},
            "progress": {"format": "progress"},
        },
        "required": ["status"],
        "additionalProperties": False,
    },
)


_snapshot = common.found_by(logic.get, "snapshot_id")
target = common.target_of(_snapshot)


def find_all(request: Request, *, detailed: bool) -> Reply:
    page, everywhere = common.page_of(request, SORT_KEYS), common.everywhere(request)
    asked = common.filters(request, _FILTERS, _ADMIN_FILTERS, resource="snapshot")
    text = asked.pop("metadata", None)
    metadata = common.table(text, "metadata") if text and request.version >= METADATA_FILTER else {}
    exact = {name.removeprefix("display_"): value for name, value in asked.items() if not name.endswith("~")}
    if not common.truth(exact.pop("consumes_quota", "true"), "consumes_quota"):
        exact["id"] = ""
    exact.pop("availability_zone", None)
    db, ctx = request.cloud.db, request.ctx
    rows = logic.find_page(db, ctx, page, exact, metadata, everywhere=everywhere)
    if detailed:
        shown = views.extended_snapshots(request, rows)
    else:
        shown = [views.snapshot(request, one, more=False) for one in rows]
    body = common.listing(request, "snapshots", rows, shown, page)
    if common.counted(request):
        body["count"] = logic.count(db, ctx, exact, metadata, everywhere=everywhere)
    return Reply(200, body)


def get(request: Request) -> Reply:
    return Reply(200, {"snapshot": views.extended_snapshots(request, [request.once(_snapshot)])[0]})


def create(request: Request) -> Reply:
    body = request.body["snapshot"]
    force = common.truth(body["force"], "force") if "force" in body else None
    if force is False and request.version >= IN_USE:
        raise Invalid(
            "Since microversion 3.66 the 'force' flag is invalid for this request.  For backward compatability, "
            "however, when the 'force' flag is passed with a value evaluating to True, it is silently ignored."
        )
    name = body["name"] if "name" in body else body.get("display_name")

    def write(tx: Tx) -> Snapshot:
        return logic.create(
            request.cloud, tx, request.ctx, body["volume_id"] or "", common.clean(name),
            common.clean(body.get("description")), body.get("metadata") or {},
            in_use=bool(force) or request.version >= IN_USE,
        )  # fmt: skip

    made = request.cloud.db.write(write)
    return Reply(202, {"snapshot": views.snapshot(request, made)})


def update(request: Request) -> Reply:
    body = request.body["snapshot"]
    changes = {
        name: common.clean(body[said])
        for name in ("name", "description")
        for said in (f"display_{name}", name)
        if said in body
    }
    found = request.cloud.db.write(lambda tx: logic.update(tx, request.ctx, request.params["snapshot_id"], changes))
    return Reply(200, {"snapshot": views.snapshot(request, found)})


def delete(request: Request) -> Reply:
    request.cloud.db.write(lambda tx: logic.delete(request.cloud, tx, request.ctx, request.params["snapshot_id"]))
    return Reply(202)


def force_delete(request: Request) -> Reply:
    request.cloud.db.write(
        lambda tx: logic.delete(request.cloud, tx, request.ctx, request.params["snapshot_id"], force=True)
    )
    return Reply(202)


def unmanage(request: Request) -> Reply:
    snapshot_id = request.params["snapshot_id"]
    request.cloud.db.write(lambda tx: manageable.unmanage_snapshot(request.cloud, tx, request.ctx, snapshot_id))
    return Reply(202)


def reset_status(request: Request) -> Reply:
    status = request.body["os-reset_status"]["status"].lower()
    if not status:
        raise Invalid(f"Snapshot status:  is invalid, valid statuses are: {_STATUSES}.")
    common.check_status("Snapshot", status, _STATUSES, frozenset(SnapshotStatus))
    snapshot_id = request.params["snapshot_id"]
    request.cloud.db.write(lambda tx: logic.reset_status(request.cloud, tx, request.ctx, snapshot_id, status))
    return Reply(202)


def update_status(request: Request) -> Reply:
    said = request.body["os-update_snapshot_status"]
    progress = said.get("progress") or None
    if progress is not None and not isinstance(progress, str):
        raise invalid_input(_PROGRESS)
    percent = int(progress[:-1]) if progress is not None else None
    request.cloud.db.write(
        lambda tx: logic.update_status(tx, request.ctx, request.params["snapshot_id"], said["status"], percent)
    )
    return Reply(202)


_ACTION = "/snapshots/{snapshot_id}/action"
ROUTES = (
    *common.list_routes("/snapshots", find_all, "volume:get_all_snapshots"),
    route("POST", "/snapshots", create, "volume:create_snapshot", body=_CREATE),
    route("GET", "/snapshots/{snapshot_id}", get, "volume:get_snapshot", target=target),
    route("PUT", "/snapshots/{snapshot_id}", update, "volume:update_snapshot", target=target, body=_UPDATE),
    route("DELETE", "/snapshots/{snapshot_id}", delete, "volume:delete_snapshot", target=target),
    route(
        "POST", _ACTION, reset_status, "volume_extension:snapshot_admin_actions:reset_status", target=target,
        body=_RESET, action="os-reset_status",
    ),
    route(
        "POST", _ACTION, force_delete, "volume_extension:snapshot_admin_actions:force_delete", target=target,
        body=common.anything("os-force_delete"), action="os-force_delete",
    ),
    route(
        "POST", _ACTION, unmanage, "snapshot_extension:snapshot_unmanage", target=target,
        body=common.anything("os-unmanage"), action="os-unmanage",
    ),
    route(
        "POST", _ACTION, update_status, "snapshot_extension:snapshot_actions:update_snapshot_status", target=target,
        body=_REPORT, action="os-update_snapshot_status",
    ),
)  # fmt: skip
