# SPDX-License-Identifier: Apache-2.0
"""All gateways of routers, and what of them leads out."""

from __future__ import annotations

from cumulet.kernel.db import Source
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import Attribute
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.parts.base import Part
from cumulet.services.network.store import addresses
from cumulet.services.network.types import Router


def _render(source: Source, rows: list[Router]) -> list[Item]:
    return [
        {
            "enable_snat": row.enable_snat,
            "enable_default_route_ecmp": row.enable_default_route_ecmp,
            "enable_default_route_bfd": row.enable_default_route_bfd,
        }
        for row in rows
    ]


def _with_gateways(source: Source, rows: list[Router], items: list[Item]) -> list[Item]:
    """The first gateway as it is shown already, without what is the router's; the others' addresses are looked up."""
    more = [each["port_id"] for row in rows for each in row.more_gateways]
    held = addresses.of_ports(source, more) if more else {}
    found = []
    for row, item in zip(rows, items, strict=True):
        info = item["external_gateway_info"]
        ways = [_shown(info["network_id"], info["external_fixed_ips"])] if info is not None else []
        for each in row.more_gateways:
            own = [{"subnet_id": one.subnet_id, "ip_address": one.address} for one in held.get(each["port_id"], [])]
            ways.append(_shown(each["network_id"], own))
        found.append({**item, "external_gateways": ways})
    return found


def _shown(network_id: str, fixed: list[dict[str, str]]) -> Item:
    return {"network_id": network_id, "external_fixed_ips": fixed}


_SWITCH = Attribute(post=True, put=True, default=None, convert=check.boolean_or_none, enforce=True, filters=False)

GATEWAYS = Part(
    attributes={
        "external_gateways": Attribute(filters=False),
        "enable_snat": Attribute(convert=check.boolean, sorts=True),
        "enable_default_route_ecmp": _SWITCH,
        "enable_default_route_bfd": _SWITCH,
    },
    render=_render,
    complete=_with_gateways,
)
