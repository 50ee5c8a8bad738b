# SPDX-License-Identifier: Apache-2.0
"""A revocation voids the tokens that match all it says, and no others."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.identity.logic import grants, groups, revocations, roles, users
from cumulet.services.identity.store import revocations as store
from cumulet.services.identity.types import SYSTEM_ID, Actor, Assignment, Bearer, Project, Target, Token, User

CTX = Context(system_scope="all")

NAMES = ("a", "b")
SAID = {
    name: st.none() | st.sampled_from(NAMES)
    for name in ("user_id", "project_id", "domain_id", "audit_id", "audit_chain_id")
}


def domain(name: str) -> Project:
    return Project(name, name, None, None, "", True, True, {}, {})


@st.composite
def bearers(draw: st.DrawFn) -> Bearer:
    pick = st.sampled_from(NAMES)
    home, place = domain(draw(pick)), domain(draw(pick))
    project = Project(draw(pick), "p", place.id, place.id, "", True, False, {}, {}) if draw(st.booleans()) else None
    audits = tuple(draw(st.lists(pick, min_size=1, max_size=2)))
    user = User(draw(pick), "u", home.id, None, True, {}, {}, clock.utcnow())
    token = Token(user.id, ("password",), None, None, audits, clock.now() - 1, 0)
    return Bearer(token=token, user=user, user_domain=home, project=project, project_domain=place if project else None)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.fixed_dictionaries(SAID).filter(lambda said: any(said.values())), bearer=bearers())
def test_a_revocation_voids_what_matches(cloud: Cloud, said: dict[str, str | None], bearer: Bearer) -> None:
    def write(tx: Tx) -> None:
        store.forget(tx, clock.utcnow().replace(year=2999))
        revocations.revoke(tx, **said)

    cloud.db.write(write)
    domains = {bearer.user_domain.id, *([bearer.project_domain.id] if bearer.project_domain else [])}
    has = {
        "user_id": {bearer.user.id},
        "project_id": {bearer.project.id} if bearer.project else set(),
        "domain_id": domains,
        "audit_id": {bearer.token.audit_ids[0]},
        "audit_chain_id": {bearer.token.audit_ids[-1]},
    }
    expected = all(value is None or value in has[name] for name, value in said.items())
    assert revocations.is_revoked(cloud.db, bearer) == expected


def revoked(cloud: Cloud) -> set[str | None]:
    """Of whom all tokens are void."""
    return {one.user_id for one in store.find_all(cloud.db)}


def test_members_who_leave_a_group(cloud: Cloud) -> None:
    user = users.create(cloud, CTX, {"name": "u"})
    group = groups.create(cloud, CTX, {"name": "g"})
    groups.join(cloud, group.id, user.id)
    assert user.id not in revoked(cloud)
    groups.leave(cloud, group.id, user.id)
    assert user.id in revoked(cloud)


@pytest.mark.parametrize("given", [True, False])
def test_members_of_a_group_that_goes(cloud: Cloud, given: bool) -> None:
    user = users.create(cloud, CTX, {"name": "u"})
    group = groups.create(cloud, CTX, {"name": "g"})
    groups.join(cloud, group.id, user.id)
    if given:
        role = roles.create(cloud, {"name": "r"})
        grants.create(cloud, Assignment(Actor.GROUP, group.id, Target.SYSTEM, SYSTEM_ID, role.id, False))
    groups.delete(cloud, group.id)
    assert (user.id in revoked(cloud)) is given
