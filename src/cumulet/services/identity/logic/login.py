# SPDX-License-Identifier: Apache-2.0
"""Logging in: from a proof and a wanted scope to a token."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.services.identity.logic import authentication, receipts, scopes, tokens, trusts
from cumulet.services.identity.logic.payloads import METHODS
from cumulet.services.identity.logic.proofs import NOTHING, Attempt, Carried, Proven
from cumulet.services.identity.logic.scopes import Scope
from cumulet.services.identity.types import Bearer, Target, Token


def login(cloud: Cloud, auth: dict[str, Any], carried: Carried = NOTHING) -> tuple[str, Bearer]:
    """The text of a token for `{"identity": ..., "scope": ...}`, and what it stands for.

    Raises `receipts.Insufficient` where the user's rules ask for more methods.
    """
    attempt = Attempt(identity=auth["identity"], scope=auth.get("scope"), carried=carried)
    proven = authentication.authenticate(cloud, attempt)
    return issue(cloud, receipts.complete(cloud, proven, carried), attempt)


def issue(cloud: Cloud, proven: Proven, attempt: Attempt) -> tuple[str, Bearer]:
    """A token for somebody who has been proven, in the scope wanted; it uses up one use of the trust that it is by."""
    if proven.project_id is not None:
        scope = Scope(Target.PROJECT, proven.project_id)
    else:
        scope = scopes.find(cloud.db, attempt.scope, proven.user)
    text, bearer = tokens.issue(cloud, _token(cloud, proven, scope))
    if (trust := scope.trust) is not None and trust.remaining_uses is not None:
        cloud.db.write(lambda tx: trusts.use(tx, trust.id))
    return text, bearer


def _token(cloud: Cloud, proven: Proven, scope: Scope) -> Token:
    now = clock.now()
    ends = [int(now) + cloud.settings.identity.token_lifetime]
    if proven.expires_at is not None:
        ends.append(proven.expires_at)
    if scope.trust is not None and scope.trust.expires_at is not None:
        ends.append(int(scope.trust.expires_at.replace(tzinfo=UTC).timestamp()))
    chain = (proven.audit_chain_id,) if proven.audit_chain_id else ()
    return Token(
        user_id=proven.user.id,
        methods=tuple(method for method in METHODS if method in proven.methods),
        target=scope.target,
        target_id=scope.target_id,
        audit_ids=(tokens.new_audit_id(), *chain),
        issued_at=now,
        expires_at=min(ends),
        application_credential_id=proven.credential.id if proven.credential else None,
        trust_id=scope.trust.id if scope.trust else None,
        access_token_id=proven.access_token_id,
        thumbprint=proven.thumbprint,
        federation=proven.federation,
    )
