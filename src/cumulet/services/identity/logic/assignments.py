# SPDX-License-Identifier: Apache-2.0
"""Who has which role on what: as it was given, or as it comes out in effect."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from cumulet.kernel.db import Source
from cumulet.services.identity.logic import effective, projects
from cumulet.services.identity.store import assignments as store
from cumulet.services.identity.store import groups, roles
from cumulet.services.identity.store import projects as project_store
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Actor, Assignment, Project, Target


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a listing is limited to; None: not. `inherited` False leaves out what is inherited, True all else."""

    user_id: str | None = None
    group_id: str | None = None
    role_id: str | None = None
    target: str | None = None
    target_id: str | None = None
    inherited: bool | None = None
    effective: bool = False
    subtree: bool = False


class Held(msgspec.Struct, frozen=True):
    """An assignment, and where it came from: `given` is the one that was made, `prior_id` the role that implied it."""

    now: Assignment
    given: Assignment
    prior_id: str | None = None


def find_all(source: Source, asked: Asked) -> list[Held]:
    """The assignments asked for; in effect, groups, inheritance and implied roles are worked out."""
    if not asked.effective:
        return [Held(one, one) for one in _given(source, asked) if _wanted(source, one, asked)]
    wanted = [held for held in _worked_out(source, asked) if _wanted(source, held.now, asked)]
    # What holds on the system is shown in effect only where it is asked for.
    return [held for held in wanted if asked.target == Target.SYSTEM or held.now.target != Target.SYSTEM]


def _given(source: Source, asked: Asked) -> list[Assignment]:
    actor = Actor.USER if asked.user_id else Actor.GROUP if asked.group_id else None
    return store.find_all(
        source,
        actor=actor,
        actor_id=asked.user_id or asked.group_id,
        role_id=asked.role_id,
        inherited=asked.inherited,
        target=asked.target,
        target_id=None if asked.subtree else asked.target_id,
    )


def _wanted(source: Source, one: Assignment, asked: Asked) -> bool:
    if asked.user_id and (one.actor, one.actor_id) != (Actor.USER, asked.user_id):
        return False
    if asked.role_id and one.role_id != asked.role_id:
        return False
    if asked.target is None:
        return True
    if one.target != asked.target:
        return False
    if asked.target_id is None or one.target_id == asked.target_id:
        return True
    return asked.subtree and one.target_id in {child.id for child in projects.subtree(source, asked.target_id)}


def _worked_out(source: Source, asked: Asked) -> Iterator[Held]:
    if asked.user_id:
        given = store.of_user(source, asked.user_id, groups.ids_of_user(source, asked.user_id))
    else:
        given = store.find_all(source)
    global_roles = {role.id for role in roles.find_all(source) if role.domain_id is None}
    for one in given:
        if asked.inherited in (None, one.inherited):
            for user_id in _users(source, one):
                for target, target_id in _targets(source, one):
                    for role_id, prior_id in effective.implied(source, [one.role_id]).items():
                        if role_id in global_roles:
                            now = Assignment(Actor.USER, user_id, target, target_id, role_id, False)
                            yield Held(now, one, prior_id)


def _users(source: Source, one: Assignment) -> list[str]:
    if one.actor == Actor.USER:
        return [one.actor_id]
    return [user.id for user in groups.members(source, one.actor_id)]


def _targets(source: Source, one: Assignment) -> list[tuple[str, str]]:
    if not one.inherited:
        return [(one.target, one.target_id)]
    below: list[Project]
    if one.target == Target.DOMAIN:
        below = project_store.find_all(source, [Filter("domain_id", one.target_id)])
    else:
        below = projects.subtree(source, one.target_id)
    return [(Target.PROJECT, project.id) for project in below]
