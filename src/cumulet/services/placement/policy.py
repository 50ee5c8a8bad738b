# SPDX-License-Identifier: Apache-2.0
"""The default rules of the placement service: Placement's names, defaults and scopes."""

_ADMIN_OR_SERVICE = "rule:admin_or_service_api"
_FOR_ADMINS = {
    "allocation_candidates": ("list",),
    "allocations": ("list", "manage", "update", "delete"),
    "resource_classes": ("list", "create", "show", "update", "delete"),
    "resource_providers": ("list", "create", "show", "update", "delete", "usages"),
    "resource_providers:aggregates": ("list", "update"),
    "resource_providers:allocations": ("list",),
    "resource_providers:inventories": ("list", "create", "show", "update", "delete"),
    "resource_providers:traits": ("list", "update", "delete"),
    "traits": ("list", "show", "update", "delete"),
}

RULES = {
    "admin_api": "role:admin",
    "service_api": "role:service",
    "admin_or_service_api": "role:admin or role:service",
    "project_reader_api": "role:reader and project_id:%(project_id)s",
    "admin_or_project_reader_or_service_api": "role:admin or rule:project_reader_api or role:service",
    "placement:usages": "rule:admin_or_project_reader_or_service_api",
    "placement:reshaper:reshape": "rule:service_api",
    **{f"placement:{noun}:{verb}": _ADMIN_OR_SERVICE for noun, verbs in _FOR_ADMINS.items() for verb in verbs},
}

SCOPES = dict.fromkeys((name for name in RULES if name != "project_reader_api"), ("project",))
