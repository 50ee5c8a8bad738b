# SPDX-License-Identifier: Apache-2.0
"""Networks over HTTP."""

from __future__ import annotations

from functools import partial
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.api import common, parts
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import ABSENT, Attribute
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource
from cumulet.services.network.logic import address_scopes, sharing, zones
from cumulet.services.network.logic import networks as logic
from cumulet.services.network.store import common as store
from cumulet.services.network.types import ACTIVE, Network, Subnet

_flag = partial(Attribute, post=True, put=True, default=False, convert=check.boolean, enforce=True)

ATTRIBUTES = {
    "id": common.ID,
    "name": common.NAME,
    "project_id": common.PROJECT,
    "admin_state_up": common.ADMIN_STATE,
    "status": common.STATUS,
    "subnets": Attribute(filters=False),
    "shared": _flag(),
    "router:external": _flag(),
    "is_default": _flag(),
    "mtu": Attribute(
        post=True, put=True, default=0, convert=check.integer, check=check.non_negative, enforce=True, sorts=True
    ),
    "port_security_enabled": Attribute(
        post=True, put=True, default=True, convert=check.boolean, enforce=True, filters=False
    ),
    "provider:network_type": Attribute(post=True, put=True, default=ABSENT, check=check.text(32), enforce=True),
    "provider:physical_network": Attribute(post=True, put=True, default=ABSENT, check=check.text(64), enforce=True),
    "provider:segmentation_id": Attribute(post=True, put=True, default=ABSENT, convert=check.integer, enforce=True),
    "availability_zone_hints": common.ZONE_HINTS,
    "availability_zones": Attribute(filters=False),
    "ipv4_address_scope": Attribute(filters=False),
    "ipv6_address_scope": Attribute(filters=False),
    **common.STANDARD,
    **common.TAGS,
}


def render(source: Source, rows: list[Network]) -> list[Item]:
    subnets: dict[str, list[str]] = {row.id: [] for row in rows}
    found = store.find_all(source, Subnet, network_id=list(subnets))
    for subnet in found:
        subnets[subnet.network_id].append(subnet.id)
    scopes = address_scopes.of_networks(source, found)
    return [
        {
            "id": row.id,
            "name": row.name,
            "project_id": row.project_id,
            "admin_state_up": row.admin_state_up,
            "status": ACTIVE,
            "subnets": subnets[row.id],
            **sharing.words(row),
            "router:external": row.external,
            "is_default": row.is_default,
            "mtu": row.mtu,
            "port_security_enabled": row.port_security_enabled,
            "provider:network_type": row.network_type,
            "provider:physical_network": row.physical_network,
            "provider:segmentation_id": row.segmentation_id,
            "availability_zone_hints": row.availability_zone_hints,
            "availability_zones": [zones.DEFAULT] if subnets[row.id] else [],
            "ipv4_address_scope": scopes.get((row.id, 4)),
            "ipv6_address_scope": scopes.get((row.id, 6)),
            "tags": row.tags,
            **common.standard(row),
        }
        for row in rows
    ]


def _create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[Network]:
    for item in items:
        zones.check_hints(item["availability_zone_hints"])
    return [logic.create(cloud, tx, ctx, item) for item in items]


NETWORKS = Resource(
    name="network",
    collection="networks",
    kind=Network,
    parts=parts.of(Network),
    attributes=ATTRIBUTES,
    render=render,
    create=_create,
    update=logic.update,
    delete=logic.delete,
    filters=common.TAG_FILTERS,
)
