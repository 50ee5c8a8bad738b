# SPDX-License-Identifier: Apache-2.0
"""Rules of local IPs."""

from __future__ import annotations

from cumulet.services.network.policy.words import MEMBER, PARENTS_MEMBER, PARENTS_READER, READER

RULES: dict[str, str] = {
    "create_local_ip": MEMBER,
    "get_local_ip": READER,
    "update_local_ip": MEMBER,
    "delete_local_ip": MEMBER,
    "create_local_ip_port_association": PARENTS_MEMBER,
    "get_local_ip_port_association": PARENTS_READER,
    "delete_local_ip_port_association": PARENTS_MEMBER,
}
