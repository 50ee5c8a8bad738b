# SPDX-License-Identifier: Apache-2.0
"""The parts of the service and what they can do: `/os-services`, `/os-hosts`, `/scheduler-stats`, `/capabilities`,
`/os-availability-zone`.
"""

from __future__ import annotations

from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.errors import Invalid, NotFound, Unsupported
from cumulet.kernel.http import Reply, Request
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.block_storage.api import common
from cumulet.services.block_storage.api.common import route
from cumulet.services.block_storage.api.views import moment
from cumulet.services.block_storage.logic import backends, usage
from cumulet.services.block_storage.logic.refusals import invalid_input
from cumulet.services.block_storage.types import GIB, Backend

CLUSTERS = (3, 7)
BACKEND_STATE = (3, 49)
VOLUME, SCHEDULER = "cinder-volume", "cinder-scheduler"

_STATES = common.schema(
    {
        "type": "object",
        "properties": {
            "host": {"type": "string", "minLength": 1, "maxLength": 255},
            "cluster": {"type": ["string", "null"], "maxLength": 255},
            "service": {"type": "string", "maxLength": 255},
            "binary": {"type": "string", "maxLength": 255},
            "disabled_reason": {"type": "string", "minLength": 1, "maxLength": 255},
        },
        "required": ["host"],
        "additionalProperties": False,
    }
)
_HOST = common.schema(
    {
        "type": "object",
        "properties": {"status": {"type": "string", "enum": ["enable", "disable"]}},
        "additionalProperties": True,
    }
)


def find_services(request: Request) -> Reply:
    rows = [_scheduler(request), *(_service(request, one) for one in backends.find_all(request.cloud.db))]
    host, binary = request.query.get("host"), request.query.get("binary")
    shown = [
        row
        for row in rows
        if (host is None or row["host"] == host or row["host"].partition("@")[0] == host)
        and (binary is None or row["binary"] == binary)
    ]
    return Reply(200, {"services": shown})


def change_service(request: Request) -> Reply:
    action, said = request.params["verb"], request.body
    binary = said.get("binary") or said.get("service") or VOLUME
    host = said["host"].partition("@")[0]
    answer: dict[str, Any] = {"host": said["host"], "service": binary, "binary": binary, "disabled": False}
    if action in ("freeze", "thaw", "failover", "failover_host", "set-log", "get-log"):
        if host not in backends.names(request.cloud.db):
            raise invalid_input(f"Service {binary} could not be found on host {said['host']}.")
        raise Unsupported(f"A service cannot be asked to {action}.")
    if action not in ("enable", "disable", "disable-log-reason"):
        raise NotFound("Unknown action")
    if binary != VOLUME:
        raise NotFound(f"Service {binary} could not be found on host {said['host']}.", code="ServiceNotFound")
    reason = said.get("disabled_reason")
    if action == "disable-log-reason":
        if not reason or not reason.strip():
            raise Invalid("Missing required element 'disabled_reason' in request body.")
        answer["disabled_reason"] = reason
    enabled = action == "enable"
    request.cloud.db.write(lambda tx: backends.enable(tx, host, enabled=enabled, reason=reason))
    answer |= {"disabled": not enabled, "status": "enabled" if enabled else "disabled"}
    return Reply(200, answer)


def find_hosts(request: Request) -> Reply:
    rows = [
        {
            "host_name": full_name(one),
            "service": VOLUME,
            "zone": one.availability_zone,
            "service-status": "available" if backends.is_up(one) else "unavailable",
            "service-state": "disabled" if one.disabled else "enabled",
            "last-update": moment(one.heard_at),
        }
        for one in backends.find_all(request.cloud.db)
    ]
    scheduler = {
        "host_name": request.cloud.settings.host,
        "service": SCHEDULER,
        "zone": backends.ZONE,
        "service-status": "available",
        "service-state": "enabled",
        "last-update": moment(clock.utcnow()),
    }
    service = request.query.get("service")
    return Reply(200, {"hosts": [row for row in (scheduler, *rows) if service in (None, row["service"])]})


def get_host(request: Request) -> Reply:
    found = _host(request)
    totals, projects = usage.on_host(request.cloud.db, found.host)
    rows = [{"resource": {"host": full_name(found), **one}} for one in (totals, *projects)]
    return Reply(200, {"host": rows})


def change_host(request: Request) -> Reply:
    """The name and the value may be in any case, though the schema sees to the usual spelling alone."""
    found, status = _host(request), ""
    for name, value in request.body.items():
        if name.lower().strip() != "status":
            raise Invalid(f"Invalid update setting: '{name}'")
        status = str(value).lower().strip()
        if status not in ("enable", "disable"):
            raise Invalid(f"Invalid status: '{value}'")
    if not status:
        return Reply(200, {})
    request.cloud.db.write(lambda tx: backends.enable(tx, found.host, enabled=status == "enable"))
    return Reply(200, {"host": full_name(found), "status": f"{status}d"})


def find_pools(request: Request) -> Reply:
    detailed = common.truth(request.query.get("detail", "false"), "detail")
    rows = []
    for one in backends.find_all(request.cloud.db):
        pool: dict[str, Any] = {"name": f"{full_name(one)}#{backend_name(one)}"}
        if request.query.get("name", pool["name"]) == pool["name"]:
            rows.append({**pool, "capabilities": _capacity(one)} if detailed else pool)
    return Reply(200, {"pools": rows})


def get_capabilities(request: Request) -> Reply:
    found = _host(request)
    said = found.report["capabilities"]
    view = {
        "namespace": f"OS::Storage::Capabilities::{request.params['host']}",
        "vendor_name": said["vendor"],
        "volume_backend_name": said["name"],
        "pool_name": None,
        "driver_version": said["version"],
        "storage_protocol": said["storage_protocol"],
        "display_name": None,
        "description": None,
        "visibility": None,
        "replication_targets": [],
        "properties": {
            "thin_provisioning": {
                "title": "Thin Provisioning",
                "description": "Sets thin provisioning.",
                "type": "boolean",
            }
        },
    }
    return Reply(200, view)


def find_zones(request: Request) -> Reply:
    found = backends.find_all(request.cloud.db)
    available = any(not one.disabled for one in found)
    zone = {"zoneName": backends.ZONE, "zoneState": {"available": available}}
    return Reply(200, {"availabilityZoneInfo": [zone]})


def backend_name(one: Backend) -> str:
    return str(one.report["capabilities"]["name"])


def full_name(one: Backend) -> str:
    """`host@backend`"""
    return f"{one.host}@{backend_name(one)}"


def _host(request: Request) -> Backend:
    return backends.get(request.cloud.db, request.params["host"].partition("@")[0])


def _service(request: Request, one: Backend) -> dict[str, Any]:
    row: dict[str, Any] = {
        "binary": VOLUME,
        "host": full_name(one),
        "zone": one.availability_zone,
        "status": "disabled" if one.disabled else "enabled",
        "state": "up" if backends.is_up(one) else "down",
        "updated_at": moment(one.heard_at),
        "disabled_reason": one.disabled_reason,
        "replication_status": "disabled",
        "active_backend_id": None,
        "frozen": False,
    }
    if request.version >= CLUSTERS:
        row["cluster"] = None
    if request.version >= BACKEND_STATE:
        row["backend_state"] = "up"
    return row


def _scheduler(request: Request) -> dict[str, Any]:
    row: dict[str, Any] = {
        "binary": SCHEDULER,
        "host": request.cloud.settings.host,
        "zone": backends.ZONE,
        "status": "enabled",
        "state": "up",
        "updated_at": moment(clock.utcnow()),
        "disabled_reason": None,
    }
    if request.version >= CLUSTERS:
        row["cluster"] = None
    return row


def _capacity(one: Backend) -> dict[str, Any]:
    stats, said = backends.stats(one), one.report["capabilities"]
    return {
        "timestamp": moment(one.heard_at),
        "volume_backend_name": said["name"],
        "vendor_name": said["vendor"],
        "driver_version": said["version"],
        "storage_protocol": said["storage_protocol"],
        "total_capacity_gb": round(stats.total / GIB, 2),
        "free_capacity_gb": round(stats.free / GIB, 2),
        "provisioned_capacity_gb": round(stats.provisioned / GIB, 2),
        "allocated_capacity_gb": round(stats.allocated / GIB, 2),
        "reserved_percentage": 0,
        "max_over_subscription_ratio": "20.0",
        "thin_provisioning_support": said["thin_provisioning"],
        "thick_provisioning_support": False,
        "online_extend_support": said["online_extend"],
        "multiattach": said["multiattach"],
        "QoS_support": False,
        "replication_enabled": False,
        "backend_state": "up",
    }


_HOSTS = "volume_extension:hosts"
ROUTES = (
    route("GET", "/os-services", find_services, "volume_extension:services:index"),
    route("PUT", "/os-services/{verb}", change_service, "volume_extension:services:update", body=_STATES),
    route("GET", "/os-hosts", find_hosts, _HOSTS),
    route("GET", "/os-hosts/{host}", get_host, _HOSTS),
    route("PUT", "/os-hosts/{host}", change_host, _HOSTS, body=_HOST),
    route("GET", "/scheduler-stats/get_pools", find_pools, "scheduler_extension:scheduler_stats:get_pools"),
    route("GET", "/capabilities/{host}", get_capabilities, "volume_extension:capabilities"),
    route("GET", "/os-availability-zone", find_zones, ANYONE),
)
