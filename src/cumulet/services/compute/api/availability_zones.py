# SPDX-License-Identifier: Apache-2.0
"""`/os-availability-zone`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.compute.api import common, fields
from cumulet.services.compute.logic import hosts as logic
from cumulet.services.compute.logic import services
from cumulet.services.compute.types import ComputeHost

_RULE = "os_compute_api:os-availability-zone"
_QUERY = fields.query({}, closed_since=(2, 102))


def find_all(request: Request) -> Reply:
    views = [_view(zone, hosts, None) for zone, hosts in logic.zones(request.cloud.db).items()]
    return _listed(views)


def find_all_detailed(request: Request) -> Reply:
    views = [_internal(request)]
    for zone, hosts in logic.zones(request.cloud.db).items():
        enabled = {host.name: {"nova-compute": _service(request, host)} for host in hosts if not host.disabled}
        views.append(_view(zone, hosts, enabled or None))
    return _listed(views)


def _listed(views: list[dict[str, Any]]) -> Reply:
    """Zones that take servers stand before those that do not, each kind by name."""
    views.sort(key=lambda view: (not view["zoneState"]["available"], view["zoneName"]))
    return Reply(200, {"availabilityZoneInfo": views})


def _view(zone: str, hosts: list[ComputeHost], shown: dict[str, Any] | None) -> dict[str, Any]:
    available = any(not host.disabled for host in hosts)
    return {"zoneName": zone, "zoneState": {"available": available}, "hosts": shown}


def _internal(request: Request) -> dict[str, Any]:
    """The zone of what takes no servers."""
    hosts: dict[str, dict[str, Any]] = {}
    for part in services.find_all(request.cloud):
        told = {"active": True, "available": part.up, "updated_at": common.micro(part.heard_at)}
        hosts.setdefault(part.host, {})[part.binary] = told
    return {"zoneName": services.ZONE, "zoneState": {"available": True}, "hosts": hosts}


def _service(request: Request, host: ComputeHost) -> dict[str, Any]:
    return {
        "active": not host.disabled,
        "available": logic.is_up(request.cloud, host),
        "updated_at": common.micro(host.updated_at),
    }


ROUTES = (
    Route("GET", "/os-availability-zone", find_all, f"{_RULE}:list", query=_QUERY),
    Route("GET", "/os-availability-zone/detail", find_all_detailed, f"{_RULE}:detail", query=_QUERY),
)
