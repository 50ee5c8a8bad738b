# SPDX-License-Identifier: Apache-2.0
"""People of identity's unit tests, and how they log in."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.services.identity.logic import credentials, grants, login, projects, users
from cumulet.services.identity.logic.proofs import NOTHING, Carried
from cumulet.services.identity.store import roles
from cumulet.services.identity.types import Actor, Assignment, Bearer, Project, Role, Target, User

CTX = Context(system_scope="all")
WORD = "a long word"


def user(cloud: Cloud, name: str, **words: Any) -> User:
    return users.create(cloud, CTX, {"name": name, "password": WORD, **words})


def project(cloud: Cloud, name: str) -> Project:
    return projects.create(cloud, CTX, {"name": name})


def role(cloud: Cloud, name: str) -> Role:
    found = roles.find_by_name(cloud.db, name)
    assert found is not None
    return found


def grant(cloud: Cloud, who: User, where: Project, name: str) -> Assignment:
    given = Assignment(Actor.USER, who.id, Target.PROJECT, where.id, role(cloud, name).id, False)
    grants.create(cloud, given)
    return given


def with_secret(cloud: Cloud, who: User, secret: str) -> None:
    """Give somebody a secret for passcodes."""
    credentials.create(cloud, {"type": "totp", "blob": secret, "user_id": who.id})


def log_in(cloud: Cloud, scope: Any = None, carried: Carried = NOTHING, **identity: Any) -> tuple[str, Bearer]:
    """A token by the methods that the keywords name."""
    auth = {"identity": {"methods": list(identity), **identity}}
    return login.login(cloud, {**auth, "scope": scope} if scope is not None else auth, carried)


def by_password(who: User, word: str = WORD) -> dict[str, Any]:
    return {"user": {"id": who.id, "password": word}}


def in_project(where: Project) -> dict[str, Any]:
    return {"project": {"id": where.id}}
