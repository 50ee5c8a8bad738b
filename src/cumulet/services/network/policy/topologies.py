# SPDX-License-Identifier: Apache-2.0
"""Rules of auto-allocated topologies."""

from __future__ import annotations

from cumulet.services.network.policy.words import MEMBER, READER

RULES: dict[str, str] = {
    "get_auto_allocated_topology": READER,
    "delete_auto_allocated_topology": MEMBER,
}
