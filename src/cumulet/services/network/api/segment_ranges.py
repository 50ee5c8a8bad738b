# SPDX-License-Identifier: Apache-2.0
"""Ranges of segments' numbers over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.api import common
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import ABSENT, Attribute
from cumulet.services.network.api.families import Family
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource
from cumulet.services.network.logic import segment_ranges as logic
from cumulet.services.network.types.segment_ranges import RANGED, SegmentRange

_NUMBER = Attribute(post=True, put=True, convert=check.integer, check=check.at_most(1, (1 << 32) - 1), filters=False)

ATTRIBUTES = {
    "id": common.ID,
    "name": common.NAME,
    "default": Attribute(convert=check.boolean, filters=False),
    "shared": Attribute(post=True, default=True, convert=check.boolean, filters=False),
    "project_id": common.PROJECT,
    "network_type": Attribute(post=True, default=ABSENT, check=check.one_of(RANGED)),
    "physical_network": Attribute(post=True, default=ABSENT, check=check.text(64)),
    "minimum": _NUMBER,
    "maximum": _NUMBER,
    "used": Attribute(filters=False),
    "available": Attribute(filters=False),
    **common.STANDARD,
    **common.TAGS,
}


def render(source: Source, rows: list[SegmentRange]) -> list[Item]:
    return [_shown(source, row) for row in rows]


def _shown(source: Source, row: SegmentRange) -> Item:
    used = logic.used(source, row)
    return {
        "id": row.id,
        "name": row.name,
        "default": row.is_default,
        "shared": row.shared,
        "project_id": row.project_id,
        "network_type": row.network_type,
        "physical_network": row.physical_network,
        "minimum": row.minimum,
        "maximum": row.maximum,
        "used": {str(number): project_id for number, project_id in used.items()},
        "available": logic.available(row, used),
        "tags": row.tags,
        **common.standard(row),
    }


def _create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[SegmentRange]:
    return [logic.create(cloud, tx, ctx, item) for item in items]


def _without_old_name(_cloud: Cloud, item: Item) -> Item:
    """Ranges never had a `tenant_id`."""
    return {name: value for name, value in item.items() if name != "tenant_id"}


@dataclass(frozen=True)
class Underscored(Resource[SegmentRange]):
    """The same under the path that clients ask."""

    @property
    def path(self) -> str:
        return f"/{self.collection}"


_WORDS: dict[str, Any] = {
    "name": "network_segment_range",
    "collection": "network_segment_ranges",
    "kind": SegmentRange,
    "attributes": ATTRIBUTES,
    "render": render,
    "create": _create,
    "update": logic.update,
    "delete": logic.delete,
    "filters": common.TAG_FILTERS,
    "complete": _without_old_name,
}

FAMILY = Family(
    resources=(Resource(**_WORDS), Underscored(**_WORDS)),
    extensions={"network-segment-range": ("Neutron Network Segment Range", "2018-11-29T00:00:00-00:00")},
)
