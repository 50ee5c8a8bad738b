# SPDX-License-Identifier: Apache-2.0
"""Rules of packet logs."""

from __future__ import annotations

from cumulet.services.network.policy.words import MANAGER

RULES: dict[str, str] = {
    "get_loggable_resource": MANAGER,
    "create_log": MANAGER,
    "get_log": MANAGER,
    "update_log": MANAGER,
    "delete_log": MANAGER,
}
