# SPDX-License-Identifier: Apache-2.0
"""Who may do what with snapshots."""

from __future__ import annotations

from cumulet.services.block_storage.policy.words import ADMIN, MEMBER, READER

RULES = {
    "volume:get_snapshot_metadata": READER,
    "volume:update_snapshot_metadata": MEMBER,
    "volume:delete_snapshot_metadata": MEMBER,
    "volume:get_all_snapshots": READER,
    "volume_extension:extended_snapshot_attributes": READER,
    "volume:create_snapshot": MEMBER,
    "volume:get_snapshot": READER,
    "volume:update_snapshot": MEMBER,
    "volume:delete_snapshot": MEMBER,
    "volume_extension:snapshot_admin_actions:reset_status": ADMIN,
    "snapshot_extension:snapshot_actions:update_snapshot_status": MEMBER,
    "volume_extension:snapshot_admin_actions:force_delete": ADMIN,
}
