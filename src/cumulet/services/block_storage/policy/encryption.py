# SPDX-License-Identifier: Apache-2.0
"""Who may say how volumes of a type are encrypted."""

from __future__ import annotations

from cumulet.services.block_storage.policy.words import ADMIN

RULES = {
    "volume_extension:volume_type_encryption": ADMIN,
    "volume_extension:volume_type_encryption:create": ADMIN,
    "volume_extension:volume_type_encryption:get": ADMIN,
    "volume_extension:volume_type_encryption:update": ADMIN,
    "volume_extension:volume_type_encryption:delete": ADMIN,
}
