# SPDX-License-Identifier: Apache-2.0
"""`/os-quota-sets` and `/os-quota-class-sets`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.compute.api import fields
from cumulet.services.compute.logic import quotas as logic
from cumulet.services.identity.contract import IdentityContract

_SETS, _CLASSES = "os_compute_api:os-quota-sets", "os_compute_api:os-quota-class-sets"
_SET = "/os-quota-sets/{owner_id}"
_CLASS = "/os-quota-class-sets/{name}"
_LIMIT: fields.Fields = {
    "type": ["integer", "string"],
    "pattern": "^-?[0-9]+$",
    "minimum": -1,
    "maximum": 0x7FFFFFFF,
}
FILES = ("injected_files", "injected_file_content_bytes", "injected_file_path_bytes")
NETWORK = ("floating_ips", "fixed_ips", "security_groups", "security_group_rules")
GROUPS = ("server_groups", "server_group_members")
NO_FILES = (2, 57)
# Since when projects and classes show no quotas of network any more; classes began to show those of groups then.
NO_NETWORK, CLASS_CHANGE = (2, 36), (2, 50)


def _schema(key: str, no_network: tuple[int, int], more: fields.Fields) -> Schema:
    limits: fields.Fields = {}
    for name in logic.DEFAULTS:
        until = no_network if name in NETWORK else NO_FILES if name in FILES else None
        limits[name] = _LIMIT if until is None else {**_LIMIT, "until": (until[0], until[1] - 1)}
    inner: fields.Fields = {"type": "object", "properties": {**limits, **more}, "additionalProperties": False}
    return Schema(fields.wrapped(key, inner))


_UPDATE = _schema("quota_set", NO_NETWORK, {"force": fields.BOOLEAN})
_UPDATE_CLASS = _schema("quota_class_set", CLASS_CHANGE, {})
_USER = fields.query({"user_id": fields.many({"type": "string"})}, closed_since=(2, 75))
_NOTHING = fields.query({}, closed_since=(2, 102))


def get(request: Request) -> Reply:
    owner = _project(request)
    limits = logic.in_force(request.cloud, owner, _user(request))
    return Reply(200, {"quota_set": {"id": owner, **_shown(request, limits)}})


def get_detailed(request: Request) -> Reply:
    owner, user = _project(request), _user(request)
    limits, used = logic.in_force(request.cloud, owner, user), logic.in_use(request.cloud, owner, user)
    rows = {name: {"limit": limit, "in_use": used[name], "reserved": 0} for name, limit in limits.items()}
    return Reply(200, {"quota_set": {"id": owner, **_shown(request, rows)}})


def get_defaults(request: Request) -> Reply:
    owner = _project(request)
    return Reply(200, {"quota_set": {"id": owner, **_shown(request, logic.defaults_in_force(request.cloud))}})


def update(request: Request) -> Reply:
    owner, user, body = _project(request), _user(request), request.body["quota_set"]
    changes = {name: int(value) for name, value in body.items() if name != "force"}
    logic.set_limits(request.cloud, owner, user, changes, force=fields.as_boolean(body.get("force", False)))
    return Reply(200, {"quota_set": _shown(request, logic.in_force(request.cloud, owner, user))})


def delete(request: Request) -> Reply:
    logic.clear_limits(request.cloud, request.params["owner_id"], _user(request))
    return Reply(202)


def get_class(request: Request) -> Reply:
    name = request.params["name"]
    limits = logic.defaults_in_force(request.cloud, name)
    return Reply(200, {"quota_class_set": {"id": name, **_shown_of_class(request, limits)}})


def update_class(request: Request) -> Reply:
    name = request.params["name"]
    if len(name) > 255:
        raise Invalid(
            f"Invalid input received: quota_class_name has {len(name)} characters, more than 255.", code="InvalidInput"
        )
    changes = {key: int(value) for key, value in request.body["quota_class_set"].items()}
    logic.set_class_limits(request.cloud, name, changes)
    return Reply(200, {"quota_class_set": _shown_of_class(request, logic.defaults_in_force(request.cloud, name))})


def target(request: Request) -> Mapping[str, Any]:
    """A rule on a quota set is judged on its project."""
    return {"project_id": request.params["owner_id"]}


def _project(request: Request) -> str:
    owner = request.params["owner_id"]
    if request.cloud.contracts.use(IdentityContract).project(request.cloud.db, owner) is None:
        raise Invalid(f"Project ID {owner} is not a valid project.")
    return owner


def _user(request: Request) -> str | None:
    return next((value for name, value in request.query_pairs if name == "user_id" and value), None)


def _shown(request: Request, values: Mapping[str, Any]) -> dict[str, Any]:
    return _without(request, values, NO_NETWORK)


def _shown_of_class(request: Request, values: Mapping[str, Any]) -> dict[str, Any]:
    found = _without(request, values, CLASS_CHANGE)
    hidden = GROUPS if request.version < CLASS_CHANGE else ()
    return {name: value for name, value in found.items() if name not in hidden}


def _without(request: Request, values: Mapping[str, Any], no_network: tuple[int, int]) -> dict[str, Any]:
    hidden = (*(NETWORK if request.version >= no_network else ()), *(FILES if request.version >= NO_FILES else ()))
    return {name: value for name, value in values.items() if name not in hidden}


ROUTES = (
    Route("GET", _SET, get, f"{_SETS}:show", query=_USER, target=target),
    Route("PUT", _SET, update, f"{_SETS}:update", body=_UPDATE, query=_USER, target=target),
    Route("DELETE", _SET, delete, f"{_SETS}:delete", query=_USER, target=target),
    Route("GET", f"{_SET}/detail", get_detailed, f"{_SETS}:detail", query=_USER, target=target),
    Route("GET", f"{_SET}/defaults", get_defaults, f"{_SETS}:defaults", query=_NOTHING, target=target),
    Route("GET", _CLASS, get_class, f"{_CLASSES}:show", query=_NOTHING),
    Route("PUT", _CLASS, update_class, f"{_CLASSES}:update", body=_UPDATE_CLASS),
)
