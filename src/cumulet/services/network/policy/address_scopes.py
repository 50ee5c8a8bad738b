# SPDX-License-Identifier: Apache-2.0
"""Rules of address scopes."""

from __future__ import annotations

from cumulet.services.network.policy.words import ADMIN, MEMBER, READER

RULES: dict[str, str] = {
    "shared_address_scopes": "field:address_scopes:shared=True",
    "create_address_scope": MEMBER,
    "create_address_scope:shared": ADMIN,
    "get_address_scope": f"{READER} or rule:shared_address_scopes",
    "update_address_scope": MEMBER,
    "update_address_scope:shared": ADMIN,
    "delete_address_scope": MEMBER,
}
