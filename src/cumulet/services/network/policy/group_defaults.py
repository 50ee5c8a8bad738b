# SPDX-License-Identifier: Apache-2.0
"""Rules of what new security groups are made of."""

from __future__ import annotations

from cumulet.services.network.policy.words import ADMIN, MANAGER, READER

RULES: dict[str, str] = {
    "create_default_security_group_rule": ADMIN,
    "get_default_security_group_rule": "role:reader",
    "delete_default_security_group_rule": ADMIN,
    "create_security_groups_default_statefulness": MANAGER,
    "get_security_groups_default_statefulness": READER,
    "update_security_groups_default_statefulness": MANAGER,
    "delete_security_groups_default_statefulness": MANAGER,
}
