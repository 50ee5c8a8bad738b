# SPDX-License-Identifier: Apache-2.0
"""The rows of conntrack helpers; fields stand in the order of the columns."""

from __future__ import annotations

from datetime import datetime

import msgspec

# What may be asked for, with its protocols: Neutron's default of `allowed_conntrack_helpers`.
ALLOWED: dict[str, tuple[str, ...]] = {
    "amanda": ("tcp",),
    "ftp": ("tcp",),
    "h323": ("udp", "tcp"),
    "irc": ("tcp",),
    "netbios-ns": ("udp",),
    "pptp": ("tcp",),
    "sane": ("tcp",),
    "sip": ("udp", "tcp"),
    "snmp": ("udp",),
    "tftp": ("udp",),
}


class ConntrackHelper(msgspec.Struct, frozen=True):
    """A router reads along where connections to this port announce others, and lets those pass, translated."""

    id: str
    router_id: str
    protocol: str
    port: int
    helper: str
    revision_number: int
    created_at: datetime
    updated_at: datetime
