# SPDX-License-Identifier: Apache-2.0
"""Ranges of segments' numbers, and what of them is used."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, exists, select

from cumulet.kernel.db import Source, sql
from cumulet.services.network.tables import network, segment, segment_range
from cumulet.services.network.types.segment_ranges import SegmentRange

_beside = segment.alias()
_AT_FIRST = exists().where(
    segment.c.network_type == segment_range.c.network_type,
    segment.c.physical_network == segment_range.c.physical_network,
    segment.c.segmentation_id == segment_range.c.minimum,
)
_GAP = (
    select(segment.c.segmentation_id + 1)
    .where(
        segment.c.network_type == segment_range.c.network_type,
        segment.c.physical_network == segment_range.c.physical_network,
        segment.c.segmentation_id >= segment_range.c.minimum,
        segment.c.segmentation_id < segment_range.c.maximum,
        ~exists().where(
            _beside.c.network_type == segment.c.network_type,
            _beside.c.physical_network == segment.c.physical_network,
            _beside.c.segmentation_id == segment.c.segmentation_id + 1,
        ),
    )
    .correlate(segment_range)
    .order_by(segment.c.segmentation_id)
    .limit(1)
    .scalar_subquery()
)
_NAMES = ("project_id", "shared", "physical_network", "minimum", "maximum")
_OFFERS = (
    select(*(segment_range.c[name] for name in _NAMES), _AT_FIRST, _GAP)
    .where(segment_range.c.network_type == bindparam("kind"))
    .order_by(segment_range.c.created_at, segment_range.c.id)
)
_IN_RANGE = (
    segment.c.network_type == bindparam("kind"),
    segment.c.physical_network == bindparam("physical"),
    segment.c.segmentation_id >= bindparam("first"),
    segment.c.segmentation_id <= bindparam("last"),
)
_USED = (
    select(segment.c.segmentation_id, network.c.project_id)
    .join(network, network.c.id == segment.c.network_id)
    .where(*_IN_RANGE)
    .order_by(segment.c.segmentation_id)
)


class Offer(NamedTuple):
    """A range of numbers, and the lowest of them that is free (None: none is)."""

    project_id: str | None
    shared: bool
    physical: str
    first: int
    last: int
    free: int | None


def offers(source: Source, kind: str) -> list[Offer]:
    """All ranges of the type, oldest first."""
    found = sql.tuples(source, _OFFERS, {"kind": kind})
    return [
        Offer(project_id, shared, physical, first, last, gap if taken else first)
        for project_id, shared, physical, first, last, taken, gap in found
    ]


def used(source: Source, kind: str, physical: str, first: int, last: int) -> dict[int, str]:
    """Who owns the network of each number that is used."""
    asked = {"kind": kind, "physical": physical, "first": first, "last": last}
    return dict(sql.tuples(source, _USED, asked))


def defaults(source: Source) -> list[SegmentRange]:
    """Those that follow from the settings."""
    return sql.find_all(source, segment_range, SegmentRange, is_default=True)
