# SPDX-License-Identifier: Apache-2.0
"""Tokens: issuing one, finding out what one stands for at this moment, and revoking it."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from uuid import uuid4

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import NotFound, Unauthorized
from cumulet.services.identity.logic import effective, keys, payloads, revocations
from cumulet.services.identity.logic.memory import Memory
from cumulet.services.identity.store import application_credentials, projects, users
from cumulet.services.identity.store import revocations as epochs
from cumulet.services.identity.types import ApplicationCredential, Bearer, Project, Role, Target, Token

_UNREADABLE = "Could not recognize Fernet token"


def issue(cloud: Cloud, token: Token) -> tuple[str, Bearer]:
    """The text of a new token and what it stands for; Unauthorized where its scope gives the user no role."""
    bearer = load(cloud.db, token)
    return payloads.seal(keys.tokens(cloud), token), bearer


def read(cloud: Cloud, text: str, *, expired_for: int = 0) -> Bearer:
    """What the token `text` stands for now; Unauthorized for one that is not valid.

    One that expired less than `expired_for` seconds ago is taken too. What a token stands for is remembered until the
    epoch has grown: one tiny read a call.
    """
    remembered = cloud.keep(Memory)
    epoch = epochs.epoch_now(cloud.db)
    bearer = remembered.find(epoch, text)
    if bearer is None:
        bearer = _open(cloud, text, expired_for)
        remembered.put(epoch, text, bearer)
    return bearer


def _open(cloud: Cloud, text: str, expired_for: int) -> Bearer:
    try:
        token = payloads.unseal(keys.tokens(cloud), text)
    except payloads.NotAToken:
        raise Unauthorized(_UNREADABLE) from None
    if token.expires_at + expired_for <= clock.now():
        raise Unauthorized("The token has expired.")
    bearer = load(cloud.db, token)
    if revocations.is_revoked(cloud.db, bearer):
        raise Unauthorized("The token has been revoked.")
    return bearer


def validate(cloud: Cloud, text: str, *, expired_for: int = 0) -> Bearer:
    """As `read`, for a token that somebody asks about: NotFound for one that is not valid."""
    if not text:
        raise NotFound("No token in the request", code="TokenNotFound")
    try:
        return read(cloud, text, expired_for=expired_for)
    except Unauthorized as error:
        message = _UNREADABLE if error.message == _UNREADABLE else "Failed to validate token"
        raise NotFound(message, code="TokenNotFound") from None


def revoke(cloud: Cloud, text: str, *, chain: bool = True) -> None:
    """Make a token void and, with `chain`, all that were made from it."""
    token = validate(cloud, text).token

    def write(tx: Tx) -> None:
        revocations.revoke(tx, audit_id=token.audit_id)
        if chain:
            revocations.revoke(tx, audit_chain_id=token.audit_id)

    cloud.db.write(write)


def new_audit_id() -> str:
    """22 characters that name a token without giving it away."""
    return urlsafe_b64encode(uuid4().bytes).rstrip(b"=").decode("ascii")


def load(source: Source, token: Token) -> Bearer:
    """All that a token stands for; Unauthorized where a part of it is gone or disabled, or no role is left."""
    user = users.find(source, token.user_id)
    if user is None or not user.enabled:
        raise Unauthorized("The user is gone or disabled.")
    project = domain = project_domain = None
    if token.target == Target.PROJECT:
        project = _enabled(source, token.target_id)
        project_domain = project if project.is_domain else _enabled(source, project.domain_id)
    elif token.target == Target.DOMAIN:
        domain = _enabled(source, token.target_id)
    credential = _credential(source, token)
    roles = _roles(source, token, project, domain)
    if credential is not None:
        lent = effective.implied(source, credential.role_ids)
        roles = [role for role in roles if role.id in lent]
    if token.target is not None and not roles:
        raise Unauthorized("The user has no role there.")
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
    )


def _roles(source: Source, token: Token, project: Project | None, domain: Project | None) -> list[Role]:
    if project is not None:
        return effective.on_project(source, token.user_id, project)
    if domain is not None:
        return effective.on_domain(source, token.user_id, domain.id)
    if token.target == Target.SYSTEM:
        return effective.on_system(source, token.user_id)
    return []


def _credential(source: Source, token: Token) -> ApplicationCredential | None:
    if token.application_credential_id is None:
        return None
    credential = application_credentials.find(source, token.application_credential_id)
    if credential is None:
        raise Unauthorized("The application credential is gone.")
    return credential


def _enabled(source: Source, project_id: str | None) -> Project:
    found = projects.find(source, project_id) if project_id is not None else None
    if found is None or not found.enabled:
        raise Unauthorized("A project or domain is gone or disabled.")
    return found
