# SPDX-License-Identifier: Apache-2.0
"""What administrators see of the whole: how full networks are, and which availability zones there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cumulet.kernel.db import Source
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.network.api import listing
from cumulet.services.network.api.attributes import Attribute
from cumulet.services.network.api.families import Family
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource
from cumulet.services.network.logic import availability as logic
from cumulet.services.network.logic import zones
from cumulet.services.network.types import Network

_UNFILTERED = Attribute(filters=False)
_ZONE = {"name": Attribute(), "resource": Attribute(), "state": Attribute()}


@dataclass(frozen=True)
class Availability(Resource[Network]):
    """How full networks are; `ip_version` leaves out subnets of other versions, and networks that have no other."""

    def seen(self, request: Request, source: Source, rows: list[Network]) -> list[Item]:
        versions = {value for name, value in request.query_pairs if name == "ip_version" and value}
        return logic.of_networks(source, rows, versions)


def _has_subnets(item: Item, _versions: list[Any]) -> bool:
    return bool(item["subnet_ip_availability"])


AVAILABILITIES = Availability(
    name="network_ip_availability",
    collection="network_ip_availabilities",
    kind=Network,
    attributes={
        "network_id": Attribute(sorts=True),
        "network_name": Attribute(),
        "project_id": Attribute(),
        "total_ips": _UNFILTERED,
        "used_ips": _UNFILTERED,
        "subnet_ip_availability": _UNFILTERED,
        "ip_availability_details": _UNFILTERED,
        "ip_version": Attribute(shown=False),
    },
    render=lambda source, rows: logic.of_networks(source, rows, set()),
    filters={"ip_version": _has_subnets},
)


def find_zones(request: Request) -> Reply:
    """Each zone as often as there are kinds of resources that agents in it host."""
    wanted = listing.filters_of(request, _ZONE, {})
    items: list[Item] = [
        {"name": name, "resource": resource, "state": "available" if able else "unavailable"}
        for resource in zones.KINDS
        for name, able in sorted(zones.known(request.cloud.db, resource).items())
    ]
    fields = listing.chosen_fields(request) or set(_ZONE)
    found = listing.matching(items, wanted, {})
    return Reply(
        200, {"availability_zones": [{name: item[name] for name in _ZONE if name in fields} for item in found]}
    )


FAMILY = Family(
    resources=(AVAILABILITIES,),
    routes=(Route("GET", "/availability_zones", find_zones, "get_availability_zone"),),
    extensions={
        "availability_zone": ("Availability Zone", "2015-01-01T10:00:00-00:00"),
        "availability_zone_filter": ("Availability Zone Filter Extension", "2018-06-22T10:00:00-00:00"),
        "network-ip-availability": ("Network IP Availability", "2015-09-24T00:00:00-00:00"),
        "network-ip-availability-details": ("Network IP Availability Details Extension", "2025-10-31T00:00:00-00:00"),
        "network_availability_zone": ("Network Availability Zone", "2015-01-01T10:00:00-00:00"),
        "router_availability_zone": ("Router Availability Zone", "2015-01-01T10:00:00-00:00"),
    },
)
