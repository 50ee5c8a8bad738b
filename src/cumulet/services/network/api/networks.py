# SPDX-License-Identifier: Apache-2.0
"""Networks over HTTP."""

from __future__ import annotations

from functools import partial
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid
from cumulet.services.network.api import common, parts
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import ABSENT, Attribute
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource
from cumulet.services.network.logic import address_scopes, segments, sharing, zones
from cumulet.services.network.logic import networks as logic
from cumulet.services.network.logic.segments import PROVIDER, SEGMENTS, Carrier
from cumulet.services.network.store import common as store
from cumulet.services.network.types import ACTIVE, Network, Subnet

_flag = partial(Attribute, post=True, put=True, default=False, convert=check.boolean, enforce=True)


def carriers(value: Any) -> str | None:
    """A list of segments; numbers that are nothing are left out of them, and digits are numbers."""
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        return f"'{value}' is not a list of dictionaries"
    for each in value:
        unknown = [name for name in each if name not in PROVIDER]
        if unknown:
            raise Invalid(f"Unrecognized attribute(s) '{', '.join(unknown)}'")
        for name, most in zip(PROVIDER, (32, 64), strict=False):
            if (reason := check.or_none(check.text(most))(each.get(name))) is not None:
                return reason
        number = each.pop(PROVIDER[2], None)
        if number:
            each[PROVIDER[2]] = check.integer(number)
    return None


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
    SEGMENTS: Attribute(post=True, put=True, default=ABSENT, check=carriers, enforce=True, filters=False),
    "availability_zone_hints": common.ZONE_HINTS,
    "availability_zones": Attribute(filters=False),
    "l2_adjacency": Attribute(filters=False),
    "ipv4_address_scope": Attribute(filters=False),
    "ipv6_address_scope": Attribute(filters=False),
    **common.STANDARD,
    **common.TAGS,
}


def render(source: Source, rows: list[Network]) -> list[Item]:
    subnets: dict[str, list[str]] = {row.id: [] for row in rows}
    found = store.find_all(source, Subnet, network_id=list(subnets))
    routed: dict[str, bool] = {}
    for subnet in found:
        subnets[subnet.network_id].append(subnet.id)
        routed.setdefault(subnet.network_id, subnet.segment_id is not None)
    scopes = address_scopes.of_networks(source, found)
    carriers = segments.carriers(source, rows)
    hosted = zones.of_networks(source, rows, {subnet.network_id for subnet in found if subnet.enable_dhcp})
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
            **_carriers(carriers[row.id]),
            "availability_zone_hints": row.availability_zone_hints,
            "availability_zones": hosted.get(row.id, []),
            "l2_adjacency": not routed.get(row.id, False),
            "ipv4_address_scope": scopes.get((row.id, 4)),
            "ipv6_address_scope": scopes.get((row.id, 6)),
            "tags": row.tags,
            **common.standard(row),
        }
        for row in rows
    ]


def _carriers(found: list[Carrier]) -> Item:
    """One segment is shown as the network's own attributes, several as a list."""
    shown = [dict(zip(PROVIDER, each, strict=True)) for each in found]
    if len(shown) > 1:
        return {SEGMENTS: shown}
    return shown[0] if shown else dict.fromkeys(PROVIDER)


def _create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[Network]:
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
