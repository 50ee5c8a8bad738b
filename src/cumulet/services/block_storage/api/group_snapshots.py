# SPDX-License-Identifier: Apache-2.0
"""`/group_snapshots`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request
from cumulet.services.block_storage.api import common
from cumulet.services.block_storage.api.common import route
from cumulet.services.block_storage.api.groups import PROJECT, RESET_STATUS, SNAPSHOTS
from cumulet.services.block_storage.api.views import moment
from cumulet.services.block_storage.logic import group_snapshots as logic
from cumulet.services.block_storage.logic import group_types, groups
from cumulet.services.block_storage.types import Page
from cumulet.services.block_storage.types.groups import GroupSnapshot

RESET = (3, 19)
PAGES = (3, 29)
SORT_KEYS = (
    "id", "name", "description", "status", "created_at", "updated_at", "group_id", "group_type_id", "project_id",
    "user_id",
)  # fmt: skip
FILTERS = ("name", "status", "group_id")
ADMIN_FILTERS = ("id", "description", "group_type_id", "project_id", "user_id")
STATUSES = ("error", "available", "creating", "deleting", "deleted", "updating", "error_deleting")

_CREATE = common.wrapped(
    "group_snapshot",
    {
        "type": "object",
        "properties": {"group_id": common.UUID, "name": common.TEXT_OR_NULL, "description": common.DESCRIPTION},
        "required": ["group_id"],
        "additionalProperties": False,
    },
)


target = common.target_of(common.found_by(logic.get, "group_snapshot_id"))


def find_all(request: Request, *, detailed: bool) -> Reply:
    everywhere, wanted, page = common.everywhere(request), {}, Page()
    if request.version >= PAGES:
        page = common.page_of(request, SORT_KEYS)
        wanted = common.filters(request, FILTERS, ADMIN_FILTERS, resource="group_snapshot")
    db, old = request.cloud.db, group_types.consistent(request.cloud.db)
    without = old.id if old is not None else None
    rows = logic.find_page(db, request.ctx, page, wanted, everywhere=everywhere, without_type=without)
    shown = _views(request, rows) if detailed else [{"id": one.id, "name": one.name} for one in rows]
    return Reply(200, common.listing(request, "group_snapshots", rows, shown, page, links="group_snapshot_links"))


def get(request: Request) -> Reply:
    found = logic.get(request.cloud.db, request.ctx, request.params["group_snapshot_id"])
    _check_kind(request.cloud.db, found.group_type_id)
    return Reply(200, {"group_snapshot": _views(request, [found])[0]})


def create(request: Request) -> Reply:
    said = request.body["group_snapshot"]

    def write(tx: Tx) -> GroupSnapshot:
        group = groups.get(tx, request.ctx, said["group_id"])
        _check_kind(tx, group.group_type_id)
        return logic.create(request.cloud, tx, request.ctx, group, said.get("name"), said.get("description"))

    made = request.cloud.db.write(write)
    view = {"id": made.id, "name": made.name, "group_type_id": made.group_type_id}
    return Reply(202, {"group_snapshot": view})


def delete(request: Request) -> Reply:
    key = request.params["group_snapshot_id"]

    def write(tx: Tx) -> None:
        _check_kind(tx, logic.get(tx, request.ctx, key).group_type_id)
        logic.delete(request.cloud, tx, request.ctx, key)

    request.cloud.db.write(write)
    return Reply(202)


def reset_status(request: Request) -> Reply:
    status, name = request.body["reset_status"]["status"], "InvalidGroupSnapshotStatus"
    if not status.strip():
        raise Invalid("Invalid GroupSnapshot Status: The 'status' can not be empty.", code=name)
    if status.lower() not in STATUSES:
        raise Invalid(
            f"Invalid GroupSnapshot Status: Group snapshot status: {status} is invalid, valid statuses are: "
            f"{STATUSES}.",
            code=name,
        )
    key = request.params["group_snapshot_id"]
    request.cloud.db.write(lambda tx: logic.reset_status(request.cloud, tx, request.ctx, key, status.lower()))
    return Reply(202)


def _views(request: Request, rows: list[GroupSnapshot]) -> list[dict[str, Any]]:
    sees_project = request.version >= PROJECT and request.allows("group:group_snapshot_project_attribute")
    views = []
    for one in rows:
        view: dict[str, Any] = {
            "id": one.id,
            "group_id": one.group_id,
            "group_type_id": one.group_type_id,
            "status": one.status,
            "created_at": moment(one.created_at),
            "name": one.name,
            "description": one.description,
        }
        if sees_project:
            view["project_id"] = one.project_id
        views.append(view)
    return views


def _check_kind(source: Source, type_id: str) -> None:
    """Refuse what belongs to the older API of consistency groups."""
    old = group_types.consistent(source)
    if old is not None and type_id == old.id:
        raise Invalid(
            f"Group_type {type_id} is reserved for migrating CGs to groups. Migrated group snapshots can only be "
            "operated by CG snapshot APIs."
        )


_ALL, _ONE = "/group_snapshots", "/group_snapshots/{group_snapshot_id}"
_SINCE: dict[str, Any] = {"since": SNAPSHOTS}
ROUTES = (
    *common.list_routes(_ALL, find_all, "group:get_all_group_snapshots", **_SINCE),
    route("POST", _ALL, create, "group:create_group_snapshot", body=_CREATE, **_SINCE),
    route("GET", _ONE, get, "group:get_group_snapshot", target=target, **_SINCE),
    route("DELETE", _ONE, delete, "group:delete_group_snapshot", target=target, **_SINCE),
    route(
        "POST", f"{_ONE}/action", reset_status, "group:reset_group_snapshot_status", target=target, body=RESET_STATUS,
        action="reset_status", since=RESET,
    ),
)  # fmt: skip
