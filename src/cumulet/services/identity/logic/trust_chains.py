# SPDX-License-Identifier: Apache-2.0
"""Trusts made by trusts: whether a chain of them still holds, and which roles come out at its end."""

from __future__ import annotations

from itertools import pairwise

from cumulet.kernel import clock
from cumulet.kernel.db import Source
from cumulet.kernel.errors import NotFound
from cumulet.services.identity.logic import effective
from cumulet.services.identity.logic.refusals import not_allowed
from cumulet.services.identity.store import roles as role_store
from cumulet.services.identity.store import trusts as store
from cumulet.services.identity.store import users
from cumulet.services.identity.types import Project, Role, Trust


def get(source: Source, trust_id: str) -> Trust:
    """A trust that has not ended, used up or not; Forbidden where the chain that it stands on is broken."""
    trust = _living(source, trust_id)
    line = pedigree(source, trust)
    for child, parent in pairwise(line):
        check_link(parent, child, _DEEPEST)
        agent = users.find(source, parent.trustee_user_id)
        if agent is None or not agent.enabled:
            raise not_allowed("One of the trust agents is disabled or deleted")
    return trust


def pedigree(source: Source, trust: Trust) -> list[Trust]:
    """The trust and those above it, the first one of all last."""
    line = [trust]
    while (above := line[-1].redelegated_trust_id) is not None:
        line.append(_living(source, above))
    return line


def check_link(parent: Trust, child: Trust, most: int) -> None:
    """Forbidden unless `parent` may be handed on as `child`; `most` is how often trusts may be handed on at all."""
    if not 0 < parent.redelegation_count <= most:
        raise not_allowed(
            f"Remaining redelegation depth of {parent.redelegation_count} out of allowed range of [0..{most}]"
        )
    if child.remaining_uses is not None:
        raise not_allowed(
            f'Field "remaining_uses" is set to {child.remaining_uses} while it must not be set in order to redelegate '
            "a trust"
        )
    if parent.expires_at is not None and (child.expires_at is None or parent.expires_at < child.expires_at):
        raise not_allowed("Requested expiration time is more than redelegated trust can provide")
    if not set(child.role_ids) <= set(parent.role_ids):
        raise not_allowed("Some of requested roles are not in redelegated trust")
    if child.impersonation and not parent.impersonation:
        raise not_allowed(
            "Impersonation is not allowed because redelegated trust does not specify impersonation. Redelegated trust "
            f"id: {parent.id}"
        )


def roles(source: Source, trust: Trust, project: Project) -> list[Role]:
    """The roles that a trust lends, with those implied; Forbidden where its givers have not all of them any more."""
    lent = effective.implied(source, trust.role_ids)
    for giver in {trust.trustor_user_id, pedigree(source, trust)[-1].trustor_user_id}:
        if not set(lent) <= effective.ids_on_project(source, giver, project):
            raise not_allowed("Trustee has no delegated roles.")
    return [role for role in role_store.find_these(source, lent) if role.domain_id is None]


_DEEPEST = 1 << 31  # what was made under another setting stays good


def _living(source: Source, trust_id: str) -> Trust:
    trust = store.find(source, trust_id)
    if trust is None or (trust.expires_at is not None and trust.expires_at < clock.utcnow()):
        raise NotFound(f"Could not find trust: {trust_id}.", code="TrustNotFound")
    return trust
