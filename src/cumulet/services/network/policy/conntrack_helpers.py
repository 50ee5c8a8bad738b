# SPDX-License-Identifier: Apache-2.0
"""Rules of conntrack helpers."""

from __future__ import annotations

from cumulet.services.network.policy.words import PARENTS_MEMBER, PARENTS_READER

RULES: dict[str, str] = {
    "create_router_conntrack_helper": PARENTS_MEMBER,
    "get_router_conntrack_helper": PARENTS_READER,
    "update_router_conntrack_helper": PARENTS_MEMBER,
    "delete_router_conntrack_helper": PARENTS_MEMBER,
}
