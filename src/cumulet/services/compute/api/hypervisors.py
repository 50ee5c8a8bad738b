# SPDX-License-Identifier: Apache-2.0
"""`/os-hypervisors`"""

from __future__ import annotations

import json
from typing import Any

from cumulet.kernel import ids
from cumulet.kernel.errors import Invalid, NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.compute.api import common, fields
from cumulet.services.compute.logic import hosts, offers
from cumulet.services.compute.logic import hypervisors as logic
from cumulet.services.compute.types import ComputeHost

_RULE = "os_compute_api:os-hypervisors"
_PATH = "/os-hypervisors"
_ONE = _PATH + "/{hypervisor_id}"
UUIDS, NO_NUMBERS = (2, 53), (2, 88)  # uuids as ids, queries instead of paths; usage is placement's affair
HOST_ADDRESS = "127.0.0.1"  # hosts are joined over a UNIX socket: they are where the control plane is

_SERVERS = {"with_servers": {**fields.single(fields.BOOLEAN), "since": UUIDS}}
_LIST = fields.query(
    {
        "limit": {**fields.single(fields.COUNT), "since": (2, 33)},
        "marker": {**fields.single({"type": "string"}), "since": (2, 33)},
        "hypervisor_hostname_pattern": {**fields.single(fields.HOST_NAME), "since": UUIDS},
        **_SERVERS,
    },
    closed_since=UUIDS,
)
_SHOW = fields.query(_SERVERS, closed_since=UUIDS)


def find_all(request: Request) -> Reply:
    return _listed(request, detailed=False)


def find_all_detailed(request: Request) -> Reply:
    return _listed(request, detailed=True)


def get(request: Request) -> Reply:
    host = _host(request)
    return Reply(200, {"hypervisor": view(request, host, detailed=True, with_servers=_with_servers(request))})


def statistics(request: Request) -> Reply:
    return Reply(200, {"hypervisor_statistics": logic.statistics(request.cloud.db)})


def uptime(request: Request) -> Reply:
    host = _host(request)
    found = logic.uptime(request.cloud, host)
    if found is None:
        raise Invalid(f"Compute service of {host.name} is unavailable at this time.", code="ComputeServiceUnavailable")
    return Reply(200, {"hypervisor": {**view(request, host, detailed=False), "uptime": found}})


def search(request: Request) -> Reply:
    found = logic.matching(request.cloud.db, request.params["hypervisor_id"])
    return Reply(200, {"hypervisors": [view(request, host, detailed=False) for host in found]})


def servers(request: Request) -> Reply:
    found = logic.matching(request.cloud.db, request.params["hypervisor_id"])
    views = [view(request, host, detailed=False, with_servers=True) for host in found]
    return Reply(200, {"hypervisors": views})


def view(request: Request, host: ComputeHost, *, detailed: bool, with_servers: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": _id(request, host),
        "hypervisor_hostname": host.name,
        "state": "up" if hosts.is_up(request.cloud, host) else "down",
        "status": "disabled" if host.disabled else "enabled",
    }
    if detailed:
        found.update(_details(request, host))
    if with_servers:
        here = [{"name": server.name, "uuid": server.id} for server in logic.servers_on(request.cloud.db, host)]
        if here or request.version >= (2, 75):
            found["servers"] = here
    return found


def _details(request: Request, host: ComputeHost) -> dict[str, Any]:
    found: dict[str, Any] = {
        "hypervisor_type": host.capabilities["hypervisor"],
        "hypervisor_version": host.capabilities["version"],
        "host_ip": HOST_ADDRESS,
        "service": {
            "id": host.service_id if request.version >= UUIDS else host.number,
            "host": host.name,
            "disabled_reason": host.disabled_reason,
        },
    }
    if request.version >= NO_NUMBERS:
        return {**found, "uptime": logic.uptime(request.cloud, host)}
    processor = {
        "arch": host.capabilities["architecture"],
        "model": host.capabilities["cpu_model"],
        "vendor": host.capabilities["cpu_vendor"],
        "features": host.capabilities["features"],
        "topology": offers.topology(host.capabilities),
    }
    return {
        **found,
        **logic.numbers(request.cloud.db, host),
        "cpu_info": processor if request.version >= (2, 28) else json.dumps(processor),
    }


def _listed(request: Request, *, detailed: bool) -> Reply:
    query = request.query if request.version >= UUIDS else {}
    part = query.get("hypervisor_hostname_pattern")
    with_servers = _with_servers(request)
    if part is not None:
        if "limit" in query or query.get("marker"):
            raise Invalid(
                "Paging over hypervisors with the hypervisor_hostname_pattern query parameter is not supported."
            )
        found = logic.matching(request.cloud.db, part)
        views = [view(request, host, detailed=detailed, with_servers=with_servers) for host in found]
        return Reply(200, {"hypervisors": views})
    found = hosts.find_all(request.cloud.db)
    limit = 0
    if request.version >= (2, 33):
        limit = common.page_limit(request)
        found = _after_marker(request, found)[:limit]
    body: dict[str, Any] = {
        "hypervisors": [view(request, host, detailed=detailed, with_servers=with_servers) for host in found]
    }
    links = common.next_links(request, found, limit, str(_id(request, found[-1])) if found else "")
    if links:
        body["hypervisors_links"] = links
    return Reply(200, body)


def _after_marker(request: Request, found: list[ComputeHost]) -> list[ComputeHost]:
    marker = request.query.get("marker")
    if marker is None:
        return found
    names = [str(_id(request, host)) for host in found]
    if marker not in names:
        raise Invalid(f"marker [{marker}] not found", code="MarkerNotFound")
    return found[names.index(marker) + 1 :]


def _id(request: Request, host: ComputeHost) -> str | int:
    return host.id if request.version >= UUIDS else host.number


def _with_servers(request: Request) -> bool:
    return request.version >= UUIDS and fields.as_boolean(request.query.get("with_servers", "false"))


def _host(request: Request) -> ComputeHost:
    key = request.params["hypervisor_id"]
    if request.version >= UUIDS and not ids.is_uuid(key):
        raise Invalid(f"Invalid uuid {key}")
    if request.version < UUIDS and not key.isdigit():
        raise NotFound(f"Hypervisor with ID '{key}' could not be found.", code="ComputeHostNotFound")
    return logic.get(request.cloud.db, key, by_number=request.version < UUIDS)


ROUTES = (
    Route("GET", _PATH, find_all, f"{_RULE}:list", query=_LIST),
    Route("GET", f"{_PATH}/detail", find_all_detailed, f"{_RULE}:list-detail", query=_LIST),
    Route("GET", f"{_PATH}/statistics", statistics, f"{_RULE}:statistics", until=(2, 87)),
    Route("GET", _ONE, get, f"{_RULE}:show", query=_SHOW),
    Route("GET", f"{_ONE}/uptime", uptime, f"{_RULE}:uptime", until=(2, 87)),
    Route("GET", f"{_ONE}/search", search, f"{_RULE}:search", until=(2, 52)),
    Route("GET", f"{_ONE}/servers", servers, f"{_RULE}:servers", until=(2, 52)),
)
