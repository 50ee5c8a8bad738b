# SPDX-License-Identifier: Apache-2.0
"""`/consistencygroups` and `/cgsnapshots`: groups and group snapshots as they were before 3.13.

They are groups of one type, which the groups' own API leaves alone; this one shows and takes groups of all types.
"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request
from cumulet.services.block_storage.api import common, group_snapshots, groups
from cumulet.services.block_storage.api.common import route
from cumulet.services.block_storage.api.groups import listed
from cumulet.services.block_storage.api.views import moment
from cumulet.services.block_storage.logic import group_snapshots as snapshot_logic
from cumulet.services.block_storage.logic import group_types, keys
from cumulet.services.block_storage.logic import groups as logic
from cumulet.services.block_storage.types.groups import Group, GroupSnapshot

BLANK = (3, 6)  # from this version on, a name or a description may become empty

_TEXT = {"type": ["string", "null"]}
_WORDS = {"name": common.TEXT_OR_NULL, "description": common.DESCRIPTION}


def _open(name: str, properties: dict[str, Any], *required: str) -> Any:
    inside = {"type": "object", "properties": properties, "required": list(required), "additionalProperties": True}
    return common.open_wrapped(name, inside)


_CREATE = _open("consistencygroup", {**_WORDS, "volume_types": {}, "availability_zone": {}}, "volume_types")
_FROM = _open(
    "consistencygroup-from-src", {**_WORDS, "cgsnapshot_id": {"type": "string"}, "source_cgid": {"type": "string"}}
)
_UPDATE = _open("consistencygroup", {**_WORDS, "add_volumes": _TEXT, "remove_volumes": _TEXT})
_DELETE = common.schema(
    {
        "oneOf": [
            {
                "type": "object",
                "properties": {
                    "consistencygroup": {
                        "type": "object",
                        "properties": {"force": common.BOOLEAN},
                        "additionalProperties": True,
                    }
                },
                "required": ["consistencygroup"],
                "additionalProperties": True,
            },
            {"type": "object", "properties": {}, "additionalProperties": False},
            {"type": "null"},
        ]
    }
)
_CREATE_SNAPSHOT = _open(
    "cgsnapshot",
    {"consistencygroup_id": {"type": "string"}, "name": {"type": "string"}, "description": {"type": "string"}},
    "consistencygroup_id",
)


def find_all(request: Request, *, detailed: bool) -> Reply:
    page, everywhere = common.page_of(request, groups.SORT_KEYS), common.everywhere(request)
    known = (*groups.FILTERS, *groups.ADMIN_FILTERS)
    wanted = {name: value for name, value in request.query.items() if name in known}
    rows = logic.find_page(request.cloud.db, request.ctx, page, wanted, everywhere=everywhere)
    shown = [_view(one) if detailed else {"id": one.id, "name": one.name} for one in rows]
    return Reply(200, common.listing(request, "consistencygroups", rows, shown, page, links="consistencygroup_links"))


def get(request: Request) -> Reply:
    found = logic.get(request.cloud.db, request.ctx, request.params["group_id"])
    return Reply(200, {"consistencygroup": _view(found)})


def create(request: Request) -> Reply:
    said, ctx, cloud = request.body["consistencygroup"], request.ctx, request.cloud
    name, about = common.clean(said.get("name")), common.clean(said.get("description"))
    if not said["volume_types"]:
        raise Invalid(f"volume_types must be provided to create consistency group {name}.")
    if not isinstance(said["volume_types"], str) or not isinstance(said.get("availability_zone"), str | None):
        raise Invalid("volume_types and availability_zone must be texts.")
    types = said["volume_types"].rstrip(",").split(",")

    def write(tx: Tx) -> Group:
        kind = group_types.consistent(tx)
        if kind is None:
            raise Invalid(
                f"Group type {group_types.CONSISTENT} not found. Rerun migration script to create the default "
                "cgsnapshot type."
            )
        return logic.create(cloud, tx, ctx, name, about, kind, types, said.get("availability_zone"))

    return _made(cloud.db.write(write))


def create_from(request: Request) -> Reply:
    said, ctx, cloud = request.body["consistencygroup-from-src"], request.ctx, request.cloud
    name, about = common.clean(said.get("name")), common.clean(said.get("description"))
    snapshot_id, group_id = said.get("cgsnapshot_id"), said.get("source_cgid")
    if not snapshot_id and not group_id:
        raise Invalid(
            f"Either 'cgsnapshot_id' or 'source_cgid' must be provided to create consistency group {name} from source."
        )
    if snapshot_id and group_id:
        raise Invalid(
            f"Cannot provide both 'cgsnapshot_id' and 'source_cgid' to create consistency group {name} from source."
        )

    def write(tx: Tx, ready: keys.Ready) -> Group:
        if snapshot_id:
            return logic.create_from_snapshot(cloud, tx, ctx, name, about, snapshot_id, ready)
        return logic.create_from_group(cloud, tx, ctx, name, about, group_id, ready)

    return _made(keys.write(cloud, ctx, write))


def update(request: Request) -> Reply:
    return _update(request, blank=request.version >= BLANK)


def update_by_verb(request: Request) -> Reply:
    """The older address, whose rules no version has changed."""
    return _update(request, blank=False)


def _update(request: Request, *, blank: bool) -> Reply:
    """`blank` says that a name or a description may be emptied."""
    said = request.body["consistencygroup"]
    changes = {name: said[name].strip() for name in ("name", "description") if said.get(name) is not None}
    add, remove = listed(said.get("add_volumes")), listed(said.get("remove_volumes"))
    if blank and not (changes or add or remove):
        raise Invalid(
            "Must specify one or more of the following keys to update: name, description, add_volumes, remove_volumes."
        )
    if not (any(changes.values()) or add or remove) and not blank:
        raise Invalid("Name, description, add_volumes, and remove_volumes can not be all empty in the request body.")
    group_id = request.params["group_id"]
    request.cloud.db.write(lambda tx: logic.update(request.cloud, tx, request.ctx, group_id, changes, add, remove))
    return Reply(202)


def delete(request: Request) -> Reply:
    said = (request.body or {}).get("consistencygroup", {})
    force, group_id = common.truth(said.get("force", False), "force"), request.params["group_id"]
    request.cloud.db.write(lambda tx: logic.delete(request.cloud, tx, request.ctx, group_id, volumes_too=force))
    return Reply(202)


def find_snapshots(request: Request, *, detailed: bool) -> Reply:
    page = common.page_of(request, group_snapshots.SORT_KEYS)
    rows = snapshot_logic.find_page(request.cloud.db, request.ctx, page, {}, everywhere=False)
    shown = [_snapshot_view(one) if detailed else {"id": one.id, "name": one.name} for one in rows]
    return Reply(200, {"cgsnapshots": shown})


def get_snapshot(request: Request) -> Reply:
    found = snapshot_logic.get(request.cloud.db, request.ctx, request.params["group_snapshot_id"])
    return Reply(200, {"cgsnapshot": _snapshot_view(found)})


def create_snapshot(request: Request) -> Reply:
    said, ctx, cloud = request.body["cgsnapshot"], request.ctx, request.cloud
    name, about = common.clean(said.get("name")), common.clean(said.get("description"))
    for text, limit in ((name, "name"), (about, "description")):
        if text is not None and len(text) > 255:
            raise Invalid(f"{limit} has {len(text)} characters, more than 255.")

    def write(tx: Tx) -> GroupSnapshot:
        group = logic.get(tx, ctx, said["consistencygroup_id"])
        return snapshot_logic.create(cloud, tx, ctx, group, name, about)

    made = cloud.db.write(write)
    return Reply(202, {"cgsnapshot": {"id": made.id, "name": made.name}})


def delete_snapshot(request: Request) -> Reply:
    key = request.params["group_snapshot_id"]
    request.cloud.db.write(lambda tx: snapshot_logic.delete(request.cloud, tx, request.ctx, key))
    return Reply(202)


def _made(group: Group) -> Reply:
    return Reply(202, {"consistencygroup": {"id": group.id, "name": group.name}})


def _view(one: Group) -> dict[str, Any]:
    return {
        "id": one.id,
        "status": one.status,
        "availability_zone": one.availability_zone,
        "created_at": moment(one.created_at),
        "name": one.name,
        "description": one.description,
        "volume_types": one.volume_types,
    }


def _snapshot_view(one: GroupSnapshot) -> dict[str, Any]:
    return {
        "id": one.id,
        "consistencygroup_id": one.group_id,
        "status": one.status,
        "created_at": moment(one.created_at),
        "name": one.name,
        "description": one.description,
    }


_ALL, _ONE = "/consistencygroups", "/consistencygroups/{group_id}"
_SNAPSHOTS, _SNAPSHOT = "/cgsnapshots", "/cgsnapshots/{group_snapshot_id}"
_ABOUT: dict[str, Any] = {"target": groups.target}
_ABOUT_SNAPSHOT: dict[str, Any] = {"target": group_snapshots.target}
ROUTES = (
    *common.list_routes(_ALL, find_all, "group:get_all"),
    route("POST", _ALL, create, "group:create", body=_CREATE),
    route("POST", f"{_ALL}/create_from_src", create_from, "group:create", body=_FROM),
    route("GET", _ONE, get, "group:get", **_ABOUT),
    route("PUT", _ONE, update, "group:update", body=_UPDATE, **_ABOUT),
    route("PUT", f"{_ONE}/update", update_by_verb, "group:update", body=_UPDATE, **_ABOUT),
    route("DELETE", _ONE, delete, "group:delete", **_ABOUT),
    route("POST", f"{_ONE}/delete", delete, "group:delete", body=_DELETE, **_ABOUT),
    *common.list_routes(_SNAPSHOTS, find_snapshots, "group:get_all_group_snapshots"),
    route("POST", _SNAPSHOTS, create_snapshot, "group:create_group_snapshot", body=_CREATE_SNAPSHOT),
    route("GET", _SNAPSHOT, get_snapshot, "group:get_group_snapshot", **_ABOUT_SNAPSHOT),
    route("DELETE", _SNAPSHOT, delete_snapshot, "group:delete_group_snapshot", **_ABOUT_SNAPSHOT),
)
