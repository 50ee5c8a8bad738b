# SPDX-License-Identifier: Apache-2.0
"""Address scopes."""

from __future__ import annotations

from datetime import datetime

import msgspec


class AddressScope(msgspec.Struct, frozen=True):
    """Where addresses of one IP version are unique: pools do not overlap. `shared` and `granted` are a network's."""

    id: str
    project_id: str
    name: str
    ip_version: int
    shared: bool
    granted: bool
    created_at: datetime
