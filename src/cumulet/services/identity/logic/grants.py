# SPDX-License-Identifier: Apache-2.0
"""Giving roles to users and groups, on projects, domains and the system, and taking them back."""

from __future__ import annotations

from collections.abc import Callable

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Forbidden, Invalid, NotFound
from cumulet.services.identity.logic import domains, groups, projects, revocations, roles, users
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.store import application_credentials, assignments
from cumulet.services.identity.store import groups as group_store
from cumulet.services.identity.types import Actor, Assignment, Role, Target

_MISSING = "RoleAssignmentNotFound"


def find_all(source: Source, given: Assignment) -> list[Role]:
    """The roles that the actor was given on the target itself; `given` says all but the role."""
    check_parties(source, given)
    found = assignments.find_all(
        source,
        actor=given.actor,
        actor_id=given.actor_id,
        target=given.target,
        target_id=given.target_id,
        inherited=given.inherited,
    )
    return [roles.get(source, one.role_id) for one in found]


def check(source: Source, given: Assignment) -> None:
    """NotFound unless there is such a grant."""
    check_parties(source, given)
    roles.get(source, given.role_id)
    if not assignments.exists(source, given):
        raise _missing(given)


def create(cloud: Cloud, given: Assignment) -> None:
    """Give a role; one that was given already stays."""
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        check_parties(tx, given)
        role = roles.get(tx, given.role_id)
        if role.domain_id is not None:
            _check_domain_role(tx, role, given)
        assignments.add(tx, given)
        revocations.changed(tx)
        news.tell_grant(tx, "created", given)

    _write(cloud, write, lambda tx: news.tell_grant(tx, "created", given, "failure"))


def delete(cloud: Cloud, given: Assignment) -> None:
    """Take a role back, and with it the application credentials that stood on it."""
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        roles.get(tx, given.role_id)
        if not given.inherited:
            _check_target(tx, given)
        if not assignments.remove(tx, given):
            raise _missing(given)
        if given.target == Target.PROJECT:
            for user_id in _users(tx, given):
                application_credentials.remove_of(tx, user_id, given.target_id)
        revocations.changed(tx)
        news.tell_grant(tx, "deleted", given)

    _write(cloud, write, lambda tx: news.tell_grant(tx, "deleted", given, "failure"))


def check_parties(source: Source, given: Assignment) -> None:
    """NotFound unless actor and target are there."""
    if given.actor == Actor.USER:
        users.get(source, given.actor_id)
    else:
        groups.get(source, given.actor_id)
    _check_target(source, given)


def _check_target(source: Source, given: Assignment) -> None:
    if given.target == Target.PROJECT:
        projects.get(source, given.target_id)
    elif given.target == Target.DOMAIN:
        domains.get(source, given.target_id)


def _write(cloud: Cloud, write: Callable[[Tx], None], refused: Callable[[Tx], None]) -> None:
    """Do `write`; what it refuses though all that it names is there is told of, by `refused`, as Keystone does."""
    try:
        cloud.db.write(write)
    except (Forbidden, Invalid, NotFound) as error:
        if not isinstance(error, NotFound) or error.code == _MISSING:
            cloud.db.write(refused)
        raise


def _check_domain_role(tx: Tx, role: Role, given: Assignment) -> None:
    """A domain's own role is for the projects of that domain."""
    if given.target == Target.SYSTEM:
        raise Invalid(
            f"Role {role.id} is a domain-specific role. Unable to use a domain-specific role in a system assignment."
        )
    if given.target == Target.PROJECT and projects.get(tx, given.target_id).domain_id != role.domain_id:
        raise Forbidden(f"Project {given.target_id} must be in the same domain as the role {role.id} being assigned.")


def _users(tx: Tx, given: Assignment) -> list[str]:
    if given.actor == Actor.USER:
        return [given.actor_id]
    return [user.id for user in group_store.members(tx, given.actor_id)]


def _missing(given: Assignment) -> NotFound:
    return NotFound(
        f"Could not find role assignment with role: {given.role_id}, user or group: {given.actor_id}, "
        f"project, domain, or system: {given.target_id}.",
        code=_MISSING,
    )
