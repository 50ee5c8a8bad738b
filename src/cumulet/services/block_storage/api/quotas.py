# SPDX-License-Identifier: Apache-2.0
"""`/os-quota-sets`, `/os-quota-class-sets` and `/limits`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.block_storage.api import common
from cumulet.services.block_storage.api.common import route
from cumulet.services.block_storage.logic import quotas as logic

ADMIN_FILTER = (3, 39)
# Names in a quota set that are no quotas.
_OVERLOOKED = frozenset({"tenant_id", "id"})
_ABSOLUTE = {
    "maxTotalVolumeGigabytes": "gigabytes",
    "maxTotalBackupGigabytes": "backup_gigabytes",
    "maxTotalVolumes": "volumes",
    "maxTotalSnapshots": "snapshots",
    "maxTotalBackups": "backups",
}
_USED = {
    "totalVolumesUsed": "volumes",
    "totalGigabytesUsed": "gigabytes",
    "totalSnapshotsUsed": "snapshots",
    "totalBackupsUsed": "backups",
    "totalBackupGigabytesUsed": "backup_gigabytes",
}
_LIMITS = {"type": "object", "minProperties": 1}  # each value is judged by `_limits`
_CLASS_LIMIT = {
    "type": ["integer", "string"], "pattern": "^[0-9]*$", "minimum": -1, "minLength": 1, "maximum": common.INT_MAX,
}  # fmt: skip
_CLASS_LIMITS = {
    "type": "object",
    "patternProperties": {"^[a-zA-Z0-9-_:. ]{1,300}$": _CLASS_LIMIT},
    "additionalProperties": False,
}


def target(request: Request) -> Mapping[str, Any]:
    """A rule on a quota set is judged on its project."""
    return {"project_id": request.params["owner_id"], "tenant_id": request.params["owner_id"]}


def get(request: Request) -> Reply:
    owner = request.params["owner_id"]
    limits = logic.limits(request.cloud.db, owner)
    if not common.flag(request, "usage"):
        return Reply(200, {"quota_set": {**limits, "id": owner}})
    used = logic.usage(request.cloud.db, owner)
    full = {name: {"limit": limit, "in_use": used[name], "reserved": 0} for name, limit in limits.items()}
    return Reply(200, {"quota_set": {**full, "id": owner}})


def get_defaults(request: Request) -> Reply:
    owner = request.params["owner_id"]
    return Reply(200, {"quota_set": {**logic.defaults(request.cloud.db), "id": owner}})


def update(request: Request) -> Reply:
    owner, said = request.params["owner_id"], _limits(request.body["quota_set"])

    def write(tx: Tx) -> dict[str, int]:
        return logic.set_limits(tx, owner, said)

    return Reply(200, {"quota_set": request.cloud.db.write(write)})


def delete(request: Request) -> Reply:
    request.cloud.db.write(lambda tx: logic.reset(tx, request.params["owner_id"]))
    return Reply(200)


def get_class(request: Request) -> Reply:
    name = request.params["class_name"]
    return Reply(200, {"quota_class_set": {**logic.of_class(request.cloud.db, name), "id": name}})


def update_class(request: Request) -> Reply:
    name, said = request.params["class_name"], _limits(request.body["quota_class_set"])
    now = request.cloud.db.write(lambda tx: logic.set_class(tx, name, said))
    return Reply(200, {"quota_class_set": now})


def limits(request: Request) -> Reply:
    project = request.ctx.project_id or ""
    if request.version >= ADMIN_FILTER and request.ctx.is_admin:
        project = request.query.get("project_id", request.query.get("tenant_id", project))
    allowed = logic.limits(request.cloud.db, project)
    absolute = {shown: allowed[name] for shown, name in _ABSOLUTE.items()}
    if request.allows("limits_extension:used_limits"):
        used = logic.usage(request.cloud.db, project)
        absolute |= {shown: used[name] for shown, name in _USED.items()}
    return Reply(200, {"limits": {"rate": [], "absolute": absolute}})


def _limits(said: Mapping[str, Any]) -> dict[str, int]:
    values = {}
    for name, value in said.items():
        if name in _OVERLOOKED:
            continue
        try:
            number = int(str(value))
        except ValueError as error:
            raise Invalid(f"{name} must be an integer.") from error
        if number < -1:
            raise Invalid(f"{name} must be >= -1")
        if number > common.INT_MAX:
            raise Invalid(f"{name} must be <= {common.INT_MAX}")
        values[name] = number
    return values


_SET = "/os-quota-sets/{owner_id}"
_RULE = "volume_extension:quotas"
_CLASS = "/os-quota-class-sets/{class_name}"
ROUTES = (
    route("GET", _SET, get, f"{_RULE}:show", target=target),
    route("GET", f"{_SET}/defaults", get_defaults, f"{_RULE}:show", target=target),
    route("PUT", _SET, update, f"{_RULE}:update", target=target, body=common.wrapped("quota_set", _LIMITS)),
    route("DELETE", _SET, delete, f"{_RULE}:delete", target=target),
    route("GET", _CLASS, get_class, "volume_extension:quota_classes:get"),
    route(
        "PUT", _CLASS, update_class, "volume_extension:quota_classes:update",
        body=common.wrapped("quota_class_set", _CLASS_LIMITS),
    ),
    route("GET", "/limits", limits, ANYONE),
)  # fmt: skip
