# SPDX-License-Identifier: Apache-2.0
"""What routers show of their conntrack helpers."""

from __future__ import annotations

from cumulet.kernel.db import Source
from cumulet.services.network.api.attributes import Attribute
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.parts.base import Part
from cumulet.services.network.store import common as store
from cumulet.services.network.types import Router
from cumulet.services.network.types.conntrack_helpers import ConntrackHelper


def _render(source: Source, rows: list[Router]) -> list[Item]:
    found: dict[str, list[Item]] = {row.id: [] for row in rows}
    for each in store.find_all(source, ConntrackHelper, router_id=list(found)):
        found[each.router_id].append({"protocol": each.protocol, "port": each.port, "helper": each.helper})
    return [{"conntrack_helpers": found[row.id]} for row in rows]


CONNTRACK_HELPERS = Part(attributes={"conntrack_helpers": Attribute(filters=False)}, render=_render)
