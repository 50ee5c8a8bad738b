# SPDX-License-Identifier: Apache-2.0
"""Rules of RBAC policies."""

from __future__ import annotations

from cumulet.services.network.policy.words import ADMIN, MEMBER, READER

_NOT_ALL = "(not field:rbac_policy:target_tenant=* and not field:rbac_policy:target_project=*)"

RULES: dict[str, str] = {
    "restrict_wildcard": f"{_NOT_ALL} or {ADMIN}",
    "create_rbac_policy": MEMBER,
    "create_rbac_policy:target_tenant": f"({ADMIN}) or {_NOT_ALL}",
    "create_rbac_policy:target_project": f"({ADMIN}) or (not field:rbac_policy:target_project=*)",
    "get_rbac_policy": READER,
    "update_rbac_policy": MEMBER,
    "update_rbac_policy:target_tenant": f"({ADMIN}) or {_NOT_ALL}",
    "update_rbac_policy:target_project": f"({ADMIN}) or (not field:rbac_policy:target_project=*)",
    "delete_rbac_policy": MEMBER,
}
