# SPDX-License-Identifier: Apache-2.0
"""Packet logs: their rows, fields in the order of the columns, and what hosts are told of them."""

from __future__ import annotations

from datetime import datetime

import msgspec

SECURITY_GROUP = "security_group"
LOGGABLE = (SECURITY_GROUP,)  # what packets can be logged of
ACCEPT, DROP, ALL = "ACCEPT", "DROP", "ALL"
EVENTS = (ACCEPT, DROP, ALL)


class PacketLog(msgspec.Struct, frozen=True):
    """A wish to have packets written down that a security group lets pass (`resource_id`), that pass a port
    (`target_id`), or, where neither is named, those of all ports of the project, or that are dropped there.
    """

    id: str
    project_id: str
    name: str
    resource_type: str
    resource_id: str | None
    event: str
    target_id: str | None
    enabled: bool
    description: str
    revision_number: int
    created_at: datetime
    updated_at: datetime


class PacketLogState(msgspec.Struct, kw_only=True, frozen=True):
    """A log that is kept of a port; `group` is the only security group whose accepted packets count, "" for any."""

    id: str
    project_id: str
    event: str = ALL
    group: str = ""

    def wants(self, action: str, group: str = "") -> bool:
        """Whether a packet that was dropped, or accepted by `group`, is written down."""
        return self.event in (action, ALL) and (action == DROP or self.group in ("", group))
