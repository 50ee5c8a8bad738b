# SPDX-License-Identifier: Apache-2.0
"""What the service is: versions, extensions, zones, providers, and how full networks are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.errors import NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import ANYONE, PUBLIC
from cumulet.services.network.logic import addressing, agents, zones
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import addresses, common
from cumulet.services.network.types import Network, Subnet

CORE = {"network": "networks", "subnet": "subnets", "port": "ports"}


def versions(request: Request) -> Reply:
    links = [{"rel": "self", "href": f"{request.root_url}/v2.0/"}]
    return Reply(200, {"versions": [{"id": "v2.0", "status": "CURRENT", "links": links}]})


def version(request: Request) -> Reply:
    found = [
        {"name": name, "collection": many, "links": [{"rel": "self", "href": f"{request.root_url}/v2.0/{many}"}]}
        for name, many in CORE.items()
    ]
    return Reply(200, {"resources": found})


class Extensions:
    """The extensions that the service announces."""

    def __init__(self, announced: Mapping[str, tuple[str, str]]) -> None:
        """`announced` maps an alias to the extension's name and date."""
        self._shown = {
            alias: {"alias": alias, "name": name, "description": name + ".", "updated": updated, "links": []}
            for alias, (name, updated) in announced.items()
        }

    def routes(self) -> tuple[Route, ...]:
        """The list and one of it."""
        return (
            Route("GET", "/extensions", self.find_all, ANYONE),
            Route("GET", "/extensions/{alias}", self.show, ANYONE),
        )

    def find_all(self, request: Request) -> Reply:
        return Reply(200, {"extensions": list(self._shown.values())})

    def show(self, request: Request) -> Reply:
        alias = request.params["alias"]
        if alias not in self._shown:
            raise NotFound(f"Extension with alias {alias} does not exist")
        return Reply(200, {"extension": self._shown[alias]})


def find_zones(request: Request) -> Reply:
    alive = any(agents.is_alive(agent) and agent.admin_state_up for agent in agents.hosts(request.cloud.db))
    state = "available" if alive else "unavailable"
    items = [{"name": zones.DEFAULT, "resource": resource, "state": state} for resource in ("network", "router")]
    return Reply(200, {"availability_zones": items})


def find_providers(request: Request) -> Reply:
    provider = {"service_type": "L3_ROUTER_NAT", "name": "single_node", "default": True}
    return Reply(200, {"service_providers": [provider]})


def find_availabilities(request: Request) -> Reply:
    names = ("network_id", "network_name", "project_id")
    wanted = {name: request.query[name] for name in names if name in request.query}
    found = [
        item
        for item in _availabilities(request, None)
        if all(item[k] == v for k, v in wanted.items()) and request.allows("get_network_ip_availability", item)
    ]
    return Reply(200, {"network_ip_availabilities": found})


def show_availability(request: Request) -> Reply:
    found = _availabilities(request, request.params["id"])
    if not found:
        raise fault("NetworkNotFound", id=request.params["id"])
    return Reply(200, {"network_ip_availability": found[0]})


def _availabilities(request: Request, key: str | None) -> list[dict[str, Any]]:
    source = request.cloud.db
    networks = common.find_all(source, Network, **({"id": [key]} if key is not None else {}))
    subnets = common.find_all(source, Subnet, network_id=[network.id for network in networks])
    version_wanted = request.query.get("ip_version")
    if version_wanted is not None:
        subnets = [subnet for subnet in subnets if str(subnet.ip_version) == version_wanted]
    used = addresses.count_by_subnet(source, [subnet.id for subnet in subnets])
    found = []
    for network in networks:
        own = [subnet for subnet in subnets if subnet.network_id == network.id]
        parts = [
            {
                "subnet_id": subnet.id,
                "subnet_name": subnet.name,
                "cidr": subnet.cidr,
                "ip_version": subnet.ip_version,
                "total_ips": addressing.size(subnet.allocation_pools),
                "used_ips": used.get(subnet.id, 0),
            }
            for subnet in own
        ]
        found.append(
            {
                "network_id": network.id,
                "network_name": network.name,
                "project_id": network.project_id,
                "tenant_id": network.project_id,
                "total_ips": sum(addressing.size(subnet.allocation_pools) for subnet in own),
                "used_ips": sum(used.get(subnet.id, 0) for subnet in own),
                "subnet_ip_availability": parts,
            }
        )
    return found


UNVERSIONED = (Route("GET", "/", versions, PUBLIC),)
ROUTES = (
    Route("GET", "/", version, PUBLIC),
    Route("GET", "/availability_zones", find_zones, "get_availability_zone"),
    Route("GET", "/service-providers", find_providers, "get_service_provider"),
    Route("GET", "/network-ip-availabilities", find_availabilities, ANYONE),
    Route("GET", "/network-ip-availabilities/{id}", show_availability, "get_network_ip_availability"),
)
