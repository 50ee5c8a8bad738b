# SPDX-License-Identifier: Apache-2.0
"""What services of the cloud show the object store in the place of a token, and that it opens nothing else."""

from __future__ import annotations

import msgspec
import pytest
from test_authenticator import Person

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Conflict, Unauthorized
from cumulet.services.identity.contract import ObjectStorePasses, Pass
from cumulet.services.identity.facade import TokenAuthenticator
from cumulet.services.identity.logic import catalog, passes, projects
from cumulet.services.identity.logic.object_store import Holders
from cumulet.services.object_store.logic.known import _caller
from cumulet.settings.object_store import ObjectStore, ResellerPrefix

URL = "http://store:8/v1/AUTH_{}"


@pytest.fixture
def person(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Person:
    """Somebody in a cloud with an object store."""

    def render(_source: object, _user_id: str, project_id: str) -> object:
        endpoints = [
            {"interface": "public", "url": "https://outside/v1/AUTH_x"},
            {"interface": "internal", "url": URL.format(project_id)},
        ]
        return [{"type": "object-store", "endpoints": endpoints}]

    monkeypatch.setattr(catalog, "render", render)
    return Person(cloud)


def issue(cloud: Cloud, project_id: str, life: float = 60.0) -> Pass:
    made: ObjectStorePasses = passes.Passes(cloud)
    return made.issue(cloud.db, "block-storage", project_id, life)


def test_a_pass_is_for_containers_of_one_account(person: Person, cloud: Cloud) -> None:
    project = person.project.id
    issued = issue(cloud, project)
    assert issued.url == URL.format(project)
    assert issued.token not in repr(issued)
    told = Holders(cloud).token(issued.token)
    assert told.holder is not None
    assert (told.holder.user_id, told.holder.project_id, told.holder.roles) == ("block-storage", project, ("admin",))
    caller = _caller(told.holder)
    for method in passes.METHODS:
        assert caller.may_ask(method, f"/v1/AUTH_{project}/box/an object")
    for method, path in (
        ("GET", f"/v1/AUTH_{project}"), ("GET", "/v1/AUTH_other/box"), ("GET", f"/v1/AUTH_{project}x/box"),
        ("POST", f"/v1/AUTH_{project}/box"), ("GET", f"/auth/v1/AUTH_{project}/box"),
    ):  # fmt: skip
        assert not caller.may_ask(method, path)


def test_it_is_good_for_its_time_and_its_key_alone(
    person: Person, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, holders, now = issue(cloud, person.project.id).token, Holders(cloud), clock.now()
    forged = token[:-8] + ("A" if token[-8] != "A" else "B") + token[-7:]  # of the last ones not all bits count
    for bad in (forged, "pass.", "pass.ü", "pass.gAAAAA", token.removeprefix("pass."), token.upper()):
        assert holders.token(bad).holder is None
    monkeypatch.setattr(clock, "now", lambda: now + 59)
    assert holders.token(token).holder is not None
    monkeypatch.setattr(clock, "now", lambda: now + 61)
    assert holders.token(token).holder is None


def test_no_other_door_takes_it(person: Person, cloud: Cloud) -> None:
    token = issue(cloud, person.project.id).token
    authenticator = TokenAuthenticator(cloud)
    with pytest.raises(Unauthorized):
        authenticator.context(token)
    with pytest.raises(Unauthorized):
        authenticator.context(person.log_in(), token)
    assert Holders(cloud).token(person.log_in(), token).holder is None


def test_an_account_that_nobody_is_left_of(person: Person, cloud: Cloud) -> None:
    projects.delete(cloud, person.project.id)
    assert Holders(cloud).token(issue(cloud, person.project.id).token).holder is not None


@pytest.mark.parametrize(
    ("prefix", "roles"),
    [
        (ResellerPrefix(operator_roles=("Keeper", "admin")), (("keeper",), ())),
        (ResellerPrefix(operator_roles=("ResellerAdmin", "member")), (("member",), ())),
        (ResellerPrefix(service_roles=("Service",)), (("admin",), ("service",))),
        (ResellerPrefix(operator_roles=()), None),
        (ResellerPrefix(prefix="OTHER"), None),
    ],
    ids=["another role", "no more than it needs", "a service's role too", "nobody's", "another prefix"],
)
def test_it_has_the_roles_that_count_there(
    person: Person, cloud: Cloud, prefix: ResellerPrefix, roles: tuple[tuple[str, ...], tuple[str, ...]] | None
) -> None:
    cloud.settings = msgspec.structs.replace(cloud.settings, object_store=ObjectStore(prefixes=(prefix,)))
    if roles is None:
        with pytest.raises(Conflict, match="Nobody may put"):
            issue(cloud, person.project.id)
        return
    holder = Holders(cloud).token(issue(cloud, person.project.id).token).holder
    assert holder is not None
    assert (holder.roles, holder.service_roles) == roles


def test_a_cloud_without_a_store(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "render", lambda *_: [])
    with pytest.raises(Conflict, match="no object store"):
        issue(cloud, "x")
