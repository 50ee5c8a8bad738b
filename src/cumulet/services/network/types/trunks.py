# SPDX-License-Identifier: Apache-2.0
"""The rows of trunks; fields stand in the order of the columns."""

from __future__ import annotations

from datetime import datetime

import msgspec

DEGRADED = "DEGRADED"  # a trunk of whose subports some do not stand
SEGMENTATION_VLAN = "vlan"
SEGMENTATION_INHERIT = "inherit"  # asked for only: the port's network says type and number


class Trunk(msgspec.Struct, frozen=True):
    """A port whose guest reaches further networks by tagged frames; only while `admin_state_up` may it be changed."""

    id: str
    project_id: str
    name: str
    port_id: str
    admin_state_up: bool
    status: str
    description: str
    tags: list[str]
    revision_number: int
    created_at: datetime
    updated_at: datetime


class SubPort(msgspec.Struct, frozen=True):
    """A port that a trunk's guest reaches by frames with this tag; a port is in one trunk at most."""

    port_id: str
    trunk_id: str
    segmentation_type: str
    segmentation_id: int


class SubPortDetail(msgspec.Struct, frozen=True):
    """What a trunk's parent port shows of a subport; no row of its own."""

    port_id: str
    trunk_id: str
    segmentation_type: str
    segmentation_id: int
    mac_address: str
