# SPDX-License-Identifier: Apache-2.0
"""The rows of NDP proxies; fields stand in the order of the columns."""

from __future__ import annotations

from datetime import datetime

import msgspec


class NdpProxy(msgspec.Struct, frozen=True):
    """A router answers outside for a port's IPv6 address, so that it is reached there without a route."""

    id: str
    project_id: str
    name: str
    router_id: str
    port_id: str
    ip_address: str
    description: str
    revision_number: int
    created_at: datetime
    updated_at: datetime
