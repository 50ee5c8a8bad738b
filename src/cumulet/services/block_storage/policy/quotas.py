# SPDX-License-Identifier: Apache-2.0
"""Who may see and set limits."""

from __future__ import annotations

from cumulet.services.block_storage.policy.words import ADMIN, READER

RULES = {
    "volume_extension:quota_classes:get": ADMIN,
    "volume_extension:quota_classes:update": ADMIN,
    "volume_extension:quotas:show": READER,
    "volume_extension:quotas:update": ADMIN,
    "volume_extension:quotas:delete": ADMIN,
    "limits_extension:used_limits": READER,
}
