# SPDX-License-Identifier: Apache-2.0
"""Making tokens void, and finding out whether one is.

Every change that can make a token worth less or more calls `changed`, in its own transaction: the epoch grows, and all
processes drop what they concluded from tokens before.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cumulet.kernel import clock, ids
from cumulet.kernel.db import Source, Tx
from cumulet.services.identity.store import revocations as store
from cumulet.services.identity.types import Bearer, Revocation

SLACK = timedelta(minutes=30)  # revocations outlive the tokens that they concern by this


def changed(tx: Tx) -> None:
    """Something that tokens stand for has changed."""
    store.next_epoch(tx)


def revoke(
    tx: Tx,
    *,
    user_id: str | None = None,
    project_id: str | None = None,
    domain_id: str | None = None,
    audit_id: str | None = None,
    audit_chain_id: str | None = None,
) -> None:
    """Make void all tokens issued until now that match everything given."""
    now = clock.utcnow()
    store.add(tx, Revocation(ids.new_hex(), user_id, project_id, domain_id, audit_id, audit_chain_id, now, now))
    changed(tx)


def is_revoked(source: Source, bearer: Bearer) -> bool:
    """Whether a revocation matches this token."""
    token = bearer.token
    touching = store.touching(
        source,
        user_id=token.user_id,
        project_id=bearer.project.id if bearer.project else None,
        domain_ids=_domains(bearer),
        audit_id=token.audit_id,
        chain_id=token.audit_chain_id,
    )
    return any(_matches(revocation, bearer) for revocation in touching)


def forget_old(tx: Tx, token_lifetime: int) -> int:
    """Remove the revocations that no living token can match."""
    return store.forget(tx, clock.utcnow() - timedelta(seconds=token_lifetime) - SLACK)


def _matches(revocation: Revocation, bearer: Bearer) -> bool:
    token = bearer.token
    issued_at = datetime.fromtimestamp(token.issued_at, UTC).replace(tzinfo=None)
    return (
        issued_at <= revocation.issued_before
        and revocation.user_id in (None, token.user_id)
        and revocation.project_id in (None, bearer.project.id if bearer.project else "")
        and (revocation.domain_id is None or revocation.domain_id in _domains(bearer))
        and revocation.audit_id in (None, token.audit_id)
        and revocation.audit_chain_id in (None, token.audit_chain_id)
    )


def _domains(bearer: Bearer) -> set[str]:
    """The domains of the user and of the scope."""
    scope = bearer.project_domain or bearer.domain
    return {bearer.user_domain.id} | ({scope.id} if scope else set())
