# SPDX-License-Identifier: Apache-2.0
"""The default rules of the identity service: Keystone's names and Keystone's defaults."""

ADMIN_REQUIRED = "rule:admin_required"
ADMIN_OR_SYSTEM_READER = "rule:admin_required or (role:reader and system_scope:all)"

RULES = {
    "admin_required": "role:admin or is_admin:1",
    "service_role": "role:service",
    "token_subject": "user_id:%(target.token.user_id)s",
    "identity:check_token": f"{ADMIN_OR_SYSTEM_READER} or rule:token_subject",
    "identity:validate_token": f"{ADMIN_OR_SYSTEM_READER} or rule:service_role or rule:token_subject",
    "identity:revoke_token": "rule:admin_required or rule:token_subject",
    "identity:get_region": "",
    "identity:list_regions": "",
    "identity:create_region": ADMIN_REQUIRED,
    "identity:update_region": ADMIN_REQUIRED,
    "identity:delete_region": ADMIN_REQUIRED,
}
