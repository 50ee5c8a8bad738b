# SPDX-License-Identifier: Apache-2.0
"""Segments of networks, and ranges of their numbers."""

from __future__ import annotations

from cumulet.services.network import tables
from cumulet.services.network.store.kinds.base import Kind, nobody
from cumulet.services.network.types.segment_ranges import SegmentRange
from cumulet.services.network.types.segments import Segment

KINDS = (
    Kind(Segment, tables.segment, "SegmentNotFound", seen=nobody),
    Kind(SegmentRange, tables.segment_range, "NetworkSegmentRangeNotFound", seen=nobody),
)
