# SPDX-License-Identifier: Apache-2.0
"""Segments of networks over HTTP."""

from __future__ import annotations

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
from cumulet.services.network.logic import segment_resources as logic
from cumulet.services.network.logic import segments
from cumulet.services.network.types.segments import Segment

ATTRIBUTES = {
    "id": common.ID,
    "project_id": Attribute(post=True, default=ABSENT, check=check.text(255), shown=False, filters=False),
    "network_id": common.NETWORK,
    "physical_network": Attribute(post=True, default=ABSENT, check=check.text(64), sorts=True),
    "network_type": Attribute(post=True, check=check.text(32), sorts=True),
    "segmentation_id": Attribute(post=True, default=ABSENT, convert=check.integer, filters=False, sorts=True),
    "name": Attribute(post=True, put=True, default=None, check=check.or_none(check.name()), sorts=True),
    **common.STANDARD,
}


def render(source: Source, rows: list[Segment]) -> list[Item]:
    return [
        {
            "id": row.id,
            "network_id": row.network_id,
            **dict(zip(("network_type", "physical_network", "segmentation_id"), segments.carrier(row), strict=True)),
            "name": row.name,
            **common.standard(row),
        }
        for row in rows
    ]


def _create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[Segment]:
    return [logic.create(cloud, tx, ctx, item) for item in items]


SEGMENTS = Resource(
    name="segment",
    collection="segments",
    kind=Segment,
    attributes=ATTRIBUTES,
    render=render,
    create=_create,
    update=logic.update,
    delete=logic.delete,
    filters={"changed_since": common.TAG_FILTERS["changed_since"]},
)

FAMILY = Family(
    resources=(SEGMENTS,),
    extensions={
        "ip_allocation": ("IP Allocation", "2016-06-10T23:00:00-00:00"),
        "l2_adjacency": ("L2 Adjacency", "2016-04-12T16:00:00-00:00"),
        "segment": ("Segment", "2016-02-24T17:00:00-00:00"),
        "segments-peer-subnet-host-routes": ("Segments peer-subnet host routes", "2018-06-12T10:00:00-00:00"),
        "standard-attr-segment": ("Standard Attribute Segment Extension", "2018-04-09T10:00:00-00:00"),
        "subnet-segmentid-writable": ("Subnet SegmentID (writable)", "2018-03-12T00:00:00-00:00"),
    },
)
