# SPDX-License-Identifier: Apache-2.0
"""Tokens to callers: remembered while nothing changes, and never a moment longer, in every process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from identity_cloud import make_cloud

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.errors import Unauthorized
from cumulet.services.identity.facade import Identity, TokenAuthenticator
from cumulet.services.identity.logic import bearers, domains, grants, login, projects, tokens, users
from cumulet.services.identity.store import revocations, roles
from cumulet.services.identity.types import Actor, Assignment, Target

CTX = Context(system_scope="all")


@pytest.fixture
def other_process(cloud: Cloud) -> Iterator[Cloud]:
    other = make_cloud(cloud.settings.state)
    yield other
    other.db.close()


class Person:
    """A member of a project of one's own, logged in there."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.user = users.create(cloud, CTX, {"name": "eve", "password": "secret"})
        self.project = projects.create(cloud, CTX, {"name": "lab"})
        member = roles.find_by_name(cloud.db, "member")
        assert member is not None
        self.grant = Assignment(Actor.USER, self.user.id, Target.PROJECT, self.project.id, member.id, False)
        grants.create(cloud, self.grant)

    def log_in(self, scope: Any = None) -> str:
        identity = {"methods": ["password"], "password": {"user": {"id": self.user.id, "password": "secret"}}}
        wanted = scope or {"project": {"id": self.project.id}}
        return login.login(self.cloud, {"identity": identity, "scope": wanted})[0]


@pytest.fixture
def person(cloud: Cloud) -> Person:
    return Person(cloud)


CHANGES = {
    "revocation": lambda person, token: tokens.revoke(person.cloud, token),
    "password": lambda person, token: users.update(person.cloud, person.user.id, {"password": "other"}),
    "disabled user": lambda person, token: users.update(person.cloud, person.user.id, {"enabled": False}),
    "deleted user": lambda person, token: users.delete(person.cloud, person.user.id),
    "removed role": lambda person, token: grants.delete(person.cloud, person.grant),
    "disabled project": lambda person, token: projects.update(person.cloud, person.project.id, {"enabled": False}),
    "disabled domain": lambda person, token: domains.update(person.cloud, "default", {"enabled": False}),
    "all the user's tokens": lambda person, token: tokens.revoke_all(person.cloud, person.user.id),
    "deleted project": lambda person, token: projects.delete(person.cloud, person.project.id),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_felt_at_once_in_every_process(
    cloud: Cloud, other_process: Cloud, person: Person, change: str
) -> None:
    here, there = TokenAuthenticator(cloud), TokenAuthenticator(other_process)
    token = person.log_in()
    assert here.context(token) == there.context(token)
    assert here.context(token).roles == {"member", "reader"}
    CHANGES[change](person, token)
    for authenticator in (here, there):
        with pytest.raises(Unauthorized):
            authenticator.context(token)


def test_a_new_role_is_felt_at_once(cloud: Cloud, person: Person) -> None:
    authenticator = TokenAuthenticator(cloud)
    token = person.log_in()
    authenticator.context(token)
    manager = roles.find_by_name(cloud.db, "manager")
    assert manager is not None
    grants.create(cloud, Assignment(Actor.USER, person.user.id, Target.PROJECT, person.project.id, manager.id, False))
    assert "manager" in authenticator.context(token).roles


def test_a_known_token_costs_one_read(cloud: Cloud, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    authenticator = TokenAuthenticator(cloud)
    token = person.log_in()
    known = authenticator.context(token)
    monkeypatch.setattr(bearers, "load", lambda *_: pytest.fail("the token was read again"))
    assert authenticator.context(token) == known


def test_a_token_ends_by_itself(cloud: Cloud, person: Person) -> None:
    authenticator = TokenAuthenticator(cloud)
    token = person.log_in()
    ends = authenticator.context(token).expires_at
    try:
        clock.set_source(lambda: ends)
        with pytest.raises(Unauthorized):
            authenticator.context(token)
    finally:
        clock.set_source()


def test_tokens_of_the_same_moment_as_a_change_of_password_are_told_apart(cloud: Cloud, person: Person) -> None:
    authenticator = TokenAuthenticator(cloud)
    old = person.log_in()
    users.update(cloud, person.user.id, {"password": "secret"})
    new = person.log_in()
    assert authenticator.context(new).user_id == person.user.id
    with pytest.raises(Unauthorized):
        authenticator.context(old)


def test_a_service_token_vouches(cloud: Cloud, person: Person) -> None:
    authenticator = TokenAuthenticator(cloud)
    token = person.log_in()
    service = roles.find_by_name(cloud.db, "service")
    assert service is not None
    grants.create(cloud, Assignment(Actor.USER, person.user.id, Target.PROJECT, person.project.id, service.id, False))
    assert authenticator.context(token, token).is_service
    assert not authenticator.context(token).is_service
    with pytest.raises(Unauthorized):
        authenticator.context(token, "nonsense")


def test_old_revocations_are_forgotten(cloud: Cloud, person: Person) -> None:
    from cumulet.services.identity.loops import LOOPS

    tokens.revoke(cloud, person.log_in())
    assert revocations.find_all(cloud.db)
    LOOPS[0].work(cloud)
    assert revocations.find_all(cloud.db), "a revocation outlives the tokens that it concerns"
    settings = cloud.settings.identity
    later = clock.now() + settings.token_lifetime + settings.allow_expired_window + 3600
    try:
        clock.set_source(lambda: later)
        LOOPS[0].work(cloud)
    finally:
        clock.set_source()
    assert not revocations.find_all(cloud.db)


def test_other_services_ask_by_the_contract(cloud: Cloud, person: Person) -> None:
    identity = Identity()
    project = identity.project(cloud.db, person.project.id)
    assert project is not None
    assert (project.name, project.domain_id, project.enabled) == ("lab", "default", True)
    assert identity.project_named(cloud.db, "lab") == project
    assert project in identity.projects(cloud.db)
    assert identity.project(cloud.db, "default") is None, "a domain is no project"
    user = identity.user(cloud.db, person.user.id)
    assert user is not None
    assert user.name == "eve"
    domain = identity.domain(cloud.db, "default")
    assert domain is not None
    assert domain.name == "Default"
    assert identity.url(cloud.db, "identity") == f"{cloud.settings.control_url}/identity"
    assert identity.url(cloud.db, "nothing") is None
    assert identity.user(cloud.db, "nobody") is identity.domain(cloud.db, "nowhere") is None
