# SPDX-License-Identifier: Apache-2.0
"""What a token stands for at this moment: its user, its scope, its roles, and by whom they were lent."""

from __future__ import annotations

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source
from cumulet.kernel.errors import Forbidden, NotFound, Unauthorized
from cumulet.services.identity.logic import effective, federated_users, trust_chains
from cumulet.services.identity.logic.memory import Memory
from cumulet.services.identity.store import (
    access_rules,
    access_tokens,
    application_credentials,
    projects,
    users,
)
from cumulet.services.identity.types import (
    AccessRule,
    AccessToken,
    ApplicationCredential,
    Bearer,
    Project,
    Role,
    Target,
    Token,
    Trust,
    User,
)

REFUSED = "You are not authorized to perform the requested action."


class Standings(Memory[Token, Bearer]):
    """What tokens stand for, by what is in them but for their own times and names: many of one user are one here."""

    MOST = 2048


def of(cloud: Cloud, token: Token, epoch: int) -> Bearer:
    """As `load`, remembered until the `epoch` has grown."""
    remembered = cloud.keep(Standings)
    kind = msgspec.structs.replace(token, methods=(), audit_ids=(), issued_at=0.0, expires_at=0, thumbprint=None)
    standing = remembered.find(epoch, kind)
    if standing is None:
        standing = load(cloud.db, token)
        remembered.put(epoch, kind, standing)
    return msgspec.structs.replace(standing, token=token)


def load(source: Source, token: Token) -> Bearer:
    """All that a token stands for; Unauthorized where a part of it is gone or disabled, or no role is left.

    Forbidden for a trust that is there, but lends nothing any more.
    """
    holder = user = _enabled_user(source, token.user_id)
    trust = _trust(source, token)
    if trust is not None and trust.impersonation:
        user = _enabled_user(source, trust.trustor_user_id)
    user = federated_users.shown(source, user, token.federation)
    project = domain = project_domain = None
    if token.target == Target.PROJECT:
        project = _enabled(source, token.target_id)
        project_domain = project if project.is_domain else _enabled(source, project.domain_id)
    elif token.target == Target.DOMAIN:
        domain = _enabled(source, token.target_id)
    credential = _credential(source, token)
    roles = _roles(source, token, trust, project, domain)
    if credential is not None:
        lent = effective.implied(source, credential.role_ids)
        roles = [role for role in roles if role.id in lent]
    access_token = _access_token(source, token)
    if access_token is not None:
        lent = effective.implied(source, access_token.role_ids)
        roles = [role for role in roles if role.id in lent]
    if token.target is not None and not roles:
        raise Unauthorized("The user has no role there.")
    _enabled(source, holder.domain_id)
    password = users.password_of(source, user.id)
    return Bearer(
        token=token,
        user=user,
        user_domain=_enabled(source, user.domain_id),
        project=project,
        project_domain=project_domain,
        domain=domain,
        system=token.target == Target.SYSTEM,
        roles=tuple(roles),
        application_credential=credential,
        access_rules=_access_rules(source, credential),
        trust=trust,
        consumer_id=access_token.consumer_id if access_token is not None else None,
        password_expires_at=password.expires_at if password is not None else None,
    )


def _trust(source: Source, token: Token) -> Trust | None:
    """The trust that the token was made by, with everybody in it well."""
    if token.trust_id is None:
        return None
    try:
        trust = trust_chains.get(source, token.trust_id)
    except NotFound:
        raise Unauthorized("The trust is gone.") from None
    if trust.trustee_user_id != token.user_id:
        raise Forbidden(REFUSED)
    trustor = users.find(source, trust.trustor_user_id)
    if trustor is None or not trustor.enabled:
        raise Forbidden(REFUSED)
    _enabled(source, trustor.domain_id)
    return trust


def _roles(
    source: Source, token: Token, trust: Trust | None, project: Project | None, domain: Project | None
) -> list[Role]:
    if trust is not None:
        return trust_chains.roles(source, trust, project) if project is not None else []
    more = token.federation.group_ids if token.federation is not None else ()
    if project is not None:
        return effective.on_project(source, token.user_id, project, more)
    if domain is not None:
        return effective.on_domain(source, token.user_id, domain.id, more)
    if token.target == Target.SYSTEM:
        return effective.on_system(source, token.user_id, more)
    return []


def _credential(source: Source, token: Token) -> ApplicationCredential | None:
    if token.application_credential_id is None:
        return None
    credential = application_credentials.find(source, token.application_credential_id)
    if credential is None or (credential.expires_at is not None and credential.expires_at <= clock.utcnow()):
        raise Unauthorized("The application credential is gone.")
    return credential


def _access_token(source: Source, token: Token) -> AccessToken | None:
    """The access token that the token was made by, of the same user and for the same project."""
    if token.access_token_id is None:
        return None
    found = access_tokens.find(source, token.access_token_id)
    if found is None or (found.expires_at is not None and found.expires_at <= clock.utcnow()):
        raise Unauthorized("The access token is gone.")
    if (found.user_id, found.project_id) != (token.user_id, token.target_id):
        raise Unauthorized("The access token is for another user or project.")
    return found


def _access_rules(source: Source, credential: ApplicationCredential | None) -> tuple[AccessRule, ...] | None:
    """The requests that the credential is limited to; None for all."""
    if credential is None or credential.access_rule_ids is None:
        return None
    return tuple(access_rules.find_these(source, credential.access_rule_ids))


def _enabled_user(source: Source, user_id: str) -> User:
    user = users.find(source, user_id)
    if user is None or not user.enabled:
        raise Unauthorized("The user is gone or disabled.")
    return user


def _enabled(source: Source, project_id: str | None) -> Project:
    found = projects.find(source, project_id) if project_id is not None else None
    if found is None or not found.enabled:
        raise Unauthorized("A project or domain is gone or disabled.")
    return found
