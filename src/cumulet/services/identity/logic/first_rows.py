# SPDX-License-Identifier: Apache-2.0
"""The rows of a new cloud: names and relations as Keystone's own bootstrap makes them."""

from __future__ import annotations

from cumulet.kernel import clock, ids
from cumulet.kernel.db import Source, Tx
from cumulet.services.identity.store import assignments, projects, roles, users
from cumulet.services.identity.types import (
    DEFAULT_DOMAIN,
    SYSTEM_ID,
    Actor,
    Assignment,
    Password,
    Project,
    Role,
    Target,
    User,
)

ADMIN = "admin"
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


def _project(tx: Tx, name: str, description: str) -> str:
    project_id = ids.new_hex()
    projects.add(tx, Project(project_id, name, DEFAULT_DOMAIN, DEFAULT_DOMAIN, description, True, False, {}, {}))
    return project_id
