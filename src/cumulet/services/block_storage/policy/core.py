# SPDX-License-Identifier: Apache-2.0
"""What other rules are made of."""

from __future__ import annotations

RULES = {
    "admin_or_owner": "is_admin:True or (role:admin and is_admin_project:True) or project_id:%(project_id)s",
    "system_or_domain_or_project_admin": "(role:admin and system_scope:all) or (role:admin and domain_id:%(domain_id)s)"
    " or (role:admin and project_id:%(project_id)s)",
    "context_is_admin": "role:admin",
    "admin_api": "is_admin:True or (role:admin and is_admin_project:True)",
    "xena_system_admin_or_project_reader": "(role:admin) or (role:reader and project_id:%(project_id)s)",
    "xena_system_admin_or_project_member": "(role:admin) or (role:member and project_id:%(project_id)s)",
}
