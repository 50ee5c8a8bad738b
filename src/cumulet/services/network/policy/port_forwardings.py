# SPDX-License-Identifier: Apache-2.0
"""Rules of port forwardings and of floating IPs' pools."""

from __future__ import annotations

from cumulet.services.network.policy.words import PARENTS_MEMBER, PARENTS_READER, READER

RULES: dict[str, str] = {
    "create_floatingip_port_forwarding": PARENTS_MEMBER,
    "get_floatingip_port_forwarding": PARENTS_READER,
    "update_floatingip_port_forwarding": PARENTS_MEMBER,
    "delete_floatingip_port_forwarding": PARENTS_MEMBER,
    "get_floatingip_pool": READER,
}
