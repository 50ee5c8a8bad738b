# SPDX-License-Identifier: Apache-2.0
"""The rows of metering; fields stand in the order of the columns."""

from __future__ import annotations

from datetime import datetime

import msgspec

INGRESS, EGRESS = "ingress", "egress"
DIRECTIONS = (INGRESS, EGRESS)
PREFIXES = ("remote_ip_prefix", "source_ip_prefix", "destination_ip_prefix")


class MeteringLabel(msgspec.Struct, frozen=True):
    """What is counted together: at the routers of its project, or, where it is `shared`, at all."""

    id: str
    project_id: str
    name: str
    shared: bool
    description: str
    revision_number: int
    created_at: datetime
    updated_at: datetime


class MeteringLabelRule(msgspec.Struct, frozen=True):
    """Packets that a label counts, or, where they are `excluded`, does not; prefixes are None for any address.

    `remote_ip_prefix` stands alone. It is Neutron's word for the addresses behind the router.
    """

    id: str
    metering_label_id: str
    direction: str
    excluded: bool
    remote_ip_prefix: str | None
    source_ip_prefix: str | None
    destination_ip_prefix: str | None
    revision_number: int
    created_at: datetime
    updated_at: datetime


class MeterReport(msgspec.Struct, frozen=True):
    """The last report of a host that was taken, so that none is taken twice."""

    host: str
    batch: str
