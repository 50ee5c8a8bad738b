# SPDX-License-Identifier: Apache-2.0
"""What a token is to be good for: the scope that somebody asked for, found and checked."""

from __future__ import annotations

from typing import Any, NamedTuple

from cumulet.kernel.db import Source
from cumulet.kernel.errors import CumuletError, Invalid, NotFound
from cumulet.services.identity.logic import effective, trust_chains
from cumulet.services.identity.logic.refusals import refused
from cumulet.services.identity.store import projects
from cumulet.services.identity.types import SYSTEM_ID, Project, Target, Trust, User


class Scope(NamedTuple):
    """What a token is good for, and by which trust; all None: nothing but to be exchanged."""

    target: str | None = None
    target_id: str | None = None
    trust: Trust | None = None


UNSCOPED = Scope()


def find(source: Source, scope: Any, user: User) -> Scope:
    """The scope of `{"project": ...}`, `{"domain": ...}`, `{"system": ...}`, "unscoped", or the user's own (None).

    `{"OS-TRUST:trust": {"id": ...}}` is the scope of the trust.
    Raises Invalid for more than one of them, and Unauthorized for one that is not there or disabled.
    """
    if scope is None:
        return of_default_project(source, user)
    if scope == "unscoped" or (isinstance(scope, dict) and "unscoped" in scope):
        return UNSCOPED
    wanted = [name for name in ("project", "domain", "system", "OS-TRUST:trust") if name in scope]
    if len(wanted) != 1 or not isinstance(scope, dict):
        raise lacks("system, project, domain, OS-TRUST:trust or unscoped", "scope")
    if wanted == ["project"]:
        return Scope(Target.PROJECT, _project(source, scope["project"]).id)
    if wanted == ["domain"]:
        return Scope(Target.DOMAIN, enabled_domain(source, scope["domain"]).id)
    if wanted == ["OS-TRUST:trust"]:
        return _of_trust(source, scope["OS-TRUST:trust"])
    if wanted == ["system"] and scope["system"].get("all"):
        return Scope(Target.SYSTEM, SYSTEM_ID)
    raise refused()


def of_default_project(source: Source, user: User) -> Scope:
    """The user's default project where there is one that is of use, else none."""
    project = projects.find(source, user.default_project_id) if user.default_project_id else None
    if project is None or not project.enabled:
        return UNSCOPED
    domain = projects.find(source, project.domain_id) if project.domain_id else project
    if domain is None or not domain.enabled or not effective.on_project(source, user.id, project):
        return UNSCOPED
    return Scope(Target.PROJECT, project.id)


def _of_trust(source: Source, words: dict[str, Any]) -> Scope:
    if not words.get("id"):
        raise lacks("trust_id", "trust")
    try:
        trust = trust_chains.get(source, words["id"])
    except NotFound:
        raise refused() from None
    if trust.project_id is None:
        return Scope(trust=trust)
    return Scope(Target.PROJECT, _project(source, {"id": trust.project_id}).id, trust)


def enabled_domain(source: Source, words: dict[str, Any]) -> Project:
    """The domain of `{"id": ...}` or `{"name": ...}`; Unauthorized where it is not there or disabled."""
    if words.get("name"):
        domain = projects.find_by_name(source, words["name"], None)
    elif words.get("id"):
        domain = projects.find(source, words["id"])
    else:
        raise lacks("id or name", "domain")
    if domain is None or not domain.is_domain or not domain.enabled:
        raise refused()
    return domain


def lacks(attribute: str, target: str) -> CumuletError:
    """The refusal of a body in which something is missing, in Keystone's words."""
    return Invalid(
        f"Expecting to find {attribute} in {target}. The server could not comply with the request since it is either "
        "malformed or otherwise incorrect. The client is assumed to be in error."
    )


def _project(source: Source, words: dict[str, Any]) -> Project:
    if words.get("name"):
        if "domain" not in words:
            raise lacks("domain", "project")
        project = projects.find_by_name(source, words["name"], enabled_domain(source, words["domain"]).id)
    else:
        project = projects.find(source, words["id"])
    if project is None or not project.enabled:
        raise refused()
    if project.domain_id is not None:
        enabled_domain(source, {"id": project.domain_id})
    return project
