# SPDX-License-Identifier: Apache-2.0
"""What identity tells the object store of tokens and access keys, and that changes are told by the epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from test_authenticator import Person

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.services.identity import hosts
from cumulet.services.identity.contract import ACCESS_KEY, EPOCH, TOKEN, Allowed
from cumulet.services.identity.logic import (
    application_credentials,
    credentials,
    ec2_credentials,
    grants,
    login,
    tokens,
    users,
)
from cumulet.services.identity.logic.object_store import Holders
from cumulet.services.identity.store import roles


@pytest.fixture
def person(cloud: Cloud) -> Person:
    return Person(cloud)


@pytest.fixture
def holders(cloud: Cloud) -> Holders:
    return Holders(cloud)


def test_a_token_stands_for_its_user_and_project(person: Person, holders: Holders) -> None:
    told = holders.token(person.log_in())
    assert told.epoch == holders.epoch()
    assert told.holder is not None
    assert (told.holder.user_id, told.holder.user_name) == (person.user.id, "eve")
    assert (told.holder.project_id, told.holder.project_name) == (person.project.id, "lab")
    assert (told.holder.user_domain_id, told.holder.project_domain_id) == ("default", "default")
    assert set(told.holder.roles) == {"member", "reader"}
    assert told.holder.allowed is None
    assert told.holder.ends > clock.now()


@pytest.mark.parametrize("token", ["", "nonsense", "gAAAAAB"], ids=["none", "nonsense", "cut"])
def test_what_is_no_token_stands_for_nobody(holders: Holders, token: str) -> None:
    assert holders.token(token).holder is None


def test_a_service_brings_its_roles_and_what_has_ended_not_long_ago(person: Person, holders: Holders) -> None:
    token, service = person.log_in(), person.log_in()
    told = holders.token(token, service)
    assert told.holder is not None
    assert set(told.holder.service_roles) == {"member", "reader"}
    assert holders.token(token, "nonsense").holder is None


@pytest.fixture
def later() -> Iterator[Callable[[float], None]]:
    """Sets the clock so many seconds on."""
    yield lambda seconds: clock.set_source(lambda: time.time() + seconds)
    clock.set_source()


def test_a_service_goes_on_with_what_has_ended(
    person: Person, holders: Holders, later: Callable[[float], None]
) -> None:
    token = person.log_in()
    lifetime = person.cloud.settings.identity.token_lifetime
    later(lifetime + 60)
    member = person.log_in()
    assert holders.token(token).holder is None
    assert holders.token(token, member).holder is None  # no service
    service = roles.find_by_name(person.cloud.db, "service")
    assert service is not None
    grants.create(person.cloud, msgspec.structs.replace(person.grant, role_id=service.id))
    carrier = person.log_in()
    told = holders.token(token, carrier)
    assert told.holder is not None
    assert "service" in told.holder.service_roles
    assert clock.now() < told.holder.ends <= clock.now() + lifetime
    later(lifetime + person.cloud.settings.identity.allow_expired_window + 60)
    assert holders.token(token, person.log_in()).holder is None


def test_without_a_project(person: Person, holders: Holders) -> None:
    told = holders.token(person.log_in("unscoped"))
    assert told.holder is not None
    assert (told.holder.project_id, told.holder.roles) == ("", ())


def test_a_revocation_grows_the_epoch(person: Person, holders: Holders) -> None:
    token = person.log_in()
    before = holders.token(token).epoch
    tokens.revoke(person.cloud, token)
    assert holders.epoch() > before
    assert holders.token(token).holder is None


def test_an_access_key_stands_for_its_user_in_its_project(person: Person, holders: Holders) -> None:
    made = ec2_credentials.create(person.cloud, person.user.id, person.project.id)
    told = holders.access_key(made.access)
    assert told.key is not None
    assert told.key.secret == made.secret
    assert (told.key.holder.user_id, told.key.holder.project_id) == (person.user.id, person.project.id)
    assert "member" in told.key.holder.roles
    assert str(made.secret) not in repr(told)
    assert holders.access_key("other").key is None


@pytest.mark.parametrize("limited", [False, True], ids=["unlimited", "limited"])
def test_what_an_application_credential_has_lent(person: Person, holders: Holders, limited: bool) -> None:
    rule = {"service": "object-store", "method": "GET", "path": "/v1/AUTH_x/**"}
    words = {"name": "lent", "secret": "of its own", "access_rules": [rule] if limited else []}
    credential, _ = application_credentials.create(person.cloud, tokens.read(person.cloud, person.log_in()), words)
    proof = {"id": credential.id, "secret": "of its own"}
    identity = {"methods": ["application_credential"], "application_credential": proof}
    told = holders.token(login.login(person.cloud, {"identity": identity})[0])
    assert told.holder is not None
    assert told.holder.allowed == ((Allowed(**rule),) if limited else None)
    blob = {"access": "lent", "secret": "s", "app_cred_id": credential.id}
    key = {"type": "ec2", "user_id": person.user.id, "project_id": person.project.id}
    credentials.create(person.cloud, {**key, "blob": msgspec.json.encode(blob).decode()})
    made = holders.access_key("lent").key
    assert made is not None
    assert made.holder.allowed == told.holder.allowed


KEY_CHANGES: dict[str, Any] = {
    "deleted key": lambda person, access: ec2_credentials.delete(person.cloud, access),
    "disabled user": lambda person, _access: users.update(person.cloud, person.user.id, {"enabled": False}),
    "deleted user": lambda person, _access: users.delete(person.cloud, person.user.id),
    "removed role": lambda person, _access: grants.delete(person.cloud, person.grant),
}


@pytest.mark.parametrize("change", KEY_CHANGES.values(), ids=KEY_CHANGES)
def test_a_key_that_is_worth_nothing_any_more(person: Person, holders: Holders, change: Any) -> None:
    made = ec2_credentials.create(person.cloud, person.user.id, person.project.id)
    before = holders.access_key(made.access).epoch
    change(person, made.access)
    assert holders.epoch() > before
    assert holders.access_key(made.access).key is None


def test_a_secret_that_was_changed_grows_the_epoch(person: Person, holders: Holders) -> None:
    made = ec2_credentials.create(person.cloud, person.user.id, person.project.id)
    before = holders.epoch()
    blob = msgspec.json.encode({"access": made.access, "secret": "another", "trust_id": None}).decode()
    credentials.update(person.cloud, ec2_credentials.credential_id(made.access), blob)
    assert holders.epoch() > before
    told = holders.access_key(made.access)
    assert told.key is not None
    assert told.key.secret == "another"


def test_the_verbs_of_the_link(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    verbs: dict[str, Any] = {}

    class Desk:
        def answer(self, verb: str, fn: Any, *, afar: bool = False) -> None:
            assert afar
            verbs[verb] = fn

    monkeypatch.setattr(person.cloud, "hosts", Desk())
    hosts.listen(person.cloud)
    assert set(verbs) == {EPOCH, TOKEN, ACCESS_KEY}
    told = verbs[TOKEN]("objects", {"token": person.log_in()})
    assert told["holder"]["user_name"] == "eve"
    assert verbs[EPOCH]("objects", {}) == {"epoch": told["epoch"]}
