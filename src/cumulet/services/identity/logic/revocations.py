# SPDX-License-Identifier: Apache-2.0
"""Making tokens void, and finding out whether one is.

Every change that can make a token worth less or more calls `changed`, in its own transaction: the epoch grows, and all
processes drop what they concluded from tokens before.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.services.identity.store import revocations as store
from cumulet.services.identity.types import Bearer, Revocation

NAMES = (
    *("user_id", "project_id", "domain_id", "audit_id", "audit_chain_id"),
    *("trust_id", "consumer_id", "access_token_id"),
)
SLACK = timedelta(minutes=30)  # revocations outlive the tokens that they concern by this


def changed(tx: Tx) -> None:
    """Something that tokens stand for has changed."""
    store.next_epoch(tx)


def epoch_now(cloud: Cloud) -> int:
    """How often that has happened: what was concluded in one epoch holds until the next."""
    return store.epoch_now(cloud.db)


def revoke(tx: Tx, **matching: str | None) -> None:
    """Make void all tokens issued until now that match everything given: fields of a Revocation, by name."""
    now = clock.utcnow()
    blank = dict.fromkeys(NAMES)
    store.add(tx, Revocation(id=ids.new_hex(), issued_before=now, revoked_at=now, **{**blank, **matching}))
    changed(tx)


def is_revoked(source: Source, bearer: Bearer) -> bool:
    """Whether a revocation matches this token."""
    said = _said(bearer)
    return any(_matches(revocation, said, bearer) for revocation in store.touching(source, said))


def forget_old(tx: Tx, token_lifetime: int) -> int:
    """Remove the revocations that no living token can match."""
    return store.forget(tx, clock.utcnow() - timedelta(seconds=token_lifetime) - SLACK)


def _matches(revocation: Revocation, said: Mapping[str, set[str]], bearer: Bearer) -> bool:
    if clock.from_seconds(bearer.token.issued_at) > revocation.issued_before:
        return False
    named = ((values, getattr(revocation, name)) for name, values in said.items())
    return all(value is None or value in values for values, value in named)


def _said(bearer: Bearer) -> dict[str, set[str]]:
    """What a revocation of this token may say of it."""
    token, trust, scope = bearer.token, bearer.trust, bearer.project_domain or bearer.domain
    return {
        "user_id": {token.user_id, *((trust.trustor_user_id, trust.trustee_user_id) if trust else ())},
        "project_id": {bearer.project.id} if bearer.project else set(),
        "domain_id": {bearer.user_domain.id} | ({scope.id} if scope else set()),
        "audit_id": {token.audit_id},
        "audit_chain_id": {token.audit_chain_id},
        "trust_id": {token.trust_id} if token.trust_id else set(),
        "consumer_id": {bearer.consumer_id} if bearer.consumer_id else set(),
        "access_token_id": {token.access_token_id} if token.access_token_id else set(),
    }
