# SPDX-License-Identifier: Apache-2.0
"""Rules of what agents host."""

from __future__ import annotations

from cumulet.services.network.policy.words import ADMIN

RULES: dict[str, str] = {
    "create_dhcp-network": ADMIN,
    "get_dhcp-networks": ADMIN,
    "delete_dhcp-network": ADMIN,
    "create_l3-router": ADMIN,
    "get_l3-routers": ADMIN,
    "update_l3-router": ADMIN,
    "delete_l3-router": ADMIN,
    "get_dhcp-agents": ADMIN,
    "get_l3-agents": ADMIN,
}
