# SPDX-License-Identifier: Apache-2.0
"""`/os-hosts`: hosts by name, until 2.42"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import NotFound, Unsupported
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.compute.logic import hosts as logic
from cumulet.services.compute.logic import hypervisors, services
from cumulet.services.compute.types import ComputeHost

_RULE = "os_compute_api:os-hosts"
_ONE = "/os-hosts/{host_name}"
_UNTIL = (2, 42)
_NOT_DONE = "The requested functionality is not supported."  # as of every hypervisor but some of old
_SWITCH = {
    "type": "string",
    "enum": ["enable", "disable", "Enable", "Disable", "ENABLE", "DISABLE"],
}
_UPDATE = Schema(
    {
        "type": "object",
        "properties": {"status": _SWITCH, "maintenance_mode": _SWITCH},
        "anyOf": [{"required": ["status"]}, {"required": ["maintenance_mode"]}],
        "additionalProperties": False,
    }
)


def find_all(request: Request) -> Reply:
    zone = request.query.get("zone")
    names = [host.name for host in logic.find_all(request.cloud.db) if not host.disabled]
    zones = logic.zones_of(request.cloud.db, names)
    rows = [{"host_name": name, "service": "compute", "zone": zones[name]} for name in names]
    for part in services.find_all(request.cloud):
        rows.append({"host_name": part.host, "service": part.topic, "zone": services.ZONE})
    return Reply(200, {"hosts": [row for row in rows if not zone or row["zone"] == zone]})


def get(request: Request) -> Reply:
    host = _host(request)
    numbers = hypervisors.numbers(request.cloud.db, host)
    rows = [
        _row(host, "(total)", numbers["vcpus"], numbers["memory_mb"], numbers["local_gb"]),
        _row(host, "(used_now)", numbers["vcpus_used"], numbers["memory_mb_used"], numbers["local_gb_used"]),
        *(_row(host, project, *used) for project, used in _by_project(request, host).items()),
    ]
    return Reply(200, {"host": rows})


def update(request: Request) -> Reply:
    name = _host(request).name
    if "maintenance_mode" in request.body:
        raise Unsupported(_NOT_DONE)
    disabled = request.body["status"].lower() == "disable"
    logic.change(request.cloud, name, {"disabled": disabled, "disabled_reason": None})
    return Reply(200, {"host": name, "status": "disabled" if disabled else "enabled"})


def power(request: Request) -> Reply:
    _host(request)
    raise Unsupported(_NOT_DONE)


def _host(request: Request) -> ComputeHost:
    name = request.params["host_name"]
    found = next((each for each in logic.find_all(request.cloud.db) if each.name == name), None)
    if found is None:
        raise NotFound(f"Host '{name}' is not mapped to any cell", code="HostMappingNotFound")
    return found


def _by_project(request: Request, host: ComputeHost) -> dict[str, tuple[int, int, int]]:
    """What the servers on the host were promised: in all, then by project."""
    sums: dict[str, tuple[int, int, int]] = {"(used_max)": (0, 0, 0)}
    for server in hypervisors.servers_on(request.cloud.db, host):
        kind = server.kind
        for key in ("(used_max)", server.project_id):
            vcpus, memory, disk = sums.get(key, (0, 0, 0))
            sums[key] = (vcpus + kind.vcpus, memory + kind.ram, disk + kind.disk + kind.ephemeral)
    return sums


def _row(host: ComputeHost, project: str, vcpus: int, memory: int, disk: int) -> dict[str, Any]:
    found = {"host": host.name, "project": project, "cpu": vcpus, "memory_mb": memory, "disk_gb": disk}
    return {"resource": found}


ROUTES = (
    Route("GET", "/os-hosts", find_all, f"{_RULE}:list", until=_UNTIL),
    Route("GET", _ONE, get, f"{_RULE}:show", until=_UNTIL),
    Route("PUT", _ONE, update, f"{_RULE}:update", body=_UPDATE, until=_UNTIL),
    Route("GET", f"{_ONE}/startup", power, f"{_RULE}:start", until=_UNTIL),
    Route("GET", f"{_ONE}/shutdown", power, f"{_RULE}:shutdown", until=_UNTIL),
    Route("GET", f"{_ONE}/reboot", power, f"{_RULE}:reboot", until=_UNTIL),
)
