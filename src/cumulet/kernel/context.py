# SPDX-License-Identifier: Apache-2.0
"""Who is asking: the one object that stands for a caller from the token to the last query."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel.allowance import Allowance

ADMIN_ROLE = "admin"


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """A caller and the scope of the token. Exactly one of project, domain and system scope is set, or none (unscoped).

    `roles` are role names, implied ones included. `expires_at` is in seconds since the epoch. `catalog` is left out on
    purpose: identity renders it when asked. `trust_id` names the trust by which the caller acts; `allowances` are the
    only requests that the token may be used for, None for all.
    """

    request_id: str = ""
    user_id: str = ""
    user_name: str = ""
    user_domain_id: str = ""
    user_domain_name: str = ""
    project_id: str | None = None
    project_name: str | None = None
    project_domain_id: str | None = None
    project_domain_name: str | None = None
    domain_id: str | None = None
    domain_name: str | None = None
    system_scope: str | None = None
    roles: frozenset[str] = frozenset()
    methods: tuple[str, ...] = ()
    audit_ids: tuple[str, ...] = ()
    expires_at: float = 0.0
    is_service: bool = False
    trust_id: str | None = None
    allowances: tuple[Allowance, ...] | None = None

    @property
    def is_admin(self) -> bool:
        """Holds the admin role, in whatever scope: what OpenStack's `context_is_admin` means."""
        return ADMIN_ROLE in self.roles

    def credentials(self) -> dict[str, Any]:
        """The caller as policy rules see it, under oslo.policy's names."""
        return {
            "user_id": self.user_id,
            "user_domain_id": self.user_domain_id,
            "project_id": self.project_id,
            "tenant_id": self.project_id,
            "project_domain_id": self.project_domain_id,
            "domain_id": self.domain_id,
            "system_scope": self.system_scope,
            "system": self.system_scope,
            "trust_id": self.trust_id,
            "roles": self.roles,
            "is_admin": self.is_admin,
            "is_admin_project": True,
            "service_roles": frozenset({"service"}) if self.is_service else frozenset(),
            "token": {"domain": {"id": self.domain_id}, "project": {"domain": {"id": self.project_domain_id}}},
        }


def internal(request_id: str = "") -> Context:
    """The cloud acting for itself: loops and flows that belong to no user."""
    return Context(request_id=request_id, system_scope="all", roles=frozenset({ADMIN_ROLE}))
