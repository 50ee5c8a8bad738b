# SPDX-License-Identifier: Apache-2.0
"""What can be done with trusts: giving and handing on a share of one's rights, and taking it back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Database, Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.identity.logic import changes, effective, projects, role_names, trust_chains, trust_ends, users
from cumulet.services.identity.logic.moments import expiration
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.logic.proofs import forbidden, is_delegated
from cumulet.services.identity.logic.refusals import not_allowed, refused
from cumulet.services.identity.store import roles as role_store
from cumulet.services.identity.store import trusts as store
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Bearer, Role, Trust

FIELDS = (
    *("trustor_user_id", "trustee_user_id", "project_id", "impersonation", "roles", "expires_at", "remaining_uses"),
    *("redelegated_trust_id", "redelegation_count", "allow_redelegation", "deleted_at", "roles_links"),
)
KIND = "OS-TRUST:trust"


def check_caller(caller: Bearer) -> None:
    """Forbidden for a token that was lent, unless by a trust: handing on a trust is what those are for."""
    token = msgspec.structs.replace(caller.token, trust_id=None)
    if is_delegated(msgspec.structs.replace(caller, token=token)):
        raise forbidden("Delegated tokens cannot manage trusts.")


def get(source: Source, trust_id: str) -> Trust:
    """A trust that can be used; NotFound for one that has ended or is used up."""
    trust = trust_chains.get(source, trust_id)
    if trust.remaining_uses is not None and trust.remaining_uses <= 0:
        raise NotFound(f"Could not find trust: {trust_id}.", code="TrustNotFound")
    return trust


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[Trust]:
    return store.find_all(source, filters)


def roles_of(source: Source, trust: Trust) -> list[Role]:
    return role_store.find_these(source, trust.role_ids)


def create(cloud: Cloud, caller: Bearer, words: Mapping[str, Any]) -> Trust:
    """Store a new trust of the caller, who hands on another one where the token was made by one."""
    if words.get("project_id") and not words.get("roles"):
        raise forbidden("At least one role should be specified")
    if caller.user.id != words["trustor_user_id"]:
        raise forbidden("The authenticated user should match the trustor")
    wanted = _described(cloud.db, words)
    most = cloud.settings.identity.max_redelegation
    news = Teller(cloud)

    def write(tx: Tx) -> Trust:
        users.get(tx, wanted.trustee_user_id)
        parent = get(tx, caller.token.trust_id) if caller.token.trust_id else None
        _check_trustor(tx, wanted)
        new = _counted(wanted, words, parent, most)
        if parent is not None:
            new = _handed_on(tx, new, parent, most)
        _check_unlike(tx, new)
        store.add(tx, new)
        news.tell(tx, KIND, "created", new.id)
        return new

    return cloud.db.write(write)


def delete(cloud: Cloud, trust_id: str) -> None:
    """Take a trust back with all that were made by it; the tokens made by them are void at once."""
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        if store.find(tx, trust_id) is None:
            raise NotFound(f"Could not find trust: {trust_id}.", code="TrustNotFound")
        for one in reversed(trust_ends.bury(tx, [trust_id])):
            news.tell(tx, KIND, "deleted", one)

    cloud.db.write(write)


def use(tx: Tx, trust_id: str) -> None:
    """Count one use of a trust; Unauthorized where none is left."""
    if not store.use_up(tx, trust_id):
        raise refused()


def flush(db: Database, ended_before: datetime | None, equal: Mapping[str, str]) -> int:
    """Forget the trusts that were deleted or have ended, those whose columns are `equal`; how many they were."""
    before = ended_before or clock.utcnow()
    return db.write(lambda tx: store.flush(tx, before, dict(equal)))


def _described(source: Source, words: Mapping[str, Any]) -> Trust:
    """The trust that `words` ask for, before anything is known of who asks."""
    return Trust(
        id=ids.new_hex(),
        trustor_user_id=words["trustor_user_id"],
        trustee_user_id=words["trustee_user_id"],
        project_id=words.get("project_id") or None,
        impersonation=words["impersonation"],
        role_ids=role_names.to_ids(source, words.get("roles", ())),
        expires_at=expiration(words.get("expires_at")),
        remaining_uses=words.get("remaining_uses"),
        redelegated_trust_id=None,
        redelegation_count=0,
        deleted_at=None,
        extra=changes.extras(words, FIELDS),
    )


def _check_trustor(tx: Tx, new: Trust) -> None:
    """NotFound unless the trustor has every role on the project."""
    have: set[str] = set()
    if new.project_id is not None:
        have = effective.ids_on_project(tx, new.trustor_user_id, projects.get(tx, new.project_id))
    for role_id in new.role_ids:
        if role_id not in have:
            raise NotFound(f"Could not find role: {role_id}.", code="RoleNotFound")


def _counted(new: Trust, words: Mapping[str, Any], parent: Trust | None, most: int) -> Trust:
    """The trust with how often it may be handed on."""
    asked = words.get("redelegation_count")
    if not words.get("allow_redelegation") or asked == 0:
        return new
    if asked and asked > most:
        raise not_allowed(f"Requested redelegation depth of {asked} is greater than allowed {most}")
    if new.remaining_uses is not None:
        raise Invalid("remaining_uses must not be set if redelegation is allowed")
    left = parent.redelegation_count - 1 if parent is not None else most
    if parent is not None and asked and asked != left:
        raise not_allowed(
            'Modifying "redelegation_count" upon redelegation is forbidden. Omitting this parameter is advised.'
        )
    return msgspec.structs.replace(new, redelegation_count=asked or left)


def _handed_on(tx: Tx, new: Trust, parent: Trust, most: int) -> Trust:
    """The trust as one that was made by `parent`, all that stands above allowing it."""
    if parent.project_id != new.project_id:
        raise not_allowed("Some of requested roles are not in redelegated trust")
    line = trust_chains.pedigree(tx, parent)
    ends = [one.expires_at for one in line if one.expires_at is not None]
    handed = msgspec.structs.replace(
        new, redelegated_trust_id=parent.id, expires_at=new.expires_at or min(ends, default=None)
    )
    for one in line:
        trust_chains.check_link(one, handed, most)
    return handed


def _check_unlike(tx: Tx, new: Trust) -> None:
    """There is one trust of the same people, project and end."""
    if new.expires_at is None or new.project_id is None:
        return
    alike = ("trustor_user_id", "trustee_user_id", "project_id", "impersonation", "expires_at")
    if store.find_all(tx, [Filter(name, getattr(new, name)) for name in alike]):
        raise Conflict("Conflict occurred attempting to store trust - Duplicate entry.")
