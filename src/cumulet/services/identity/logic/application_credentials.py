# SPDX-License-Identifier: Apache-2.0
"""Secrets that stand for a user in one project, with no more roles than the user has there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from cumulet.services.identity.logic import access_rules, effective, passwords, revocations, role_names
from cumulet.services.identity.logic.moments import expiration
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.logic.proofs import forbidden
from cumulet.services.identity.store import application_credentials as store
from cumulet.services.identity.store import roles
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import ApplicationCredential, Bearer, Role


def get(source: Source, credential_id: str) -> ApplicationCredential:
    found = store.find(source, credential_id)
    if found is None:
        raise NotFound(f"Could not find Application Credential: {credential_id}.", code="ApplicationCredentialNotFound")
    return found


def of_user(source: Source, user_id: str, filters: Iterable[Filter] = ()) -> list[ApplicationCredential]:
    return store.of_user(source, user_id, filters)


def roles_of(source: Source, credential: ApplicationCredential) -> list[Role]:
    return roles.find_these(source, credential.role_ids)


def create(cloud: Cloud, caller: Bearer, words: Mapping[str, Any]) -> tuple[ApplicationCredential, str]:
    """Store a new credential of the caller in the token's project; also returns the secret, which is told only now."""
    if caller.project is None:
        raise Invalid("Application credentials are made with a token that is scoped to a project.")
    check_manageable(caller.application_credential)
    secret = words.get("secret") or ids.new_secret(64)
    new = ApplicationCredential(
        id=ids.new_hex(),
        user_id=caller.user.id,
        project_id=caller.project.id,
        name=words["name"],
        description=words.get("description"),
        hash=passwords.make_hash(secret, cloud.settings.identity),
        unrestricted=words.get("unrestricted"),
        role_ids=_wanted_roles(cloud.db, caller, words),
        expires_at=expiration(words.get("expires_at") or None),
        created_at=clock.utcnow(),
    )
    return _add(cloud, new, words.get("access_rules", ())), secret


def _add(cloud: Cloud, new: ApplicationCredential, limits: Iterable[Mapping[str, str]]) -> ApplicationCredential:
    news = Teller(cloud)
    most = cloud.settings.identity.application_credential_limit

    def write(tx: Tx) -> ApplicationCredential:
        tx.lock(f"identity:application_credentials:{new.user_id}")
        if 0 <= most <= len(store.of_user(tx, new.user_id)):
            raise Forbidden(
                f"Unable to create additional application credentials, maximum of {most} already exceeded for user."
            )
        if store.find_by_name(tx, new.user_id, new.name) is not None:
            raise Conflict(
                "Conflict occurred attempting to store application_credential - "
                f"Duplicate entry found with name {new.name}."
            )
        rule_ids = access_rules.find_or_make(tx, new.user_id, limits)
        limited = msgspec.structs.replace(new, access_rule_ids=rule_ids or None)
        store.add(tx, limited)
        news.tell(tx, "application_credential", "created", new.id)
        return limited

    return cloud.db.write(write)


def delete(cloud: Cloud, credential_id: str, caller: Bearer) -> None:
    """Remove a credential; the tokens made with it are void at once."""
    check_manageable(caller.application_credential)
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        get(tx, credential_id)
        store.remove(tx, credential_id)
        news.tell(tx, "application_credential", "deleted", credential_id)
        revocations.changed(tx)

    cloud.db.write(write)


def check_manageable(used: ApplicationCredential | None) -> None:
    """A token made with a restricted credential must not manage credentials."""
    if used is not None and not used.unrestricted:
        raise forbidden(
            "Using method 'application_credential' is not allowed for managing additional application credentials."
        )


def _wanted_roles(source: Source, caller: Bearer, words: Mapping[str, Any]) -> list[str]:
    """The ids of the roles asked for and of those implied, all of which the caller's token has; else all of its own."""
    have = [role.id for role in caller.roles]
    if not words.get("roles"):
        return sorted(have)
    wanted = effective.implied(source, role_names.to_ids(source, words["roles"]))
    if not set(wanted) <= set(have):
        raise Invalid("Invalid application credential: Cannot create an application credential with unassigned role")
    return list(wanted)
