# SPDX-License-Identifier: Apache-2.0
"""Subnets over HTTP."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.api import common, parts
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import ABSENT, Attribute
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource
from cumulet.services.network.logic import subnets as logic
from cumulet.services.network.store import common as store
from cumulet.services.network.types import Network, Subnet

_MODES = ("dhcpv6-stateful", "dhcpv6-stateless", "slaac", None)

ATTRIBUTES = {
    "id": common.ID,
    "name": common.NAME,
    "project_id": common.PROJECT,
    "network_id": common.NETWORK,
    "ip_version": Attribute(post=True, convert=check.integer, check=check.one_of((4, 6)), sorts=True),
    "cidr": Attribute(
        post=True, default=ABSENT, convert=check.cidr_of_subnet, check=check.or_none(check.subnet), sorts=True
    ),
    "gateway_ip": Attribute(
        post=True,
        put=True,
        default=ABSENT,
        convert=check.cidr_form,
        check=check.or_none(check.address),
        sorts=True,
    ),
    "enable_dhcp": Attribute(post=True, put=True, default=True, convert=check.boolean, sorts=True),
    "allocation_pools": Attribute(
        post=True, put=True, default=ABSENT, convert=check.pools_form, check=check.pools, filters=False
    ),
    "dns_nameservers": Attribute(
        post=True, put=True, default=ABSENT, convert=check.none_to_list, check=check.name_servers, filters=False
    ),
    "host_routes": Attribute(
        post=True, put=True, default=ABSENT, convert=check.none_to_list, check=check.host_routes, filters=False
    ),
    "ipv6_ra_mode": Attribute(post=True, default=ABSENT, check=check.one_of(_MODES), sorts=True),
    "ipv6_address_mode": Attribute(post=True, default=ABSENT, check=check.one_of(_MODES), sorts=True),
    "subnetpool_id": Attribute(post=True, default=ABSENT, check=check.or_none(check.uuid), sorts=True),
    "use_default_subnetpool": Attribute(post=True, default=False, convert=check.boolean, shown=False, filters=False),
    "prefixlen": Attribute(
        post=True, default=ABSENT, convert=check.integer, check=check.non_negative, shown=False, filters=False
    ),
    "service_types": Attribute(post=True, put=True, default=ABSENT, check=check.string_list(255), filters=False),
    "segment_id": Attribute(post=True, put=True, default=None, check=check.or_none(check.uuid), sorts=True),
    **common.STANDARD,
    **common.TAGS,
    "shared": Attribute(convert=check.boolean, shown=False),
    "router:external": Attribute(convert=check.boolean),
}


def render(source: Source, rows: list[Subnet]) -> list[Item]:
    networks = store.by_id(source, Network, {row.network_id for row in rows})
    return [
        {
            "id": row.id,
            "name": row.name,
            "project_id": row.project_id,
            "network_id": row.network_id,
            "ip_version": row.ip_version,
            "cidr": row.cidr,
            "gateway_ip": row.gateway_ip,
            "enable_dhcp": row.enable_dhcp,
            "allocation_pools": row.allocation_pools,
            "dns_nameservers": row.dns_nameservers,
            "host_routes": row.host_routes,
            "ipv6_ra_mode": row.ipv6_ra_mode,
            "ipv6_address_mode": row.ipv6_address_mode,
            "subnetpool_id": row.subnetpool_id,
            "service_types": row.service_types,
            "segment_id": row.segment_id,
            "tags": row.tags,
            **common.standard(row),
            **common.network_words(networks, row.network_id),
        }
        for row in rows
    ]


def _create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[Subnet]:
    return [logic.create(cloud, tx, ctx, item) for item in items]


SUBNETS = Resource(
    name="subnet",
    collection="subnets",
    kind=Subnet,
    parts=parts.of(Subnet),
    attributes=ATTRIBUTES,
    render=render,
    create=_create,
    update=logic.update,
    delete=logic.delete,
    extend=common.with_network,
    filters=common.TAG_FILTERS,
)
