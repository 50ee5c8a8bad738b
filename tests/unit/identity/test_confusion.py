# SPDX-License-Identifier: Apache-2.0
"""What must not be taken for something else, last longer than it was given for, or tell who is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from people import WORD, by_password, grant, in_project, log_in, project, role, user

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import CumuletError, Forbidden, Invalid, NotFound, Unauthorized
from cumulet.services.identity import loops
from cumulet.services.identity.facade import TokenAuthenticator
from cumulet.services.identity.logic import (
    access_rules,
    application_credentials,
    domains,
    keys,
    passwords,
    payloads,
    projects,
    roles,
    tokens,
    users,
)
from cumulet.services.identity.store import revocations as revocation_store
from cumulet.services.identity.types import ApplicationCredential, Bearer, User


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    yield
    clock.set_source()


def pass_by(seconds: float) -> None:
    later = clock.now() + seconds
    clock.set_source(lambda: later)


def change(cloud: Cloud, **settings: Any) -> None:
    identity = msgspec.structs.replace(cloud.settings.identity, **settings)
    cloud.settings = msgspec.structs.replace(cloud.settings, identity=identity)


class Robot:
    """Eve's robot: an application credential for her project."""

    def __init__(self, cloud: Cloud, **words: Any) -> None:
        self.cloud = cloud
        self.eve, self.lab = user(cloud, "eve"), project(cloud, "lab")
        grant(cloud, self.eve, self.lab, "member")
        caller = log_in(cloud, in_project(self.lab), password=by_password(self.eve))[1]
        self.credential, self.secret = self.make(caller, name="robot", **words)

    def make(self, caller: Bearer, **words: Any) -> tuple[ApplicationCredential, str]:
        return application_credentials.create(self.cloud, caller, words)

    def log_in(self, secret: str | None = None) -> tuple[str, Bearer]:
        words = {"id": self.credential.id, "secret": secret or self.secret}
        return log_in(self.cloud, application_credential=words)


def test_a_token_sealed_with_other_keys_of_ours_is_none(cloud: Cloud) -> None:
    text, bearer = log_in(cloud, password=by_password(user(cloud, "eve")))
    assert tokens.read(cloud, text).token.audit_id == bearer.token.audit_id
    for ring in (keys.credentials(cloud), keys.receipts(cloud)):
        with pytest.raises(Unauthorized):
            tokens.read(cloud, payloads.seal(ring, bearer.token))


def test_a_token_does_not_outlive_its_only_role(cloud: Cloud) -> None:
    eve, lab = user(cloud, "eve"), project(cloud, "lab")
    only = roles.create(cloud, {"name": "only"})
    grant(cloud, eve, lab, "only")
    text, _ = log_in(cloud, in_project(lab), password=by_password(eve))
    roles.delete(cloud, only.id)
    with pytest.raises(Unauthorized):
        tokens.read(cloud, text)


def test_nobody_learns_who_is_there(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    eve, gone = user(cloud, "eve"), user(cloud, "gone", enabled=False)
    closed = domains.create(cloud, {"name": "closed", "enabled": False})
    user(cloud, "eve", domain_id=closed.id)
    asked: list[dict[str, Any]] = [
        {"id": eve.id, "password": "wrong"},
        {"id": gone.id, "password": WORD},
        {"id": gone.id, "password": "wrong"},
        {"id": "nobody", "password": "wrong"},
        {"id": eve.id},
        {"name": "eve", "domain": {"id": "default"}, "password": "wrong"},
        {"name": "nobody", "domain": {"id": "default"}, "password": "wrong"},
        {"name": "eve", "domain": {"name": "nowhere"}, "password": "wrong"},
        {"name": "eve", "domain": {"name": "closed"}, "password": WORD},
    ]
    compared: list[str] = []
    matches = passwords.matches
    monkeypatch.setattr(passwords, "matches", lambda *words: (compared.append(words[0]), matches(*words))[1])
    answers = set()
    for words in asked:
        before = len(compared)
        with pytest.raises(CumuletError) as met:
            log_in(cloud, password={"user": words})
        answers.add((type(met.value), met.value.message, tuple(met.value.headers), len(compared) - before))
    assert answers == {(Unauthorized, "The request you have made requires authentication.", (), 1)}


def test_a_secret_costs_one_hash_in_a_while(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    robot = Robot(cloud)
    robot.log_in()
    monkeypatch.setattr(passwords, "matches", lambda *_: pytest.fail("the secret was hashed again"))
    assert robot.log_in()[1].token.methods == ("application_credential",)


@pytest.mark.parametrize(
    "end",
    [
        lambda robot: users.update(robot.cloud, robot.eve.id, {"enabled": False}),
        lambda robot: application_credentials.delete(robot.cloud, robot.credential.id, robot.log_in()[1]),
        lambda robot: users.delete(robot.cloud, robot.eve.id),
        lambda robot: domains.update(robot.cloud, "default", {"enabled": False}),
        lambda robot: pass_by(3601),
    ],
    ids=["disabled user", "deleted credential", "deleted user", "disabled domain", "expired"],
)
def test_a_remembered_secret_is_worth_nothing_more(cloud: Cloud, end: Callable[[Robot], object]) -> None:
    robot = Robot(cloud, unrestricted=True, expires_at=(clock.utcnow() + timedelta(hours=1)).isoformat())
    robot.log_in()
    end(robot)
    with pytest.raises((Unauthorized, NotFound)):
        robot.log_in()


def test_another_secret_is_not_remembered_for_it(cloud: Cloud) -> None:
    robot = Robot(cloud)
    robot.log_in()
    with pytest.raises(Unauthorized):
        robot.log_in(robot.secret + "x")
    other, secret = robot.make(log_in(cloud, in_project(robot.lab), password=by_password(robot.eve))[1], name="other")
    assert other.id != robot.credential.id
    with pytest.raises(Unauthorized):
        robot.log_in(secret)


def test_a_credential_makes_none_that_may_do_more(cloud: Cloud) -> None:
    robot = Robot(cloud, unrestricted=True, roles=[{"name": "reader"}])
    _, bearer = robot.log_in()
    assert {one.name for one in bearer.roles} == {"reader"}
    child, _ = robot.make(bearer, name="child")
    assert child.role_ids == [role(cloud, "reader").id]
    with pytest.raises(Invalid, match="unassigned role"):
        robot.make(bearer, name="greedy", roles=[{"name": "member"}])


def test_there_are_no_more_credentials_than_allowed(cloud: Cloud) -> None:
    robot = Robot(cloud, unrestricted=True)
    change(cloud, application_credential_limit=1)
    with pytest.raises(Forbidden, match="maximum of 1"):
        robot.make(robot.log_in()[1], name="second")


class Served:
    """A user's token and a service's, which vouches for it."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.eve, self.lab, self.nova = user(cloud, "eve"), project(cloud, "lab"), user(cloud, "nova")
        grant(cloud, self.eve, self.lab, "member")
        grant(cloud, self.nova, self.lab, "service")
        self.token = self.log_in(self.eve)

    def log_in(self, who: User) -> str:
        return log_in(self.cloud, in_project(self.lab), password=by_password(who))[0]

    def ask(self, service_token: str | None) -> str:
        return TokenAuthenticator(self.cloud).context(self.token, service_token).user_id


def test_a_service_goes_on_with_a_token_that_has_ended(cloud: Cloud) -> None:
    served = Served(cloud)
    pass_by(cloud.settings.identity.token_lifetime + 1)
    with pytest.raises(Unauthorized):
        served.ask(None)
    assert served.ask(served.log_in(served.nova)) == served.eve.id
    with pytest.raises(Unauthorized):
        served.ask(None)


def test_but_not_for_ever(cloud: Cloud) -> None:
    served = Served(cloud)
    pass_by(cloud.settings.identity.token_lifetime + cloud.settings.identity.allow_expired_window + 1)
    with pytest.raises(Unauthorized):
        served.ask(served.log_in(served.nova))


def test_only_a_service_and_only_with_a_living_token(cloud: Cloud) -> None:
    served = Served(cloud)
    old = served.log_in(served.nova)
    pass_by(cloud.settings.identity.token_lifetime + 1)
    for service_token in (old, served.log_in(served.eve), "nonsense"):
        with pytest.raises(Unauthorized):
            served.ask(service_token)


def test_a_revoked_token_stays_revoked_after_its_end(cloud: Cloud) -> None:
    served = Served(cloud)
    tokens.revoke(cloud, served.token)
    pass_by(cloud.settings.identity.token_lifetime * 2)
    loops.prune_revocations(cloud)
    with pytest.raises(Unauthorized):
        served.ask(served.log_in(served.nova))


def test_a_scoped_token_is_not_exchanged_where_that_is_not_wanted(cloud: Cloud) -> None:
    served = Served(cloud)
    unscoped, _ = log_in(cloud, "unscoped", password=by_password(served.eve))
    change(cloud, rescope=False)
    assert log_in(cloud, in_project(served.lab), token={"id": unscoped})[1].token.target == "project"
    with pytest.raises(Forbidden, match="rescope a scoped token"):
        log_in(cloud, in_project(served.lab), token={"id": served.token})


def test_exchanged_tokens_end_with_the_first_and_go_with_it(cloud: Cloud) -> None:
    served = Served(cloud)
    first, bearer = log_in(cloud, "unscoped", password=by_password(served.eve))
    pass_by(10)
    second, child = log_in(cloud, in_project(served.lab), token={"id": first})
    third, grandchild = log_in(cloud, "unscoped", token={"id": second})
    assert child.token.expires_at == grandchild.token.expires_at == bearer.token.expires_at
    assert child.token.audit_chain_id == grandchild.token.audit_chain_id == bearer.token.audit_id
    tokens.revoke(cloud, first, chain=False)
    assert tokens.read(cloud, second)
    tokens.revoke(cloud, second)
    assert tokens.read(cloud, third)
    fourth, _ = log_in(cloud, "unscoped", token={"id": third})
    with pytest.raises(Unauthorized):
        tokens.read(cloud, second)
    assert tokens.read(cloud, fourth)


def test_all_of_a_chain_goes_with_its_first_token(cloud: Cloud) -> None:
    served = Served(cloud)
    first, _ = log_in(cloud, "unscoped", password=by_password(served.eve))
    chain = [first]
    for _ in range(2):
        chain.append(log_in(cloud, in_project(served.lab), token={"id": chain[-1]})[0])
    tokens.revoke(cloud, first)
    for text in chain:
        with pytest.raises(Unauthorized):
            tokens.read(cloud, text)


@pytest.mark.parametrize("bad", [None, [], "x", 5])
@pytest.mark.parametrize("method", ["password", "token", "totp", "application_credential"])
def test_words_of_another_kind_are_the_callers_fault(cloud: Cloud, method: str, bad: object) -> None:
    with pytest.raises(Invalid):
        log_in(cloud, **{method: bad})


def test_a_disabled_users_robots_rest_and_come_back_with_the_user(cloud: Cloud) -> None:
    robot = Robot(cloud, access_rules=[{"service": "compute", "method": "GET", "path": "/"}])
    users.update(cloud, robot.eve.id, {"enabled": False})
    with pytest.raises(Unauthorized):
        robot.log_in()
    users.update(cloud, robot.eve.id, {"enabled": True})
    robot.log_in()
    assert len(access_rules.of_user(cloud.db, robot.eve.id)) == 1


def test_events_tell_of_what_is_gone(cloud: Cloud) -> None:
    eve, lab = user(cloud, "eve"), project(cloud, "lab")
    users.delete(cloud, eve.id)
    projects.delete(cloud, lab.id)
    told = [(one.user_id, one.project_id) for one in revocation_store.find_all(cloud.db)]
    assert (eve.id, None) in told
    assert (None, lab.id) in told
