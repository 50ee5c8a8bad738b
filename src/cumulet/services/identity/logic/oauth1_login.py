# SPDX-License-Identifier: Apache-2.0
"""The method `oauth1`: a consumer signs the request to log in with what a user has lent it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import CumuletError, Invalid
from cumulet.services.identity.logic import access_tokens, accounts, consumers, oauth1_secrets, oauth1_signatures, users
from cumulet.services.identity.logic.proofs import Attempt, Proven
from cumulet.services.identity.logic.refusals import not_proven, refused


def prove(cloud: Cloud, words: Mapping[str, Any], attempt: Attempt) -> Proven:
    """NotFound where there is no such access token, Unauthorized for one that has expired and for a wrong signature."""
    carried = attempt.carried
    asked = oauth1_signatures.read(carried.method, carried.url, carried.query_pairs, carried.headers)
    (token_id,) = asked.need("token")
    token = access_tokens.get(cloud.db, token_id)
    if token.expires_at is not None and token.expires_at <= clock.utcnow():
        raise _refused("Access token is expired")
    try:
        oauth1_signatures.check_form(asked)
    except Invalid:
        raise _refused("Could not validate the access token") from None
    consumer = consumers.get(cloud.db, token.consumer_id)
    own, of_token = oauth1_secrets.of(cloud, consumer), oauth1_secrets.of(cloud, token)
    is_its = asked.words["consumer_key"] == consumer.id
    if not oauth1_signatures.is_signed(asked, own, of_token) or not is_its:
        raise _refused("Could not validate the access token")
    user = users.get(cloud.db, token.user_id)
    if not accounts.is_enabled(cloud, user):
        raise refused()
    return Proven(
        user=user,
        methods=("oauth1",),
        expires_at=int(token.expires_at.replace(tzinfo=UTC).timestamp()) if token.expires_at else None,
        project_id=token.project_id,
        access_token_id=token.id,
    )


def _refused(message: str) -> CumuletError:
    return not_proven(message, "OAuthRefused")
