# SPDX-License-Identifier: Apache-2.0
"""Rules of address groups."""

from __future__ import annotations

from cumulet.services.network.policy.words import MEMBER, READER

RULES: dict[str, str] = {
    "shared_address_groups": "field:address_groups:shared=True",
    "create_address_group": MEMBER,
    "get_address_group": f"{READER} or rule:shared_address_groups",
    "update_address_group": MEMBER,
    "delete_address_group": MEMBER,
    "add_addresses": MEMBER,
    "remove_addresses": MEMBER,
}
