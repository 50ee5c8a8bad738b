# SPDX-License-Identifier: Apache-2.0
"""Where floating IPs come from, over HTTP: the IPv4 subnets of external networks. Nothing can be added to the list."""

from __future__ import annotations

from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.network.api import listing
from cumulet.services.network.api.attributes import Attribute
from cumulet.services.network.api.families import Family
from cumulet.services.network.api.listing import Item
from cumulet.services.network.logic import access
from cumulet.services.network.store import common as store
from cumulet.services.network.store import visibility
from cumulet.services.network.types import Network, Subnet

COLLECTION = "floatingip_pools"
ATTRIBUTES = {
    "subnet_id": Attribute(filters=False),
    "subnet_name": Attribute(filters=False),
    "network_id": Attribute(filters=False),
    "cidr": Attribute(filters=False),
    "project_id": Attribute(filters=False),
}


def find_all(request: Request) -> Reply:
    """The pools of the external networks that the caller may see, each shown as one of the caller's project."""
    listing.filters_of(request, ATTRIBUTES, {})
    items = [item for item in _pools(request) if request.allows("get_floatingip_pool", item)]
    chosen, links = listing.page(request, listing.ordered(request, items, ATTRIBUTES), COLLECTION)
    fields = listing.chosen_fields(request) or {*ATTRIBUTES, "tenant_id"}
    shown = [{name: value for name, value in item.items() if name in fields and name != "id"} for item in chosen]
    return Reply(200, {COLLECTION: shown, **links})


def _pools(request: Request) -> list[Item]:
    source, project_id = request.cloud.db, request.ctx.project_id
    everything = access.sees_all(request.ctx)
    networks = visibility.find_visible(source, request.ctx, Network, everything, external=[True])
    subnets = store.find_all(source, Subnet, network_id=[network.id for network in networks], ip_version=[4])
    return [
        {
            "id": subnet.id,
            "subnet_id": subnet.id,
            "subnet_name": subnet.name,
            "network_id": subnet.network_id,
            "cidr": subnet.cidr,
            "project_id": project_id,
            "tenant_id": project_id,
        }
        for subnet in subnets
    ]


FAMILY = Family(
    routes=(Route("GET", "/floatingip-pools", find_all, ANYONE),),
    extensions={"floatingip-pools": ("Floating IP Pools Extension", "2018-03-21T10:00:00-00:00")},
)
