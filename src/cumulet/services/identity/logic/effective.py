# SPDX-License-Identifier: Apache-2.0
"""The roles that a user has in effect: own and by groups, inherited from above, and implied by others."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cumulet.kernel.db import Source
from cumulet.services.identity.store import assignments, groups, projects, roles
from cumulet.services.identity.types import SYSTEM_ID, Assignment, Project, Role, Target


def on_project(source: Source, user_id: str, project: Project, more: Iterable[str] = ()) -> list[Role]:
    """The user's roles on a project, or on a domain as the project that it is; `more` groups are the user's too."""
    return _roles(source, user_id, _counts_on(source, project), more)


def ids_on_project(source: Source, user_id: str, project: Project) -> set[str]:
    """The ids of the user's roles on a project, those of domains' own among them, which no token shows."""
    return set(_ids(source, user_id, _counts_on(source, project)))


def on_domain(source: Source, user_id: str, domain_id: str, more: Iterable[str] = ()) -> list[Role]:
    """The user's roles on a domain."""
    place = (Target.DOMAIN, domain_id, False)
    return _roles(source, user_id, lambda assignment: place == _place(assignment), more)


def on_system(source: Source, user_id: str, more: Iterable[str] = ()) -> list[Role]:
    """The user's roles on the system."""
    place = (Target.SYSTEM, SYSTEM_ID, False)
    return _roles(source, user_id, lambda assignment: place == _place(assignment), more)


def ancestors(source: Source, project: Project) -> list[Project]:
    """What stands above a project, the nearest first, its domain last."""
    found: list[Project] = []
    parent_id = project.parent_id
    while parent_id is not None:
        parent = projects.find(source, parent_id)
        if parent is None:
            break
        found.append(parent)
        parent_id = parent.parent_id
    return found


def implied(source: Source, role_ids: Iterable[str]) -> dict[str, str | None]:
    """These roles and all that they imply, each with the role that brought it in (None for those given)."""
    rules: dict[str, list[str]] = {}
    for rule in roles.implications(source):
        rules.setdefault(rule.prior_id, []).append(rule.implied_id)
    found: dict[str, str | None] = dict.fromkeys(role_ids)
    waiting = list(found)
    while waiting:
        prior = waiting.pop(0)
        for role_id in rules.get(prior, ()):
            if role_id not in found:
                found[role_id] = prior
                waiting.append(role_id)
    return found


def _counts_on(source: Source, project: Project) -> Callable[[Assignment], bool]:
    """Whether an assignment counts on a project: it stands there, or is inherited from above."""
    above = [(Target.PROJECT, ancestor.id) for ancestor in ancestors(source, project) if not ancestor.is_domain]
    above.append((Target.DOMAIN, project.domain_id or project.id))

    def counts(assignment: Assignment) -> bool:
        if assignment.inherited:
            return (assignment.target, assignment.target_id) in above
        return assignment.target == Target.PROJECT and assignment.target_id == project.id

    return counts


def _roles(source: Source, user_id: str, counts: Callable[[Assignment], bool], more: Iterable[str] = ()) -> list[Role]:
    found = _ids(source, user_id, counts, more)
    return [role for role in roles.find_these(source, found) if role.domain_id is None] if found else []


def _ids(
    source: Source, user_id: str, counts: Callable[[Assignment], bool], more: Iterable[str] = ()
) -> dict[str, str | None]:
    """The roles given to a user where `counts` says so, and those implied."""
    held = assignments.of_user(source, user_id, [*groups.ids_of_user(source, user_id), *more])
    given = [assignment.role_id for assignment in held if counts(assignment)]
    return implied(source, given) if given else {}


def _place(assignment: Assignment) -> tuple[str, str, bool]:
    return assignment.target, assignment.target_id, assignment.inherited
