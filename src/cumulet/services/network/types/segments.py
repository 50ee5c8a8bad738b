# SPDX-License-Identifier: Apache-2.0
"""What carries networks, piece by piece."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Segment(msgspec.Struct, frozen=True):
    """A piece of a network, as one kind of network carries it.

    `physical_network` is "" where the kind has none. `segmentation_id` is 0 where the segment has its physical network
    for itself, None where there may be any number of its like (`local`). No two segments have all three of type,
    physical network and number in common. `position` orders a network's segments.
    """

    id: str
    network_id: str
    network_type: str
    physical_network: str
    segmentation_id: int | None
    position: int
    name: str | None
    description: str
    revision_number: int
    created_at: datetime
    updated_at: datetime
