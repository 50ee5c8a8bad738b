# SPDX-License-Identifier: Apache-2.0
"""The method `token`: a token exchanged for one in another scope, which ends when the first one does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.services.identity.logic import login_news, tokens
from cumulet.services.identity.logic.proofs import Attempt, Proven, forbidden, is_delegated
from cumulet.services.identity.types import Bearer


def prove(cloud: Cloud, words: Mapping[str, Any], attempt: Attempt) -> Proven:
    bearer = tokens.validate(cloud, words["id"])
    _may_exchange(bearer, attempt.scope)
    token = bearer.token
    if token.target is not None and not cloud.settings.identity.rescope:
        raise forbidden("rescope a scoped token")
    proven = Proven(
        user=bearer.user,
        methods=("token", *token.methods),
        expires_at=token.expires_at,
        audit_chain_id=token.audit_chain_id,
        federation=token.federation,
    )
    if token.federation is not None:
        login_news.tell_exchanged(cloud, proven, token.audit_id)
    return proven


def _may_exchange(bearer: Bearer, scope: Any) -> None:
    """Refuse to make more of a token than it was given for."""
    wanted = scope if isinstance(scope, dict) else {}
    if bearer.token.access_token_id is not None:
        raise forbidden("Using OAuth-scoped token to create another token. Create a new OAuth-scoped token instead")
    if bearer.token.trust_id is not None:
        raise forbidden("Using trust-scoped token to create another token. Create a new trust-scoped token instead")
    if bearer.system and ("project" in wanted or "domain" in wanted):
        raise forbidden("Using a system-scoped token to create a project-scoped or domain-scoped token is not allowed.")
    if is_delegated(bearer):
        raise forbidden("Using a delegated token to create another token is not allowed.")
