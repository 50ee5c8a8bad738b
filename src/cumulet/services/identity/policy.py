# SPDX-License-Identifier: Apache-2.0
"""The default rules of the identity service: Keystone's names and Keystone's defaults."""

ADMIN_REQUIRED = "rule:admin_required"

RULES = {
    "admin_required": "role:admin or is_admin:1",
    "identity:get_region": "",
    "identity:list_regions": "",
    "identity:create_region": ADMIN_REQUIRED,
    "identity:update_region": ADMIN_REQUIRED,
    "identity:delete_region": ADMIN_REQUIRED,
}
