# SPDX-License-Identifier: Apache-2.0
"""Expressions that many rules are."""

from __future__ import annotations

ADMIN = "rule:admin_only"
MEMBER = "(rule:admin_only) or (role:member and project_id:%(project_id)s)"
READER = "(rule:admin_only) or (role:reader and project_id:%(project_id)s)"
MANAGER = "(rule:admin_only) or (role:manager and project_id:%(project_id)s)"

OWN = "role:member and project_id:%(project_id)s"
ON_OWN_NETWORK = "role:member and rule:network_owner"

PARENTS_MEMBER = "(rule:admin_only) or (role:member and rule:ext_parent_owner)"
PARENTS_READER = "(rule:admin_only) or (role:reader and rule:ext_parent_owner)"
