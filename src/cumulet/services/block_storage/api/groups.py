# SPDX-License-Identifier: Apache-2.0
"""`/groups`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid
from cumulet.kernel.formats import FORMATS, Format
from cumulet.kernel.http import Reply, Request
from cumulet.services.block_storage.api import common
from cumulet.services.block_storage.api.common import route
from cumulet.services.block_storage.api.views import moment
from cumulet.services.block_storage.logic import group_snapshots as snapshot_logic
from cumulet.services.block_storage.logic import group_types, keys
from cumulet.services.block_storage.logic import groups as logic
from cumulet.services.block_storage.types.groups import Group

GROUPS = (3, 13)
SNAPSHOTS = (3, 14)
RESET = (3, 20)
VOLUMES = (3, 25)
REPLICATION = (3, 38)
PROJECT = (3, 58)
SORT_KEYS = (
    "id", "name", "description", "status", "created_at", "updated_at", "availability_zone", "group_type_id", "host",
    "project_id", "user_id",
)  # fmt: skip
FILTERS = ("name",)
ADMIN_FILTERS = (
    "id", "description", "status", "availability_zone", "group_type_id", "host", "group_snapshot_id",
    "source_group_id", "project_id", "user_id",
)  # fmt: skip
STATUSES = ("error", "available", "creating", "deleting", "deleted", "updating", "in-use", "error_deleting")
_MAY_BE_SET = frozenset(STATUSES) - {"in-use"}

FORMATS["group_type"] = Format(lambda text: 0 < len(text.strip()) <= 255)
_WORDS = {"name": common.TEXT_OR_NULL, "description": common.DESCRIPTION}
_CREATE = common.wrapped(
    "group",
    {
        "type": "object",
        "properties": {
            **_WORDS,
            "group_type": {"type": "string", "format": "group_type"},
            "volume_types": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "string", "maxLength": 255},
                "uniqueItems": True,
            },
            "availability_zone": {"type": ["string", "null"]},
        },
        "required": ["group_type", "volume_types"],
        "additionalProperties": False,
    },
)
_FROM = common.wrapped(
    "create-from-src",
    {
        "type": "object",
        "properties": {**_WORDS, "source_group_id": common.UUID, "group_snapshot_id": common.UUID},
        "oneOf": [{"required": ["group_snapshot_id"]}, {"required": ["source_group_id"]}],
        "additionalProperties": False,
    },
)
_UPDATE = common.wrapped(
    "group",
    {
        "type": "object",
        "properties": {**_WORDS, "add_volumes": common.DESCRIPTION, "remove_volumes": common.DESCRIPTION},
        "anyOf": [
            {"required": ["name"]},
            {"required": ["description"]},
            {"required": ["add_volumes"]},
            {"required": ["remove_volumes"]},
        ],
        "additionalProperties": False,
    },
)
_DELETE = common.wrapped(
    "delete", {"type": "object", "properties": {"delete-volumes": common.BOOLEAN}, "additionalProperties": False}
)
RESET_STATUS = common.reset_status("reset_status")
_FAILOVER = common.wrapped(
    "failover_replication",
    {
        "type": "object",
        "properties": {"allow_attached_volume": common.BOOLEAN, "secondary_backend_id": common.TEXT_OR_NULL},
        "additionalProperties": False,
    },
)


target = common.target_of(common.found_by(logic.get, "group_id"))


def find_all(request: Request, *, detailed: bool) -> Reply:
    page, everywhere = common.page_of(request, SORT_KEYS), common.everywhere(request)
    wanted = common.filters(request, FILTERS, ADMIN_FILTERS, resource="group")
    db, old = request.cloud.db, group_types.consistent(request.cloud.db)
    without = old.id if old is not None else None
    rows = logic.find_page(db, request.ctx, page, wanted, everywhere=everywhere, without_type=without)
    shown = _views(request, rows) if detailed else [_summary(one) for one in rows]
    return Reply(200, common.listing(request, "groups", rows, shown, page, links="group_links"))


def get(request: Request) -> Reply:
    found = logic.get(request.cloud.db, request.ctx, request.params["group_id"])
    _check_kind(request.cloud.db, found.group_type_id)
    return Reply(200, {"group": _views(request, [found])[0]})


def create(request: Request) -> Reply:
    said, ctx = request.body["group"], request.ctx
    zone = _zone(said.get("availability_zone"))

    def write(tx: Tx) -> Group:
        kind = group_types.find(tx, ctx, said["group_type"])
        _check_kind(tx, kind.id)
        name, about = common.clean(said.get("name")), common.clean(said.get("description"))
        return logic.create(request.cloud, tx, ctx, name, about, kind, said["volume_types"], zone)

    return Reply(202, {"group": _summary(request.cloud.db.write(write))})


def create_from(request: Request) -> Reply:
    said, ctx, cloud = request.body["create-from-src"], request.ctx, request.cloud
    name, about = common.clean(said.get("name")), common.clean(said.get("description"))
    snapshot_id, group_id = said.get("group_snapshot_id"), said.get("source_group_id")

    def write(tx: Tx, ready: keys.Ready) -> Group:
        if snapshot_id is not None:
            _check_kind(tx, snapshot_logic.get(tx, ctx, snapshot_id).group_type_id)
            return logic.create_from_snapshot(cloud, tx, ctx, name, about, snapshot_id, ready)
        _check_kind(tx, logic.get(tx, ctx, group_id).group_type_id)
        return logic.create_from_group(cloud, tx, ctx, name, about, group_id, ready)

    return Reply(202, {"group": _summary(keys.write(cloud, ctx, write))})


def update(request: Request) -> Reply:
    said = request.body["group"]
    changes = {name: said[name].strip() for name in ("name", "description") if said.get(name) is not None}
    add, remove = listed(said.get("add_volumes")), listed(said.get("remove_volumes"))
    group_id = request.params["group_id"]

    def write(tx: Tx) -> None:
        _check_kind(tx, logic.get(tx, request.ctx, group_id).group_type_id)
        logic.update(request.cloud, tx, request.ctx, group_id, changes, add, remove)

    request.cloud.db.write(write)
    return Reply(202)


def delete(request: Request) -> Reply:
    volumes_too = common.truth(request.body["delete"].get("delete-volumes", False), "delete-volumes")
    group_id = request.params["group_id"]

    def write(tx: Tx) -> None:
        _check_kind(tx, logic.get(tx, request.ctx, group_id).group_type_id)
        logic.delete(request.cloud, tx, request.ctx, group_id, volumes_too=volumes_too)

    request.cloud.db.write(write)
    return Reply(202)


def reset_status(request: Request) -> Reply:
    status = request.body["reset_status"]["status"]
    if not status.strip():
        raise Invalid("Invalid Group Status: The 'status' can not be empty.", code="InvalidGroupStatus")
    if status.lower() not in _MAY_BE_SET:
        raise Invalid(
            f"Invalid Group Status: Group status: {status} is invalid, valid status are: {STATUSES}.",
            code="InvalidGroupStatus",
        )
    group_id = request.params["group_id"]
    request.cloud.db.write(lambda tx: logic.reset_status(request.cloud, tx, request.ctx, group_id, status.lower()))
    return Reply(202)


def refuse_replication(request: Request) -> Reply:
    logic.refuse_replication(request.cloud.db, request.ctx, request.params["group_id"])
    return Reply(202)


def listed(text: str | None) -> list[str]:
    """Ids with commas between them; each once."""
    return list(dict.fromkeys(text.strip(",").split(","))) if text else []


def _summary(one: Group) -> dict[str, Any]:
    return {"id": one.id, "name": one.name}


def _views(request: Request, rows: list[Group]) -> list[dict[str, Any]]:
    version = request.version
    listing = version >= VOLUMES and common.flag(request, "list_volume")
    members = logic.volumes_of(request.cloud.db, [one.id for one in rows]) if listing else {}
    sees_project = version >= PROJECT and request.allows("group:group_project_attribute")
    views = []
    for one in rows:
        view: dict[str, Any] = {
            "id": one.id,
            "status": one.status,
            "availability_zone": one.availability_zone,
            "created_at": moment(one.created_at),
            "name": one.name,
            "description": one.description,
            "group_type": one.group_type_id,
            "volume_types": one.volume_types,
        }
        if version >= SNAPSHOTS:
            view |= {"group_snapshot_id": one.group_snapshot_id, "source_group_id": one.source_group_id}
        if listing:
            view["volumes"] = members[one.id]
        if version >= REPLICATION:
            view["replication_status"] = "disabled"
        if sees_project:
            view["project_id"] = one.project_id
        views.append(view)
    return views


def _check_kind(source: Source, type_id: str) -> None:
    """Refuse what belongs to the older API of consistency groups."""
    old = group_types.consistent(source)
    if old is not None and type_id == old.id:
        raise Invalid(
            f"Group_type {type_id} is reserved for migrating CGs to groups. Migrated group can only be operated by CG "
            "APIs."
        )


def _zone(said: str | None) -> str | None:
    if said is not None:
        _check_length(said, "availability_zone")
    return said


def _check_length(text: str, name: str) -> None:
    if not text.strip():
        raise Invalid(f"{name} has a minimum character requirement of 1.")
    if len(text.strip()) > 255:
        raise Invalid(f"{name} has {len(text.strip())} characters, more than 255.")


_ONE = "/groups/{group_id}"
_ACTION = f"{_ONE}/action"
_SINCE: dict[str, Any] = {"since": GROUPS}


def _action(name: str, handler: Any, rule: str, body: Any, since: tuple[int, int]) -> Any:
    return route("POST", _ACTION, handler, f"group:{rule}", target=target, body=body, action=name, since=since)


def _no_words(name: str) -> Any:
    return common.wrapped(name, {"type": "object"})


ROUTES = (
    *common.list_routes("/groups", find_all, "group:get_all", **_SINCE),
    route("POST", "/groups", create, "group:create", body=_CREATE, **_SINCE),
    route(
        "POST", "/groups/action", create_from, "group:create", body=_FROM, action="create-from-src", since=SNAPSHOTS
    ),
    route("GET", _ONE, get, "group:get", target=target, **_SINCE),
    route("PUT", _ONE, update, "group:update", target=target, body=_UPDATE, **_SINCE),
    _action("delete", delete, "delete", _DELETE, GROUPS),
    _action("reset_status", reset_status, "reset_status", RESET_STATUS, RESET),
    _action(
        "enable_replication", refuse_replication, "enable_replication", _no_words("enable_replication"), REPLICATION
    ),
    _action(
        "disable_replication", refuse_replication, "disable_replication", _no_words("disable_replication"), REPLICATION
    ),
    _action("failover_replication", refuse_replication, "failover_replication", _FAILOVER, REPLICATION),
    _action(
        "list_replication_targets", refuse_replication, "list_replication_targets",
        _no_words("list_replication_targets"), REPLICATION,
    ),
)  # fmt: skip
