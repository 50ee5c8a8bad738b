# SPDX-License-Identifier: Apache-2.0
"""Who may take foreign volumes and snapshots in, and give them away."""

from __future__ import annotations

from cumulet.services.block_storage.policy.words import ADMIN

RULES = {
    "snapshot_extension:list_manageable": ADMIN,
    "snapshot_extension:snapshot_manage": ADMIN,
    "snapshot_extension:snapshot_unmanage": ADMIN,
    "volume_extension:list_manageable": ADMIN,
    "volume_extension:volume_manage": ADMIN,
    "volume_extension:volume_unmanage": ADMIN,
}
