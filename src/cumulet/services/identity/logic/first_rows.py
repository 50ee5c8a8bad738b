# SPDX-License-Identifier: Apache-2.0
"""The rows of a new cloud: names and relations as Keystone's own bootstrap makes them."""

from __future__ import annotations

from cumulet.kernel import clock, ids
from cumulet.kernel.db import Source, Tx
from cumulet.services.identity.logic import revocations
from cumulet.services.identity.store import accounts, assignments, projects, roles, users
from cumulet.services.identity.types import (
    DEFAULT_DOMAIN,
    SYSTEM_ID,
    Account,
    Actor,
    Assignment,
    Password,
    Project,
    Role,
    Target,
    User,
)

ADMIN = "admin"
ADMIN_PASSWORD = "admin_password"  # noqa: S105  a key of secrets.toml
SERVICE = "service"
ROLES = (ADMIN, "manager", "member", "reader", SERVICE, "ResellerAdmin")
CHAIN = ((ADMIN, "manager"), ("manager", "member"), ("member", "reader"))


def are_there(source: Source) -> bool:
    """Whether the first start has been."""
    return projects.find(source, DEFAULT_DOMAIN) is not None


def make(tx: Tx, hashed_password: str) -> None:
    """Make the default domain, the projects admin and service, the roles, and the user admin, who may do everything."""
    projects.add(tx, Project(DEFAULT_DOMAIN, "Default", None, None, "The default domain", True, True, {}, {}))
    admin_project = _project(tx, ADMIN, "Project of the cloud's administrators.")
    _project(tx, SERVICE, "Project of the cloud's own services.")
    role_ids = {name: ids.new_hex() for name in ROLES}
    for name, role_id in role_ids.items():
        roles.add(tx, Role(role_id, name, None, None, {"immutable": True}, {}))
    for prior, implied in CHAIN:
        roles.imply(tx, role_ids[prior], role_ids[implied])
    user = User(ids.new_hex(), ADMIN, DEFAULT_DOMAIN, None, True, {}, {}, clock.utcnow())
    users.add(tx, user)
    users.set_password(tx, Password(user.id, hashed_password, clock.utcnow()))
    for target, target_id in ((Target.PROJECT, admin_project), (Target.SYSTEM, SYSTEM_ID)):
        assignments.add(tx, Assignment(Actor.USER, user.id, target, target_id, role_ids[ADMIN], False))


def restore_administrator(tx: Tx, hashed_password: str) -> None:
    """Give the user admin a password, every right and an enabled account again; what else there is stays.

    Made anew where they are gone: the user, the role and the project admin.
    """
    role = roles.find_by_name(tx, ADMIN) or Role(ids.new_hex(), ADMIN, None, None, {"immutable": True}, {})
    if roles.find(tx, role.id) is None:
        roles.add(tx, role)
    project = projects.find_by_name(tx, ADMIN, DEFAULT_DOMAIN)
    project_id = project.id if project else _project(tx, ADMIN, "Project of the cloud's administrators.")
    user = users.find_by_name(tx, ADMIN, DEFAULT_DOMAIN)
    if user is None:
        user = User(ids.new_hex(), ADMIN, DEFAULT_DOMAIN, None, True, {}, {}, clock.utcnow())
        users.add(tx, user)
    users.change(tx, user.id, {"enabled": True})
    for place in (DEFAULT_DOMAIN, project_id):
        projects.change(tx, place, {"enabled": True})
    users.set_password(tx, Password(user.id, hashed_password, clock.utcnow()))
    accounts.save(tx, Account(user.id, 0, None, clock.utcnow()))
    for target, target_id in ((Target.PROJECT, project_id), (Target.SYSTEM, SYSTEM_ID)):
        assignments.add(tx, Assignment(Actor.USER, user.id, target, target_id, role.id, False))
    revocations.revoke(tx, user_id=user.id)


def _project(tx: Tx, name: str, description: str) -> str:
    project_id = ids.new_hex()
    projects.add(tx, Project(project_id, name, DEFAULT_DOMAIN, DEFAULT_DOMAIN, description, True, False, {}, {}))
    return project_id
