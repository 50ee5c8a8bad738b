# SPDX-License-Identifier: Apache-2.0
"""Logging in: from a proof and a wanted scope to a token."""

from __future__ import annotations

from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Unauthorized
from cumulet.services.identity.logic import authentication, scopes, tokens
from cumulet.services.identity.logic.payloads import METHODS
from cumulet.services.identity.types import Bearer, Target, Token


def login(cloud: Cloud, auth: dict[str, Any]) -> tuple[str, Bearer]:
    """The text of a token for `{"identity": ..., "scope": ...}`, and what it stands for."""
    scope = auth.get("scope")
    proven = authentication.authenticate(cloud, auth["identity"], scope)
    if proven.credential is None:
        target, target_id = scopes.find(cloud.db, scope, proven.user)
    elif scope is not None:
        raise Unauthorized(
            "Error authenticating with application credential: Application credentials cannot request a scope.",
            code="ApplicationCredentialAuthError",
            identity={},
        )
    else:
        target, target_id = Target.PROJECT, proven.credential.project_id
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
    )
    return tokens.issue(cloud, token)
