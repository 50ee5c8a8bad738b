# SPDX-License-Identifier: Apache-2.0
"""The row of address groups."""

from __future__ import annotations

from datetime import datetime

import msgspec


class AddressGroup(msgspec.Struct, frozen=True):
    """A named list of addresses that security group rules may admit; each is a CIDR without host bits.

    `shared` and `granted` are a network's.
    """

    id: str
    project_id: str
    name: str
    addresses: list[str]
    description: str
    revision_number: int
    created_at: datetime
    updated_at: datetime
    shared: bool = False
    granted: bool = False
