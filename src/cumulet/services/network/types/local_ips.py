# SPDX-License-Identifier: Apache-2.0
"""Local IPs: their rows, fields in the order of the columns, and what hosts are told of them."""

from __future__ import annotations

from datetime import datetime

import msgspec

OWNER_LOCAL_IP = "network:local_ip"
NOT_APPLICABLE = "N/A"  # the status of a port that nothing plugs in
TRANSLATE, PASSTHROUGH = "translate", "passthrough"
MODES = (TRANSLATE, PASSTHROUGH)


class LocalIp(msgspec.Struct, frozen=True):
    """An address that on each host means a port of that host; elsewhere it is that of the port `local_port_id`."""

    id: str
    project_id: str
    name: str
    local_port_id: str
    network_id: str
    local_ip_address: str
    ip_mode: str
    description: str
    revision_number: int
    created_at: datetime
    updated_at: datetime


class LocalIpAssociation(msgspec.Struct, frozen=True):
    """On the host of the port `fixed_port_id` the local IP means that port, at its address `fixed_ip`."""

    id: str
    local_ip_id: str
    fixed_port_id: str
    fixed_ip: str
    revision_number: int
    created_at: datetime
    updated_at: datetime


class LocalIpState(msgspec.Struct, kw_only=True, frozen=True):
    """An address (IPv4) that means the port for the other ports of its network on the host.

    Packets to it get the port's address `fixed`, unless it takes them as they are (not `translate`).
    """

    address: str
    fixed: str
    translate: bool = True
