# SPDX-License-Identifier: Apache-2.0
"""What floating IPs show of their port forwardings."""

from __future__ import annotations

from cumulet.kernel.db import Source
from cumulet.services.network.api.attributes import Attribute
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.parts.base import Part
from cumulet.services.network.logic import port_forwardings as logic
from cumulet.services.network.store import common as store
from cumulet.services.network.types import FloatingIp
from cumulet.services.network.types.port_forwardings import PortForwarding


def single_ports(row: PortForwarding) -> Item:
    """The ports, on each side where it is one and not a range."""
    found = {}
    if row.external_low == row.external_high:
        found["external_port"] = row.external_low
    if row.internal_low == row.internal_high:
        found["internal_port"] = row.internal_low
    return found


def _render(source: Source, rows: list[FloatingIp]) -> list[Item]:
    """Nothing is asked of the database where no floating IP forwards ports."""
    found: dict[str, list[Item]] = {row.id: [] for row in rows}
    forwarding = [row.id for row in rows if logic.are_of(row)]
    for each in store.find_all(source, PortForwarding, floatingip_id=forwarding) if forwarding else ():
        found[each.floatingip_id].append(
            {
                "id": each.id,
                "protocol": each.protocol,
                "internal_port_id": each.internal_port_id,
                "internal_ip_address": each.internal_ip_address,
                **single_ports(each),
            }
        )
    return [{"port_forwardings": found[row.id]} for row in rows]


PORT_FORWARDINGS = Part(attributes={"port_forwardings": Attribute(filters=False)}, render=_render)
