# SPDX-License-Identifier: Apache-2.0
"""What ports show of the trunks whose parents they are."""

from __future__ import annotations

from cumulet.kernel.db import Source
from cumulet.services.network.api.attributes import Attribute
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.parts.base import Part
from cumulet.services.network.store import trunks as store
from cumulet.services.network.types import Port


def _render(source: Source, rows: list[Port]) -> list[Item]:
    """Nothing is asked of the database where no port is in a trunk."""
    inside = [row.id for row in rows if row.trunk_id is not None]
    if not inside:
        return [{} for _ in rows]
    found: dict[str, Item] = {
        port_id: {"trunk_id": trunk_id, "sub_ports": []} for port_id, trunk_id in store.parents(source, inside).items()
    }
    parents = {detail["trunk_id"]: detail for detail in found.values()}
    for each in store.details(source, list(found)):
        parents[each.trunk_id]["sub_ports"].append(
            {
                "segmentation_id": each.segmentation_id,
                "segmentation_type": each.segmentation_type,
                "port_id": each.port_id,
                "mac_address": each.mac_address,
            }
        )
    return [{"trunk_details": found[row.id]} if row.id in found else {} for row in rows]


TRUNK_DETAILS = Part(attributes={"trunk_details": Attribute(filters=False)}, render=_render)
