# SPDX-License-Identifier: Apache-2.0
"""The rows of what new security groups are made of."""

from __future__ import annotations

from datetime import datetime

import msgspec

PARENT = "PARENT"  # as a remote group: the group that the rule is made for


class DefaultRule(msgspec.Struct, frozen=True):
    """A rule that new groups get: projects' default groups, the others, or both. Fields as in SecurityGroupRule."""

    id: str
    direction: str
    ethertype: str
    protocol: str | None
    port_range_min: int | None
    port_range_max: int | None
    remote_ip_prefix: str | None
    remote_group_id: str | None
    remote_address_group_id: str | None
    description: str
    used_in_default_sg: bool
    used_in_non_default_sg: bool
    revision_number: int
    created_at: datetime
    updated_at: datetime


class DefaultStatefulness(msgspec.Struct, frozen=True):
    """Whether a project's new groups know connections where nobody says; without a project, everybody's."""

    id: str
    project_id: str | None
    stateful: bool
    revision_number: int
    created_at: datetime
    updated_at: datetime
