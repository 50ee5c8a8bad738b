# SPDX-License-Identifier: Apache-2.0
"""The rows of port forwardings; fields stand in the order of the columns."""

from __future__ import annotations

from datetime import datetime

import msgspec

# Protocols as the API names them; those of the second list have ports to forward.
PROTOCOLS = ("dccp", "icmp", "ipv6-icmp", "sctp", "tcp", "udp")
WITH_PORTS = ("dccp", "sctp", "tcp", "udp")


class PortForwarding(msgspec.Struct, frozen=True):
    """Ports of a floating IP that lead to ports of a fixed address.

    Both ranges are inclusive. The inner one is as long as the outer one, whose ports then lead to their counterparts,
    or a single port, to which all of them lead.
    """

    id: str
    floatingip_id: str
    internal_port_id: str
    internal_ip_address: str
    protocol: str
    external_low: int
    external_high: int
    internal_low: int
    internal_high: int
    description: str
    revision_number: int
    created_at: datetime
    updated_at: datetime
