# SPDX-License-Identifier: Apache-2.0
"""The contracts of the identity service, implemented."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from cumulet.kernel.allowance import Allowance
from cumulet.kernel.auth import Authenticator
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source
from cumulet.kernel.errors import Unauthorized
from cumulet.services.identity.contract import (
    DomainInfo,
    IdentityContract,
    ObjectStoreAuth,
    ObjectStorePasses,
    ProjectInfo,
    UserInfo,
)
from cumulet.services.identity.logic import catalog, limits, tokens
from cumulet.services.identity.logic.object_store import Holders
from cumulet.services.identity.logic.passes import Passes
from cumulet.services.identity.store import projects, users
from cumulet.services.identity.types import DEFAULT_DOMAIN, AccessRule, Bearer, Project

SERVICE_ROLE = "service"


def offers(cloud: Cloud) -> dict[type, Callable[[], Any]]:
    """What this service offers: Protocol to maker."""
    return {
        Authenticator: lambda: TokenAuthenticator(cloud),
        IdentityContract: Identity,
        ObjectStoreAuth: lambda: Holders(cloud),
        ObjectStorePasses: lambda: Passes(cloud),
    }


class TokenAuthenticator:
    """Tokens to callers."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def context(self, token: str, service_token: str | None = None) -> Context:
        """The caller of a valid token; Unauthorized for any other.

        A service token that is valid and has the role `service` makes `is_service` true; any other is Unauthorized.
        With it a token is taken that has expired not long ago: the service goes on with what it was given it for.
        """
        if service_token is None:
            return to_context(tokens.read(self._cloud, token))
        carrier = to_context(tokens.read(self._cloud, service_token))
        if SERVICE_ROLE not in carrier.roles:
            raise Unauthorized("The service token is none.")
        window = self._cloud.settings.identity.allow_expired_window
        ctx = to_context(tokens.read(self._cloud, token, expired_for=window))
        return msgspec.structs.replace(ctx, is_service=True)


def to_context(bearer: Bearer) -> Context:
    """What a valid token says, in the kernel's words."""
    project, project_domain, domain = bearer.project, bearer.project_domain, bearer.domain
    return Context(
        user_id=bearer.user.id,
        user_name=bearer.user.name,
        user_domain_id=bearer.user_domain.id,
        user_domain_name=bearer.user_domain.name,
        project_id=project.id if project else None,
        project_name=project.name if project else None,
        project_domain_id=project_domain.id if project_domain else None,
        project_domain_name=project_domain.name if project_domain else None,
        domain_id=domain.id if domain else None,
        domain_name=domain.name if domain else None,
        system_scope="all" if bearer.system else None,
        roles=frozenset(role.name for role in bearer.roles),
        methods=bearer.token.methods,
        audit_ids=bearer.token.audit_ids,
        expires_at=float(bearer.token.expires_at),
        trust_id=bearer.token.trust_id,
        allowances=_allowances(bearer.access_rules),
    )


def _allowances(rules: tuple[AccessRule, ...] | None) -> tuple[Allowance, ...] | None:
    return None if rules is None else tuple(Allowance(rule.service, rule.method, rule.path) for rule in rules)


class Identity:
    """`contract.IdentityContract`."""

    def project(self, source: Source, project_id: str) -> ProjectInfo | None:
        found = projects.find(source, project_id)
        return _project(found) if found is not None and not found.is_domain else None

    def project_named(self, source: Source, name: str, domain_id: str = DEFAULT_DOMAIN) -> ProjectInfo | None:
        found = projects.find_by_name(source, name, domain_id)
        return _project(found) if found is not None else None

    def projects(self, source: Source) -> list[ProjectInfo]:
        return [_project(project) for project in projects.find_all(source) if not project.is_domain]

    def user(self, source: Source, user_id: str) -> UserInfo | None:
        user = users.find(source, user_id)
        if user is None:
            return None
        email = user.extra.get("email")
        return UserInfo(id=user.id, name=user.name, domain_id=user.domain_id, enabled=user.enabled, email=email)

    def domain(self, source: Source, domain_id: str) -> DomainInfo | None:
        found = projects.find(source, domain_id)
        if found is None or not found.is_domain:
            return None
        return DomainInfo(id=found.id, name=found.name, enabled=found.enabled)

    def catalog(self, source: Source, user_id: str, project_id: str | None) -> list[dict[str, Any]]:
        return catalog.render(source, user_id, project_id)

    def url(
        self,
        source: Source,
        service_type: str,
        project_id: str | None = None,
        interface: Literal["public", "internal", "admin"] = "public",
    ) -> str | None:
        for service in catalog.render(source, "", project_id):
            if service["type"] == service_type:
                for endpoint in service["endpoints"]:
                    if endpoint["interface"] == interface:
                        return str(endpoint["url"])
        return None

    def limits(self, source: Source, service_type: str, region: str | None, project_id: str | None) -> dict[str, int]:
        return limits.in_force(source, service_type, region, project_id)


def _project(project: Project) -> ProjectInfo:
    return ProjectInfo(
        id=project.id,
        name=project.name,
        domain_id=project.domain_id or project.id,
        parent_id=project.parent_id,
        enabled=project.enabled,
    )
