# SPDX-License-Identifier: Apache-2.0
"""`/os-services`: the compute service of each host, the conductor and the scheduler of each replica"""

from __future__ import annotations

from typing import Any

from cumulet.kernel import ids
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.compute.api import common, fields
from cumulet.services.compute.logic import hosts as logic
from cumulet.services.compute.logic import services as control
from cumulet.services.compute.logic.services import ControlService
from cumulet.services.compute.types import ComputeHost

_RULE = "os_compute_api:os-services"
_ONE = "/os-services/{service_id}"
UUIDS = (2, 53)  # services by uuid, one verb for all changes
BINARY = "nova-compute"

_LIST = fields.query(
    {"host": fields.many({"type": "string"}), "binary": fields.many({"type": "string"})}, closed_since=(2, 75)
)
_BINARY: fields.Fields = {"type": "string", "minLength": 1, "maxLength": 255}
_REASON: fields.Fields = {"type": "string", "minLength": 1, "maxLength": 255}
_ACT = Schema(
    {
        "type": "object",
        "properties": {
            "host": fields.HOST_NAME,
            "binary": _BINARY,
            "disabled_reason": _REASON,
            "forced_down": {**fields.BOOLEAN, "since": (2, 11)},
        },
        "required": ["host", "binary"],
        "additionalProperties": False,
    }
)
_UPDATE = Schema(
    {
        "type": "object",
        "properties": {
            "status": {"type": "string", "enum": ["enabled", "disabled"]},
            "disabled_reason": _REASON,
            "forced_down": fields.BOOLEAN,
        },
        "additionalProperties": False,
    }
)


def find_all(request: Request) -> Reply:
    host, binary = request.query.get("host"), request.query.get("binary")
    found = logic.find_all(request.cloud.db)
    zones = logic.zones_of(request.cloud.db, [each.name for each in found])
    views = [view(request, each, zones[each.name]) for each in found]
    views += [_control_view(request, each) for each in control.find_all(request.cloud)]
    shown = [each for each in views if (not host or each["host"] == host) and (not binary or each["binary"] == binary)]
    return Reply(200, {"services": shown})


def act(request: Request) -> Reply:
    """Enable, disable, force down: until 2.52, with the verb in the path and the host in the body."""
    verb, body = request.params["service_id"], request.body
    changes: dict[str, Any]
    shown: dict[str, Any]
    if verb == "enable":
        changes, shown = {"disabled": False, "disabled_reason": None}, {"status": "enabled"}
    elif verb in ("disable", "disable-log-reason"):
        reason = body.get("disabled_reason") if verb == "disable-log-reason" else None
        if verb == "disable-log-reason" and reason is None:
            raise Invalid("Missing disabled reason field")
        changes, shown = {"disabled": True, "disabled_reason": reason}, {"status": "disabled"}
        if reason is not None:
            shown["disabled_reason"] = reason
    elif verb == "force-down" and request.version >= (2, 11):
        if "forced_down" not in body:
            raise Invalid("Missing forced_down field")
        changes = shown = {"forced_down": fields.as_boolean(body["forced_down"])}
    else:
        raise NotFound("Unknown action")
    if body["binary"] != BINARY:
        raise _fixed(body["binary"])
    if body["host"] not in {each.name for each in logic.find_all(request.cloud.db)}:
        raise NotFound(f"Host '{body['host']}' is not mapped to any cell", code="HostMappingNotFound")
    logic.change(request.cloud, body["host"], changes)
    return Reply(200, {"service": {"host": body["host"], "binary": BINARY, **shown}})


def update(request: Request) -> Reply:
    """The same from 2.53 on."""
    key, body = request.params["service_id"], request.body
    if not ids.is_uuid(key):
        raise Invalid(f"Invalid uuid {key}")
    found = _find(request, key)
    if found is None:
        raise NotFound(f"Service {key} could not be found.", code="ServiceNotFound")
    if isinstance(found, ControlService):
        raise _fixed(found.binary)
    changes: dict[str, Any] = {}
    if body.get("status") == "enabled":
        if body.get("disabled_reason"):
            raise Invalid("Specifying 'disabled_reason' with status 'enabled' is invalid.")
        changes = {"disabled": False, "disabled_reason": None}
    elif body.get("status") == "disabled":
        changes = {"disabled": True, "disabled_reason": body.get("disabled_reason")}
    if "forced_down" in body:
        changes["forced_down"] = fields.as_boolean(body["forced_down"])
    if not changes:
        raise Invalid("No updates were requested. Fields 'status' or 'forced_down' should be specified.")
    changed = logic.change(request.cloud, found.name, changes)
    return Reply(200, {"service": view(request, changed, logic.zone_of(request.cloud.db, changed.name))})


def delete(request: Request) -> Reply:
    key = request.params["service_id"]
    if request.version >= UUIDS and not ids.is_uuid(key):
        raise Invalid(f"Invalid uuid {key}")
    if request.version < UUIDS and not key.isdigit():
        raise Invalid("Invalid input received: id must be an integer", code="InvalidInput")
    found = _find(request, key)
    if found is None:
        raise NotFound(f"Service {key} not found.", code="ServiceNotFound")
    if isinstance(found, ControlService):
        raise Conflict(f"A {found.binary} service cannot be deleted: it is there for as long as its replica is.")
    logic.remove(request.cloud, found)
    return Reply(204)


def view(request: Request, host: ComputeHost, zone: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": _id(request, host),
        "binary": BINARY,
        "host": host.name,
        "zone": zone,
        "status": "disabled" if host.disabled else "enabled",
        "state": "up" if logic.is_up(request.cloud, host) else "down",
        "updated_at": common.micro(host.updated_at),
        "disabled_reason": host.disabled_reason,
    }
    if request.version >= (2, 11):
        found["forced_down"] = host.forced_down
    return found


def _control_view(request: Request, part: ControlService) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": _id(request, part),
        "binary": part.binary,
        "host": part.host,
        "zone": control.ZONE,
        "status": "enabled",
        "state": "up" if part.up else "down",
        "updated_at": common.micro(part.heard_at),
        "disabled_reason": None,
    }
    return {**found, "forced_down": False} if request.version >= (2, 11) else found


def _fixed(binary: str) -> Invalid:
    return Invalid(f"Updating a {binary} service is not supported. Only nova-compute services can be updated.")


def _id(request: Request, part: ComputeHost | ControlService) -> str | int:
    return part.service_id if request.version >= UUIDS else part.number


def _find(request: Request, key: str) -> ComputeHost | ControlService | None:
    parts: list[ComputeHost | ControlService] = [*logic.find_all(request.cloud.db), *control.find_all(request.cloud)]
    return next((each for each in parts if str(_id(request, each)) == key), None)


ROUTES = (
    Route("GET", "/os-services", find_all, f"{_RULE}:list", query=_LIST),
    Route("PUT", _ONE, act, f"{_RULE}:update", body=_ACT, until=(2, 52)),
    Route("PUT", _ONE, update, f"{_RULE}:update", body=_UPDATE, since=UUIDS),
    Route("DELETE", _ONE, delete, f"{_RULE}:delete"),
)
