# SPDX-License-Identifier: Apache-2.0
"""QoS policies and the rules of which they consist."""

from __future__ import annotations

from datetime import datetime

import msgspec

BANDWIDTH_LIMIT = "bandwidth_limit"
DSCP_MARKING = "dscp_marking"
MINIMUM_BANDWIDTH = "minimum_bandwidth"
MINIMUM_PACKET_RATE = "minimum_packet_rate"
PACKET_RATE_LIMIT = "packet_rate_limit"

EGRESS, INGRESS, ANY = "egress", "ingress", "any"  # as the port's owner sees it: egress is what a guest sends
DIRECTIONS = (INGRESS, EGRESS)
DSCP_MARKS = (0, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 44, 46, 48, 56)

PLACED = (MINIMUM_BANDWIDTH, MINIMUM_PACKET_RATE)  # whose amounts placement gives out

# What a rule of each type holds, in the order in which policies list them.
PARAMETERS: dict[str, tuple[str, ...]] = {
    BANDWIDTH_LIMIT: ("max_kbps", "max_burst_kbps", "direction"),
    DSCP_MARKING: ("dscp_mark",),
    MINIMUM_BANDWIDTH: ("min_kbps", "direction"),
    MINIMUM_PACKET_RATE: ("min_kpps", "direction"),
    PACKET_RATE_LIMIT: ("max_kpps", "max_burst_kpps", "direction"),
}


class QosPolicy(msgspec.Struct, frozen=True):
    """A policy; at most one of a project is its default, which its new networks get. `shared` and `granted` are a
    network's.
    """

    id: str
    project_id: str
    name: str
    shared: bool
    granted: bool
    is_default: bool
    description: str
    tags: list[str]
    revision_number: int
    created_at: datetime
    updated_at: datetime


class QosRule(msgspec.Struct, frozen=True):
    """A rule of a policy: the fields that PARAMETERS names for its type, None in the others.

    Rates are kilobits or kilopackets per second, bursts kilobits or kilopackets.
    """

    id: str
    qos_policy_id: str
    type: str
    direction: str | None
    max_kbps: int | None
    max_burst_kbps: int | None
    min_kbps: int | None
    max_kpps: int | None
    max_burst_kpps: int | None
    min_kpps: int | None
    dscp_mark: int | None
    revision_number: int
    created_at: datetime
    updated_at: datetime
