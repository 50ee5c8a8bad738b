# SPDX-License-Identifier: Apache-2.0
"""Secrets that stand for a user in one project, with no more roles than the user has there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Unsupported
from cumulet.services.identity.logic import effective, passwords, revocations
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.store import application_credentials as store
from cumulet.services.identity.store import projects, roles
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import ApplicationCredential, Role


def get(source: Source, credential_id: str) -> ApplicationCredential:
    found = store.find(source, credential_id)
    if found is None:
        raise NotFound(f"Could not find Application Credential: {credential_id}.", code="ApplicationCredentialNotFound")
    return found


def of_user(source: Source, user_id: str, filters: Iterable[Filter] = ()) -> list[ApplicationCredential]:
    return store.of_user(source, user_id, filters)


def roles_of(source: Source, credential: ApplicationCredential) -> list[Role]:
    return roles.find_these(source, credential.role_ids)


def create(
    cloud: Cloud, ctx: Context, words: Mapping[str, Any], used: ApplicationCredential | None
) -> tuple[ApplicationCredential, str]:
    """Store a new credential of the caller in the token's project; also returns the secret, which is told only now.

    `used` is the credential that the caller's own token was made with.
    """
    if words.get("access_rules"):
        raise Unsupported("Access rules of application credentials are not supported.")
    if ctx.project_id is None:
        raise Invalid("Application credentials are made with a token that is scoped to a project.")
    check_manageable(used)
    secret = words.get("secret") or ids.new_secret(64)
    hashed = passwords.make_hash(secret, cloud.settings.identity)
    new = ApplicationCredential(
        id=ids.new_hex(),
        user_id=ctx.user_id,
        project_id=ctx.project_id,
        name=words["name"],
        description=words.get("description"),
        hash=hashed,
        unrestricted=words.get("unrestricted"),
        role_ids=_wanted_roles(cloud.db, ctx, words),
        expires_at=_moment(words.get("expires_at")),
        created_at=clock.utcnow(),
    )

    news = Teller(cloud)

    def write(tx: Tx) -> None:
        if store.find_by_name(tx, new.user_id, new.name) is not None:
            raise Conflict(
                "Conflict occurred attempting to store application_credential - "
                f"Duplicate entry found with name {new.name}."
            )
        store.add(tx, new)
        news.tell(tx, "application_credential", "created", new.id)

    cloud.db.write(write)
    return new, secret


def delete(cloud: Cloud, credential_id: str, used: ApplicationCredential | None) -> None:
    """Remove a credential; the tokens made with it are void at once."""
    check_manageable(used)
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
        raise Forbidden(
            "You are not authorized to perform the requested action: Using method 'application_credential' is not "
            "allowed for managing additional application credentials.."
        )


def _wanted_roles(source: Source, ctx: Context, words: Mapping[str, Any]) -> list[str]:
    """The ids of the roles asked for, all of which the caller has on the project; all of those where none is asked."""
    project = projects.find(source, ctx.project_id or "")
    have = effective.on_project(source, ctx.user_id, project) if project is not None else []
    if not words.get("roles"):
        return sorted(role.id for role in have if role.name in ctx.roles)
    wanted = []
    for said in words["roles"]:
        found = roles.find(source, said["id"]) if "id" in said else roles.find_by_name(source, said["name"])
        if found is None and "name" in said:
            raise NotFound(f"Role {said['name']} is not defined", code="RoleNotFound")
        if found is None or found.id not in {role.id for role in have}:
            raise Invalid(
                "Invalid application credential: Cannot create an application credential with unassigned role"
            )
        wanted.append(found.id)
    return wanted


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(
            "Timestamp not in expected format. The server could not comply with the request since it is either "
            "malformed or otherwise incorrect. The client is assumed to be in error."
        ) from None
    moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    if moment < clock.utcnow():
        raise Invalid(
            "The 'expires_at' must not be before now. The server could not comply with the request since it is either "
            "malformed or otherwise incorrect. The client is assumed to be in error."
        )
    return moment
