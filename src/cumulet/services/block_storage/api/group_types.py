# SPDX-License-Identifier: Apache-2.0
"""`/group_types` and their specs"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Invalid, NotFound
from cumulet.kernel.formats import FORMATS, Format
from cumulet.kernel.http import Reply, Request
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.block_storage.api import common
from cumulet.services.block_storage.api.common import route
from cumulet.services.block_storage.logic import group_types as logic
from cumulet.services.block_storage.types.groups import GroupType

GROUP_TYPES = (3, 11)
SORT_KEYS = ("id", "name", "created_at", "updated_at", "is_public", "description")

FORMATS["group_type_name"] = Format(
    lambda text: bool(text.strip()), "An invalid 'name' value was provided. The 'name' can not be empty."
)
_DESCRIPTION = common.DESCRIPTION
_ITEM = {
    "type": "object",
    "patternProperties": {"^[a-zA-Z0-9-_:.]{1,255}$": {"type": ["string", "null"], "maxLength": 255}},
    "additionalProperties": False,
}
_CREATE = common.wrapped(
    "group_type",
    {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 255, "format": "group_type_name"},
            "description": _DESCRIPTION,
            "is_public": common.BOOLEAN,
            "group_specs": common.METADATA_OR_NULL,
        },
        "required": ["name"],
        "additionalProperties": False,
    },
)
_UPDATE = common.wrapped(
    "group_type",
    {
        "type": "object",
        "properties": {"name": common.TEXT_OR_NULL, "description": _DESCRIPTION, "is_public": common.BOOLEAN},
        "additionalProperties": False,
    },
)


def find_all(request: Request) -> Reply:
    page = common.page_of(request, SORT_KEYS)
    rows = logic.find_page(request.cloud.db, request.ctx, page, common.is_public(request))
    shown = [_view(request, one) for one in rows]
    return Reply(200, common.listing(request, "group_types", rows, shown, page, links="group_type_links"))


def get(request: Request) -> Reply:
    return Reply(200, {"group_type": _view(request, _type(request))})


def create(request: Request) -> Reply:
    said = request.body["group_type"]
    is_public = common.truth(said.get("is_public", True), "is_public")
    specs = dict(said.get("group_specs") or {})

    def write(tx: Tx) -> GroupType:
        about = said.get("description")
        return logic.create(request.cloud, tx, request.ctx, said["name"], about, specs, is_public=is_public)

    return Reply(202, {"group_type": _view(request, request.cloud.db.write(write))})


def update(request: Request) -> Reply:
    said = request.body["group_type"]
    changes = {name: said[name] for name in ("name", "description") if said.get(name) is not None}
    if said.get("is_public") is not None:
        changes["is_public"] = common.truth(said["is_public"], "is_public")
    if changes.get("name") and not changes["name"].strip():
        raise Invalid("Group type name can not be empty.")
    if not changes:
        raise Invalid("Specify group type name, description or a combination thereof.")

    def write(tx: Tx) -> GroupType:
        return logic.update(request.cloud, tx, request.ctx, request.params["group_type_id"], changes)

    return Reply(200, {"group_type": _view(request, request.cloud.db.write(write))})


def delete(request: Request) -> Reply:
    request.cloud.db.write(lambda tx: logic.delete(request.cloud, tx, request.ctx, request.params["group_type_id"]))
    return Reply(202)


def find_specs(request: Request) -> Reply:
    return Reply(200, {"group_specs": _known(request).group_specs})


def add_specs(request: Request) -> Reply:
    _put(request, request.body["group_specs"], "create")
    return Reply(202, request.body)


def get_spec(request: Request) -> Reply:
    key, found = request.params["spec"], _known(request)
    if key not in found.group_specs:
        raise NotFound(f"Group Type {found.id} has no extra spec with key {key}.", code="GroupTypeSpecsNotFound")
    return Reply(200, {key: found.group_specs[key]})


def put_spec(request: Request) -> Reply:
    _known(request)
    if request.params["spec"] not in request.body:
        raise Invalid("Request body and URI mismatch")
    _put(request, request.body, "update")
    return Reply(200, request.body)


def delete_spec(request: Request) -> Reply:
    type_id, key = request.params["group_type_id"], request.params["spec"]
    request.cloud.db.write(lambda tx: logic.remove_spec(request.cloud, tx, request.ctx, type_id, key))
    return Reply(202)


def _put(request: Request, specs: dict[str, str | None], verb: str) -> None:
    type_id = request.params["group_type_id"]
    request.cloud.db.write(lambda tx: logic.set_specs(request.cloud, tx, request.ctx, type_id, specs, verb))


def _known(request: Request) -> GroupType:
    return logic.get(request.cloud.db, request.ctx, request.params["group_type_id"])


def _type(request: Request) -> GroupType:
    """The one that the path names, which may be `default`."""
    if request.params["group_type_id"] == "default":
        return logic.default(request.cloud, request.cloud.db)
    return _known(request)


def _view(request: Request, one: GroupType) -> dict[str, Any]:
    view: dict[str, Any] = {
        "id": one.id,
        "name": one.name,
        "description": one.description,
        "is_public": one.is_public,
    }
    if request.allows("group:access_group_types_specs"):
        view["group_specs"] = one.group_specs
    return view


_ONE = "/group_types/{group_type_id}"
_SPECS = f"{_ONE}/group_specs"
_SPEC = f"{_SPECS}/{{spec}}"
_RULE = "group:group_types"
_SPEC_RULE = "group:group_types_specs"
_SINCE: dict[str, Any] = {"since": GROUP_TYPES}
ROUTES = (
    route("GET", "/group_types", find_all, ANYONE, **_SINCE),
    route("POST", "/group_types", create, f"{_RULE}:create", body=_CREATE, **_SINCE),
    route("GET", _ONE, get, ANYONE, **_SINCE),
    route("PUT", _ONE, update, f"{_RULE}:update", body=_UPDATE, **_SINCE),
    route("DELETE", _ONE, delete, f"{_RULE}:delete", **_SINCE),
    route("GET", _SPECS, find_specs, f"{_SPEC_RULE}:get_all", **_SINCE),
    route(
        "POST", _SPECS, add_specs, f"{_SPEC_RULE}:create", body=common.wrapped("group_specs", _ITEM), **_SINCE
    ),
    route("GET", _SPEC, get_spec, f"{_SPEC_RULE}:get", **_SINCE),
    route(
        "PUT", _SPEC, put_spec, f"{_SPEC_RULE}:update",
        body=common.schema({**_ITEM, "minProperties": 1, "maxProperties": 1}), **_SINCE,
    ),
    route("DELETE", _SPEC, delete_spec, f"{_SPEC_RULE}:delete", **_SINCE),
)  # fmt: skip
