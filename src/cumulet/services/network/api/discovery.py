# SPDX-License-Identifier: Apache-2.0
"""What the service is: versions, extensions, zones, providers, and how full networks are."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import ANYONE, PUBLIC
from cumulet.services.network.logic import addressing, agents, zones
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import addresses, common
from cumulet.services.network.types import Network, Subnet

# Alias and name of each extension whose behaviour is here (neutron_lib's API definitions).
EXTENSIONS = {
    "address-pairs-reject-multicast": "Reject multicast addresses in allowed address pairs",
    "agent": "agent",
    "allowed-address-pairs": "Allowed Address Pairs",
    "availability_zone": "Availability Zone",
    "binding": "Port Binding",
    "default-subnetpools": "Default Subnetpools",
    "empty-string-filtering": "Empty String Filtering Extension",
    "ext-gw-mode": "Neutron L3 Configurable external gateway mode",
    "external-net": "Neutron external network",
    "extra_dhcp_opt": "Neutron Extra DHCP options",
    "extraroute": "Neutron Extra Route",
    "extraroute-atomic": "Atomically add/remove extra routes",
    "filter-validation": "Filter parameters validation",
    "fip-port-details": "Floating IP Port Details Extension",
    "ip-substring-filtering": "IP address substring filtering",
    "net-mtu": "Network MTU",
    "net-mtu-writable": "Network MTU (writable)",
    "network-ip-availability": "Network IP Availability",
    "network_availability_zone": "Network Availability Zone",
    "pagination": "Pagination support",
    "port-mac-address-regenerate": "Neutron Port MAC address regenerate",
    "port-security": "Port Security",
    "project-id": "project_id field enabled",
    "provider": "Provider Network",
    "quota-check-limit": "Quota engine limit check",
    "quota-check-limit-default": "Quota engine limit check by default",
    "quota_details": "Quota details management support",
    "quotas": "Quota management support",
    "revision-if-match": "If-Match constraints based on revision_number",
    "router": "Neutron L3 Router",
    "router_availability_zone": "Router Availability Zone",
    "security-group": "security-group",
    "security-groups-normalized-cidr": "Normalized CIDR field for security group rules",
    "security-groups-rules-belongs-to-default-sg": "Security group rules belong to the default security group",
    "service-type": "Neutron Service Type Management",
    "sort-key-validation": "Sort key validation",
    "sorting": "Sorting support",
    "standard-attr-description": "standard-attr-description",
    "standard-attr-revisions": "Resource revision numbers",
    "standard-attr-tag": "Tag support for resources with standard attribute",
    "standard-attr-timestamp": "Resource timestamps",
    "subnet-service-types": "Subnet service types",
    "subnet_allocation": "Subnet Allocation",
    "subnet_onboard": "Subnet Onboard",
    "subnetpool-prefix-ops": "Subnet Pool Prefix Operations",
    "tag-creation": "Tag creation support",
}
UPDATED = "2026-10-01T00:00:00-00:00"
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


def find_extensions(request: Request) -> Reply:
    return Reply(200, {"extensions": [_extension(alias) for alias in EXTENSIONS]})


def show_extension(request: Request) -> Reply:
    alias = request.params["alias"]
    if alias not in EXTENSIONS:
        raise NotFound(f"Extension with alias {alias} does not exist")
    return Reply(200, {"extension": _extension(alias)})


def _extension(alias: str) -> dict[str, Any]:
    name = EXTENSIONS[alias]
    return {"alias": alias, "name": name, "description": name + ".", "updated": UPDATED, "links": []}


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
    Route("GET", "/extensions", find_extensions, ANYONE),
    Route("GET", "/extensions/{alias}", show_extension, ANYONE),
    Route("GET", "/availability_zones", find_zones, "get_availability_zone"),
    Route("GET", "/service-providers", find_providers, "get_service_provider"),
    Route("GET", "/network-ip-availabilities", find_availabilities, ANYONE),
    Route("GET", "/network-ip-availabilities/{id}", show_availability, "get_network_ip_availability"),
)
