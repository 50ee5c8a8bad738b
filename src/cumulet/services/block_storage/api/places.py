# SPDX-License-Identifier: Apache-2.0
"""Where volumes are: `/os-hosts`, `/scheduler-stats/get_pools`, `/capabilities`, zones, `/clusters`."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import Invalid, NotFound
from cumulet.kernel.http import Reply, Request
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.block_storage.api import common
from cumulet.services.block_storage.api.common import route
from cumulet.services.block_storage.api.services import CLUSTERS, REPLICATED_CLUSTERS
from cumulet.services.block_storage.api.views import moment
from cumulet.services.block_storage.logic import backends, pools, services, usage, volume_types, zones
from cumulet.services.block_storage.logic.refusals import invalid_input
from cumulet.services.block_storage.logic.scheduler import filters

POOL_FILTER = (3, 28)
POOL_TYPE = (3, 35)
_CLUSTER_FILTERS = frozenset({"name", "binary", "is_up", "disabled", "num_hosts", "num_down_hosts"})
_REPLICATION_FILTERS = frozenset({"replication_status", "frozen", "active_backend_id"})

_NAME = {"type": "string", "minLength": 1, "maxLength": 255, "format": "name"}
_BINARY = {"type": ["string", "null"], "minLength": 0, "maxLength": 255}
_HOST = common.schema(
    {
        "type": "object",
        "properties": {"status": {"type": "string", "enum": ["enable", "disable"]}},
        "additionalProperties": True,
    }
)
_ENABLE = common.schema(
    {
        "type": "object",
        "properties": {"name": _NAME, "binary": _BINARY},
        "required": ["name"],
        "additionalProperties": False,
    }
)
_DISABLE = common.schema(
    {
        "type": "object",
        "properties": {
            "name": _NAME,
            "binary": _BINARY,
            "disabled_reason": {"type": ["string", "null"], "format": "disabled_reason"},
        },
        "required": ["name"],
        "additionalProperties": False,
    }
)


def find_hosts(request: Request) -> Reply:
    """Those that are not disabled."""
    zone = request.query.get("zone")
    rows = [
        {
            "host_name": one.host,
            "service": one.binary,
            "zone": one.zone,
            "service-status": "available" if one.is_up else "unavailable",
            "service-state": "enabled",
            "last-update": moment(one.heard_at),
        }
        for one in services.find(request.cloud)
        if not one.disabled and (not zone or one.zone == zone)
    ]
    return Reply(200, {"hosts": rows})


def get_host(request: Request) -> Reply:
    name = request.params["host"]
    found = services.shown_host(request.cloud.db, name)
    totals, projects = usage.on_backend(request.cloud.db, found.host, found.name)
    rows = [{"resource": {"host": name, **one}} for one in (totals, *projects)]
    return Reply(200, {"host": rows})


def change_host(request: Request) -> Reply:
    """The name and the value may be in any case, though the schema sees to the usual spelling alone."""
    name, status = request.params["host"], ""
    if name not in {one.full_name for one in backends.find_all(request.cloud.db)}:
        raise NotFound(f"Host {name} could not be found.", code="HostNotFound")
    for key, value in request.body.items():
        if key.lower().strip() != "status":
            raise Invalid(f"Invalid update setting: '{key}'")
        status = str(value).lower().strip()
        if status not in ("enable", "disable"):
            raise Invalid(f"Invalid status: '{value}'")
    if not status:
        return Reply(200, {})
    request.cloud.db.write(lambda tx: backends.enable(tx, name, enabled=status == "enable"))
    return Reply(200, {"host": name, "status": f"{status}d"})


def find_pools(request: Request) -> Reply:
    """Back ends that take volumes: others the scheduler does not know."""
    detailed = common.flag(request, "detail")
    asked = _pool_filters(request)
    wanted = {}
    if kind := asked.get("volume_type"):
        wanted = volume_types.find(request.cloud.db, request.ctx, kind).extra_specs
    used, rows = pools.used(request.cloud.db), []
    for one in backends.find_all(request.cloud.db):
        said = pools.capabilities(one, used.get((one.host, one.name), pools.Used()))
        meant = asked.get("name", one.pool) == one.pool and filters.satisfies(said, wanted) and _has(said, asked)
        if meant and not one.disabled and not one.frozen:
            rows.append({"name": one.pool, "capabilities": said} if detailed else {"name": one.pool})
    return Reply(200, {"pools": rows})


def _has(said: dict[str, Any], asked: dict[str, str]) -> bool:
    """Whether the capabilities are those that are asked for; what is not known of a pool is nothing that was asked."""
    others = {key: value for key, value in asked.items() if key not in ("name", "volume_type")}
    return all(key in said and str(said[key]) == value for key, value in others.items())


def _pool_filters(request: Request) -> dict[str, str]:
    asked = {name: value for name, value in request.query.items() if name != "detail"}
    if request.version < POOL_FILTER:
        return {}
    configured = request.cloud.settings.block_storage.resource_filters.get("pool", ())
    known = {"name", *(("volume_type",) if request.version >= POOL_TYPE else ())} & set(configured)
    unknown = [name for name in asked if name not in known]
    if unknown and request.version >= common.GENERAL_FILTERS:
        raise Invalid(f"Invalid filters {','.join(unknown)} are found in query options.")
    return asked


def get_capabilities(request: Request) -> Reply:
    place = request.params["host"]
    found = backends.named(request.cloud.db, place)
    if not found:
        raise NotFound(f"Can't find service: {place}")
    one = found[0]
    said = pools.capabilities(one, pools.Used())
    thin = {"title": "Thin Provisioning", "description": "Sets thin provisioning.", "type": "boolean"}
    limits = {"title": "QoS", "description": "Limits each volume that has no QoS specs.", "type": "boolean"}
    view = {
        "namespace": f"OS::Storage::Capabilities::{one.full_name}",
        "vendor_name": said["vendor_name"],
        "volume_backend_name": one.name,
        "pool_name": None,
        "driver_version": said["driver_version"],
        "storage_protocol": said["storage_protocol"],
        "display_name": None,
        "description": None,
        "visibility": None,
        "replication_targets": [],
        "properties": {
            "thin_provisioning": thin,
            **({"qos": limits} if one.report.get("settings", {}).get("qos") else {}),
        },
    }
    return Reply(200, view)


def find_zones(request: Request) -> Reply:
    found = zones.found(request.cloud.db)
    rows = [{"zoneName": name, "zoneState": {"available": available}} for name, available in found.items()]
    return Reply(200, {"availabilityZoneInfo": rows})


def find_clusters(request: Request) -> Reply:
    """None: a back end is served by one host."""
    known = _CLUSTER_FILTERS | (_REPLICATION_FILTERS if request.version >= REPLICATED_CLUSTERS else frozenset())
    unknown = [name for name in request.query if name not in known]
    if unknown:
        raise invalid_input(f"Invalid filter keys: {', '.join(unknown)}")
    for name in ("disabled", "is_up"):
        common.flag(request, name)
    return Reply(200, {"clusters": []})


def get_cluster(request: Request) -> Reply:
    raise _no_cluster(request.params["cluster_name"], request.query.get("binary", services.VOLUME))


def change_cluster(request: Request) -> Reply:
    raise _no_cluster(request.body["name"], request.body.get("binary", services.VOLUME))


def _no_cluster(name: str, binary: str | None) -> NotFound:
    filters_ = {"binary": binary, "name": name}
    return NotFound(f"Cluster {filters_} could not be found.", code="ClusterNotFound")


_HOSTS = "volume_extension:hosts"
ROUTES = (
    route("GET", "/os-hosts", find_hosts, _HOSTS),
    route("GET", "/os-hosts/{host}", get_host, _HOSTS),
    route("PUT", "/os-hosts/{host}", change_host, _HOSTS, body=_HOST),
    route("GET", "/scheduler-stats/get_pools", find_pools, "scheduler_extension:scheduler_stats:get_pools"),
    route("GET", "/capabilities/{host}", get_capabilities, "volume_extension:capabilities"),
    route("GET", "/os-availability-zone", find_zones, ANYONE),
    route("GET", "/clusters", find_clusters, "clusters:get_all", since=CLUSTERS),
    route("GET", "/clusters/detail", find_clusters, "clusters:get_all", since=CLUSTERS),
    route("GET", "/clusters/{cluster_name}", get_cluster, "clusters:get", since=CLUSTERS),
    route("PUT", "/clusters/enable", change_cluster, "clusters:update", body=_ENABLE, since=CLUSTERS),
    route("PUT", "/clusters/disable", change_cluster, "clusters:update", body=_DISABLE, since=CLUSTERS),
)
