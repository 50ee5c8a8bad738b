# SPDX-License-Identifier: Apache-2.0
"""Who may do what with backups."""

from __future__ import annotations

from cumulet.services.block_storage.policy.words import ADMIN, MEMBER, READER

RULES = {
    "backup:get_all": READER,
    "backup:backup_project_attribute": ADMIN,
    "backup:create": MEMBER,
    "backup:get": READER,
    "backup:update": MEMBER,
    "backup:delete": MEMBER,
    "backup:restore": MEMBER,
    "backup:backup-import": ADMIN,
    "backup:export-import": ADMIN,
    "volume_extension:backup_admin_actions:reset_status": ADMIN,
    "volume_extension:backup_admin_actions:force_delete": ADMIN,
}
