# SPDX-License-Identifier: Apache-2.0
"""Logging in: from a proof and a wanted scope to a token."""

from __future__ import annotations

from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.services.identity.logic import authentication, scopes, tokens
from cumulet.services.identity.logic.payloads import METHODS
from cumulet.services.identity.logic.proofs import NOTHING, Attempt, Carried, Proven
from cumulet.services.identity.types import Bearer, Target, Token


def login(cloud: Cloud, auth: dict[str, Any], carried: Carried = NOTHING) -> tuple[str, Bearer]:
    """The text of a token for `{"identity": ..., "scope": ...}`, and what it stands for."""
    attempt = Attempt(identity=auth["identity"], scope=auth.get("scope"), carried=carried)
    return issue(cloud, authentication.authenticate(cloud, attempt), attempt)


def issue(cloud: Cloud, proven: Proven, attempt: Attempt) -> tuple[str, Bearer]:
    """A token for somebody who has been proven, in the scope wanted."""
    if proven.project_id is not None:
        target, target_id = scopes.Scope(Target.PROJECT, proven.project_id)
    else:
        target, target_id = scopes.find(cloud.db, attempt.scope, proven.user)
    now = clock.now()
    latest = int(now) + cloud.settings.identity.token_lifetime
    chain = (proven.audit_chain_id,) if proven.audit_chain_id else ()
    token = Token(
        user_id=proven.user.id,
        methods=tuple(method for method in METHODS if method in proven.methods),
        target=target,
        target_id=target_id,
        audit_ids=(tokens.new_audit_id(), *chain),
        issued_at=now,
        expires_at=min(latest, proven.expires_at or latest),
        application_credential_id=proven.credential.id if proven.credential else None,
        access_token_id=proven.access_token_id,
        thumbprint=proven.thumbprint,
        federation=proven.federation,
    )
    return tokens.issue(cloud, token)
