# SPDX-License-Identifier: Apache-2.0
"""Ranges of numbers that networks get without asking for one."""

from __future__ import annotations

from datetime import datetime

import msgspec

RANGED = ("vlan", "vxlan", "gre", "geneve")  # the types of networks whose numbers come in ranges


class SegmentRange(msgspec.Struct, frozen=True):
    """Numbers from `minimum` to `maximum`, for one project, or for whom else there is no range (`shared`).

    `physical_network` is "" where the type has none. Those that are `is_default` follow from the settings.
    """

    id: str
    project_id: str | None
    name: str
    is_default: bool
    shared: bool
    network_type: str
    physical_network: str
    minimum: int
    maximum: int
    description: str
    tags: list[str]
    revision_number: int
    created_at: datetime
    updated_at: datetime
