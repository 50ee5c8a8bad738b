# SPDX-License-Identifier: Apache-2.0
"""`/types`, their extra specs and who may use them; `/default-types`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Invalid, NotFound
from cumulet.kernel.http import Reply, Request
from cumulet.services.block_storage.api import common
from cumulet.services.block_storage.api.common import route
from cumulet.services.block_storage.logic import volume_types as logic
from cumulet.services.block_storage.types import DefaultType, VolumeType

DEFAULT_TYPES = (3, 62)
SORT_KEYS = ("id", "name", "created_at", "updated_at", "is_public")
# Extra specs that everybody may see.
VISIBLE = frozenset({"RESKEY:availability_zones", "multiattach", "replication_enabled", "cacheable"})

# Shown by all answers but an update's.
_ACCESS = "os-volume-type-access:is_public"

_SPECS = {
    "type": "object",
    "patternProperties": {"^[a-zA-Z0-9-_:. /]{1,255}$": {"type": ["string", "null"], "maxLength": 255}},
    "additionalProperties": False,
}
_ITEM = {
    "type": "object",
    "patternProperties": {"^[a-zA-Z0-9-_:.]{1,255}$": {"type": ["string", "null"], "minLength": 0, "maxLength": 255}},
    "additionalProperties": False,
}
_ONE_ITEM = {**_ITEM, "minProperties": 1, "maxProperties": 1}
_CREATE = common.wrapped(
    "volume_type",
    {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 255},
            "description": common.DESCRIPTION,
            "extra_specs": _SPECS,
            _ACCESS: common.BOOLEAN,
        },
        "required": ["name"],
        "additionalProperties": False,
    },
)
_UPDATE = common.wrapped(
    "volume_type",
    {
        "type": "object",
        "properties": {
            "name": {"type": ["string", "null"], "minLength": 1, "maxLength": 255},
            "description": common.DESCRIPTION,
            "is_public": common.BOOLEAN,
        },
        "additionalProperties": False,
    },
)
_PROJECT = {
    "type": "object",
    "properties": {"project": {"type": "string", "minLength": 1, "maxLength": 255}},
    "required": ["project"],
    "additionalProperties": False,
}
_DEFAULT = common.wrapped(
    "default_type",
    {
        "type": "object",
        "properties": {"volume_type": {"type": "string", "maxLength": 255}},
        "required": ["volume_type"],
        "additionalProperties": False,
    },
)


def find_all(request: Request) -> Reply:
    page = common.page_of(request, SORT_KEYS)
    try:
        rows = logic.find_page(request.cloud.db, request.ctx, page, common.is_public(request))
    except LookupError as error:
        raise NotFound(f"Volume type {error.args[0]} could not be found.", code="VolumeTypeNotFound") from error
    shown = [view(request, one) for one in rows]
    return Reply(200, common.listing(request, "volume_types", rows, shown, page, links="volume_type_links"))


def get(request: Request) -> Reply:
    return Reply(200, {"volume_type": view(request, _type(request))})


def create(request: Request) -> Reply:
    said = request.body["volume_type"]
    name = said["name"].strip()
    if not name:
        raise Invalid("An invalid 'name' value was provided. The 'name' can not be empty.", code="InvalidName")
    is_public = common.truth(said.get(_ACCESS, True), "is_public")
    specs = {key: value or "" for key, value in said.get("extra_specs", {}).items()}
    made = request.cloud.db.write(
        lambda tx: logic.create(tx, name, said.get("description"), is_public=is_public, extra_specs=specs)
    )
    return Reply(200, {"volume_type": _written(request, made)})


def update(request: Request) -> Reply:
    said = request.body["volume_type"]
    changes = {name: said[name] for name in ("name", "description") if said.get(name) is not None}
    if said.get("is_public") is not None:
        changes["is_public"] = common.truth(said["is_public"], "is_public")
    if not changes:
        raise Invalid("Specify volume type name, description, is_public or a combination thereof.")
    if not changes.get("name", "name").strip():
        raise Invalid("Volume type name can not be empty.")
    now = request.cloud.db.write(lambda tx: logic.update(tx, request.ctx, request.params["type_id"], changes))
    shown = _written(request, now)
    shown.pop(_ACCESS, None)
    return Reply(200, {"volume_type": shown})


def delete(request: Request) -> Reply:
    request.cloud.db.write(lambda tx: logic.delete(tx, request.ctx, request.params["type_id"]))
    return Reply(202)


def add_access(request: Request) -> Reply:
    project = request.body["addProjectAccess"]["project"]
    request.cloud.db.write(lambda tx: logic.grant(tx, request.ctx, request.params["type_id"], project))
    return Reply(202)


def remove_access(request: Request) -> Reply:
    project = request.body["removeProjectAccess"]["project"]
    request.cloud.db.write(lambda tx: logic.revoke(tx, request.ctx, request.params["type_id"], project))
    return Reply(202)


def find_access(request: Request) -> Reply:
    found = logic.access(request.cloud.db, request.ctx, request.params["type_id"])
    rows = [{"volume_type_id": one.volume_type_id, "project_id": one.project_id} for one in found]
    return Reply(200, {"volume_type_access": rows})


def find_specs(request: Request) -> Reply:
    return Reply(200, {"extra_specs": _specs(request, _type(request))})


def add_specs(request: Request) -> Reply:
    _put_specs(request, request.body["extra_specs"])
    return Reply(200, request.body)


def get_spec(request: Request) -> Reply:
    key, specs = request.params["key"], _specs(request, _type(request))
    if key not in specs:
        type_id = request.params["type_id"]
        raise NotFound(f"Volume Type {type_id} has no extra specs with key {key}.", code="VolumeTypeExtraSpecsNotFound")
    return Reply(200, {key: specs[key]})


def put_spec(request: Request) -> Reply:
    if request.params["key"] not in request.body:
        raise Invalid("Request body and URI mismatch")
    _put_specs(request, request.body)
    return Reply(200, request.body)


def delete_spec(request: Request) -> Reply:
    type_id, key = request.params["type_id"], request.params["key"]
    request.cloud.db.write(lambda tx: logic.remove_extra_spec(tx, request.ctx, type_id, key))
    return Reply(202)


def find_defaults(request: Request) -> Reply:
    return Reply(200, {"default_types": [_default_view(one) for one in logic.defaults(request.cloud.db)]})


def get_default(request: Request) -> Reply:
    found = logic.get_default(request.cloud.db, request.params["owner_id"])
    return Reply(200, {"default_type": _default_view(found)})


def put_default(request: Request) -> Reply:
    name = request.body["default_type"]["volume_type"]

    def write(tx: Tx) -> DefaultType:
        return logic.set_default(request.cloud, tx, request.ctx, request.params["owner_id"], name)

    return Reply(200, {"default_type": _default_view(request.cloud.db.write(write))})


def delete_default(request: Request) -> Reply:
    request.cloud.db.write(lambda tx: logic.unset_default(tx, request.params["owner_id"]))
    return Reply(204)


def view(request: Request, one: VolumeType) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": one.id,
        "name": one.name,
        "is_public": one.is_public,
        "description": one.description,
    }
    if request.allows("volume_extension:access_types_extra_specs"):
        shown["extra_specs"] = _specs(request, one)
    if request.allows("volume_extension:access_types_qos_specs_id"):
        shown["qos_specs_id"] = one.qos_specs_id
    if request.allows("volume_extension:volume_type_access"):
        shown[_ACCESS] = one.is_public
    return shown


def _written(request: Request, one: VolumeType) -> dict[str, Any]:
    """What the answer to a write shows: not what quality of service the type has."""
    return {name: value for name, value in view(request, one).items() if name != "qos_specs_id"}


def _default_view(one: DefaultType) -> dict[str, str]:
    return {"project_id": one.project_id, "volume_type_id": one.volume_type_id}


def _type(request: Request) -> VolumeType:
    return logic.get(request.cloud.db, request.ctx, request.params["type_id"])


def _specs(request: Request, one: VolumeType) -> dict[str, str]:
    if request.allows("volume_extension:types_extra_specs:read_sensitive"):
        return one.extra_specs
    return {key: value for key, value in one.extra_specs.items() if key in VISIBLE}


def _put_specs(request: Request, specs: dict[str, str | None]) -> None:
    request.cloud.db.write(lambda tx: logic.set_extra_specs(tx, request.ctx, request.params["type_id"], specs))


_ONE = "/types/{type_id}"
_SPEC = "/types/{type_id}/extra_specs"
_RULE = "volume_extension"
ROUTES = (
    route("GET", "/types", find_all, f"{_RULE}:type_get_all"),
    route("POST", "/types", create, f"{_RULE}:type_create", body=_CREATE),
    route("GET", _ONE, get, f"{_RULE}:type_get"),
    route("PUT", _ONE, update, f"{_RULE}:type_update", body=_UPDATE),
    route("DELETE", _ONE, delete, f"{_RULE}:type_delete"),
    route(
        "POST", f"{_ONE}/action", add_access, f"{_RULE}:volume_type_access:addProjectAccess",
        body=common.wrapped("addProjectAccess", _PROJECT), action="addProjectAccess",
    ),
    route(
        "POST", f"{_ONE}/action", remove_access, f"{_RULE}:volume_type_access:removeProjectAccess",
        body=common.wrapped("removeProjectAccess", _PROJECT), action="removeProjectAccess",
    ),
    route("GET", f"{_ONE}/os-volume-type-access", find_access, f"{_RULE}:volume_type_access:get_all_for_type"),
    route("GET", _SPEC, find_specs, f"{_RULE}:types_extra_specs:index"),
    route("POST", _SPEC, add_specs, f"{_RULE}:types_extra_specs:create", body=common.wrapped("extra_specs", _ITEM)),
    route("GET", f"{_SPEC}/{{key}}", get_spec, f"{_RULE}:types_extra_specs:show"),
    route("PUT", f"{_SPEC}/{{key}}", put_spec, f"{_RULE}:types_extra_specs:update", body=common.schema(_ONE_ITEM)),
    route("DELETE", f"{_SPEC}/{{key}}", delete_spec, f"{_RULE}:types_extra_specs:delete"),
    route("GET", "/default-types", find_defaults, f"{_RULE}:default_get_all", since=DEFAULT_TYPES),
    route("GET", "/default-types/{owner_id}", get_default, f"{_RULE}:default_get", since=DEFAULT_TYPES),
    route(
        "PUT", "/default-types/{owner_id}", put_default, f"{_RULE}:default_set_or_update", body=_DEFAULT,
        since=DEFAULT_TYPES,
    ),
    route("DELETE", "/default-types/{owner_id}", delete_default, f"{_RULE}:default_unset", since=DEFAULT_TYPES),
)  # fmt: skip
