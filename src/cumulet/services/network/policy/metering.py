# SPDX-License-Identifier: Apache-2.0
"""Rules of metering."""

from __future__ import annotations

from cumulet.services.network.policy.words import MANAGER, READER

RULES: dict[str, str] = {
    "create_metering_label": MANAGER,
    "get_metering_label": READER,
    "delete_metering_label": MANAGER,
    "create_metering_label_rule": MANAGER,
    "get_metering_label_rule": READER,
    "delete_metering_label_rule": MANAGER,
}
