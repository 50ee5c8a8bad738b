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

# Alias of each extension whose behaviour is here, with its name and date (as neutron 29 announces them).
EXTENSIONS = {
    "aap-reject-multicast": ("Allowed address pairs reject multicast extension", "2026-04-01T00:00:00-00:00"),
    "agent": ("agent", "2013-02-03T10:00:00-00:00"),
    "allowed-address-pairs": ("Allowed Address Pairs", "2013-07-23T10:00:00-00:00"),
    "availability_zone": ("Availability Zone", "2015-01-01T10:00:00-00:00"),
    "binding": ("Port Binding", "2014-02-03T10:00:00-00:00"),
    "default-subnetpools": ("Default Subnetpools", "2016-02-18T18:00:00-00:00"),
    "empty-string-filtering": ("Empty String Filtering Extension", "2018-05-01T10:00:00-00:00"),
    "ext-gw-mode": ("Neutron L3 Configurable external gateway mode", "2013-03-28T10:00:00-00:00"),
    "external-net": ("Neutron external network", "2013-01-14T10:00:00-00:00"),
    "extra_dhcp_opt": ("Neutron Extra DHCP options", "2013-03-17T12:00:00-00:00"),
    "extraroute": ("Neutron Extra Route", "2013-02-01T10:00:00-00:00"),
    "extraroute-atomic": ("Atomically add/remove extra routes", "2019-07-10T00:00:00+00:00"),
    "filter-validation": ("Filter parameters validation", "2018-07-04T10:00:00-00:00"),
    "fip-port-details": ("Floating IP Port Details Extension", "2018-04-09T10:00:00-00:00"),
    "ip-substring-filtering": ("IP address substring filtering", "2017-11-28T09:00:00-00:00"),
    "net-mtu": ("Network MTU", "2015-03-25T10:00:00-00:00"),
    "net-mtu-writable": ("Network MTU (writable)", "2017-07-12T00:00:00-00:00"),
    "network-ip-availability": ("Network IP Availability", "2015-09-24T00:00:00-00:00"),
    "network_availability_zone": ("Network Availability Zone", "2015-01-01T10:00:00-00:00"),
    "pagination": ("Pagination support", "2016-06-12T00:00:00-00:00"),
    "port-mac-address-regenerate": ("Neutron Port MAC address regenerate", "2018-05-03T10:00:00-00:00"),
    "port-security": ("Port Security", "2012-07-23T10:00:00-00:00"),
    "port-security-groups-filtering": ("Port filtering on security groups", "2018-01-09T09:00:00-00:00"),
    "project-id": ("project_id field enabled", "2016-09-09T09:09:09-09:09"),
    "provider": ("Provider Network", "2012-09-07T10:00:00-00:00"),
    "quota-check-limit": ("Quota engine limit check", "2021-09-08T16:00:00-00:00"),
    "quota-check-limit-default": ("Quota engine limit check by default", "2024-08-21T16:00:00-00:00"),
    "quota_details": ("Quota details management support", "2017-02-10T10:00:00-00:00"),
    "quotas": ("Quota management support", "2012-07-29T10:00:00-00:00"),
    "revision-if-match": ("If-Match constraints based on revision_number", "2016-12-11T00:00:00-00:00"),
    "router": ("Neutron L3 Router", "2012-07-20T10:00:00-00:00"),
    "router_availability_zone": ("Router Availability Zone", "2015-01-01T10:00:00-00:00"),
    "security-group": ("security-group", "2012-10-05T10:00:00-00:00"),
    "security-groups-normalized-cidr": ("Normalized CIDR field for security group rules", "2020-07-28T10:00:00-00:00"),
    "security-groups-rules-belongs-to-default-sg": (
        "Security group rule belongs to the project's default security group",
        "2023-05-23T10:00:00-00:00",
    ),
    "service-type": ("Neutron Service Type Management", "2013-01-20T00:00:00-00:00"),
    "sorting": ("Sorting support", "2016-06-12T00:00:00-00:00"),
    "standard-attr-description": ("standard-attr-description", "2016-02-10T10:00:00-00:00"),
    "standard-attr-revisions": ("Resource revision numbers", "2016-04-11T10:00:00-00:00"),
    "standard-attr-tag": ("Tag support for resources with standard attribute", "2017-01-01T00:00:00-00:00"),
    "standard-attr-timestamp": ("Resource timestamps", "2016-09-12T10:00:00-00:00"),
    "subnet-external-network": ("Subnet belongs to an external network", "2024-02-05T18:00:00-00:00"),
    "subnet-service-types": ("Subnet service types", "2016-03-15T18:00:00-00:00"),
    "subnet_allocation": ("Subnet Allocation", "2015-03-30T10:00:00-00:00"),
    "subnet_onboard": ("Subnet Onboard", "2018-12-18T09:00:00-00:00"),
    "subnetpool-prefix-ops": ("Subnet Pool Prefix Operations", "2019-02-08T10:00:00-00:00"),
    "tag-creation": ("Tag creation extension", "2024-23-07T10:00:00-00:00"),
}
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
    name, updated = EXTENSIONS[alias]
    return {"alias": alias, "name": name, "description": name + ".", "updated": updated, "links": []}


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
