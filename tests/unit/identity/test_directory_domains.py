# SPDX-License-Identifier: Apache-2.0
"""A domain whose users are in a directory: logging in, what is known of them, and what happens when that changes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.errors import Forbidden, NotFound, Unauthorized
from cumulet.services.identity.drivers.directories.base import DirectoryAway, DirectoryGroup, DirectoryUser
from cumulet.services.identity.drivers.directories.fake import FakeDirectory
from cumulet.services.identity.facade import TokenAuthenticator
from cumulet.services.identity.logic import (
    directories,
    directory_mirror,
    domain_configs,
    domains,
    grants,
    groups,
    login,
    projects,
    public_ids,
    users,
)
from cumulet.services.identity.store import groups as group_store
from cumulet.services.identity.store import roles
from cumulet.services.identity.types import Actor, Assignment, Target

CTX = Context(system_scope="all")
SECRET = "a password of alice"


class Stage:
    """A domain with a directory that holds alice, who is in staff."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.domain = domains.create(cloud, {"name": "outside"}).id
        self.local = users.create(cloud, CTX, {"name": "local", "password": SECRET, "domain_id": self.domain})
        self.directory = FakeDirectory()
        self.directory.add_user(DirectoryUser(local_id="u1", name="alice", email="a@example.org"), SECRET)
        self.directory.add_group(DirectoryGroup(local_id="g1", name="staff"), ["u1"])
        cloud.keep(directories.Directories).make = self._make
        self.made: list[Any] = []
        domain_configs.create(cloud, self.domain, {"identity": {"driver": "ldap"}, "ldap": {"password": "sealed one"}})
        self.alice = public_ids.of(self.domain, "user", "u1")
        self.staff = public_ids.of(self.domain, "group", "g1")

    def _make(self, options: Any) -> FakeDirectory:
        self.made.append(options)
        return self.directory

    def log_in(self, secret: str = SECRET, scope: Any = "unscoped", **who: Any) -> str:
        user = who or {"name": "alice", "domain": {"id": self.domain}}
        identity = {"methods": ["password"], "password": {"user": {**user, "password": secret}}}
        return login.login(self.cloud, {"identity": identity, "scope": scope})[0]


@pytest.fixture
def stage(cloud: Cloud) -> Stage:
    return Stage(cloud)


@pytest.fixture
def later() -> Iterator[Any]:
    ahead = [0.0]
    clock.set_source(lambda: time.time() + ahead[0])
    yield lambda seconds: ahead.__setitem__(0, ahead[0] + seconds)
    clock.set_source()


def test_ids_are_keystones(stage: Stage) -> None:
    assert stage.alice == hashlib.sha256(f"{stage.domain}useru1".encode()).hexdigest()


def test_who_logs_in_is_known_with_their_groups(stage: Stage) -> None:
    stage.log_in()
    alice = users.get(stage.cloud.db, stage.alice)
    assert (alice.name, alice.extra) == ("alice", {"email": "a@example.org"})
    assert group_store.ids_of_user(stage.cloud.db, stage.alice) == [stage.staff]
    stage.log_in(id=stage.alice)
    stage.log_in(name="alice", domain={"name": "outside"})


def test_what_is_wrong_is_refused(stage: Stage) -> None:
    stage.log_in()
    for wrong in ({"secret": "wrong"}, {"secret": ""}, {"name": "bob", "domain": {"id": stage.domain}}):
        with pytest.raises(Unauthorized):
            stage.log_in(**wrong)
    with pytest.raises(Unauthorized):
        stage.log_in(name="local", domain={"id": stage.domain})
    stage.directory.people["u1"] = msgspec.structs.replace(stage.directory.people["u1"], enabled=False)
    with pytest.raises(Unauthorized):
        stage.log_in()


def test_a_grant_to_a_group_works_until_the_directory_says_otherwise(stage: Stage, later: Any) -> None:
    cloud = stage.cloud
    directory_mirror.refresh_domain(cloud, stage.domain, "group")
    project = projects.create(cloud, CTX, {"name": "lab", "domain_id": stage.domain})
    member = roles.find_by_name(cloud.db, "member")
    assert member is not None
    grants.create(cloud, Assignment(Actor.GROUP, stage.staff, Target.PROJECT, project.id, member.id, False))
    token = stage.log_in(scope={"project": {"id": project.id}})
    authenticator = TokenAuthenticator(cloud)
    asked = stage.directory.asked
    assert "member" in authenticator.context(token).roles
    assert stage.directory.asked == asked
    stage.directory.membership["g1"] = []
    directory_mirror.refresh_used(cloud)
    assert "member" in authenticator.context(token).roles
    later(cloud.settings.identity.directory_cache_time + 1)
    directory_mirror.refresh_used(cloud)
    with pytest.raises(Unauthorized):
        authenticator.context(token)


def test_who_is_gone_loses_tokens(stage: Stage, later: Any) -> None:
    token = stage.log_in()
    del stage.directory.people["u1"]
    later(stage.cloud.settings.identity.directory_cache_time + 1)
    stage.directory.away = True
    directory_mirror.refresh_used(stage.cloud)
    TokenAuthenticator(stage.cloud).context(token)
    stage.directory.away = False
    directory_mirror.refresh_used(stage.cloud)
    with pytest.raises(Unauthorized):
        TokenAuthenticator(stage.cloud).context(token)
    with pytest.raises(NotFound):
        users.get(stage.cloud.db, stage.alice)


def test_a_listing_follows_the_directory(stage: Stage) -> None:
    stage.directory.add_user(DirectoryUser(local_id="u2", name="bob"), "x")
    directory_mirror.refresh_domain(stage.cloud, stage.domain, "user")
    stage.directory.people["u3"] = msgspec.structs.replace(stage.directory.people.pop("u2"), local_id="u3")
    stage.directory.add_user(DirectoryUser(local_id="u4", name="local"), "x")
    stage.directory.membership["g1"] = ["u1", "u3"]
    directory_mirror.refresh_domain(stage.cloud, stage.domain, "user")
    directory_mirror.refresh_domain(stage.cloud, stage.domain, "group")
    directory_mirror.refresh_members(stage.cloud, stage.staff)
    third = public_ids.of(stage.domain, "user", "u3")
    assert {user.id for user in groups.members(stage.cloud.db, stage.staff)} == {stage.alice, third}
    assert users.get(stage.cloud.db, stage.local.id).name == "local"


def test_it_is_only_read(stage: Stage) -> None:
    cloud = stage.cloud
    stage.log_in()
    here = groups.create(cloud, CTX, {"name": "here"})
    for act in (
        lambda: users.create(cloud, CTX, {"name": "x", "domain_id": stage.domain}),
        lambda: users.update(cloud, stage.alice, {"description": "x"}),
        lambda: users.delete(cloud, stage.alice),
        lambda: users.change_password(cloud, stage.alice, SECRET, "another"),
        lambda: groups.create(cloud, CTX, {"name": "x", "domain_id": stage.domain}),
        lambda: groups.update(cloud, stage.staff, {"description": "x"}),
        lambda: groups.delete(cloud, stage.staff),
        lambda: groups.leave(cloud, stage.staff, stage.alice),
        lambda: groups.join(cloud, here.id, stage.alice),
    ):
        with pytest.raises(Forbidden, match="LDAP does not support write operations"):
            act()


def test_one_that_is_away_says_so(stage: Stage) -> None:
    stage.directory.away = True
    with pytest.raises(DirectoryAway):
        stage.log_in()


def test_a_changed_configuration_is_used_at_once(stage: Stage, later: Any) -> None:
    stage.log_in()
    stage.log_in()
    assert [options["password"] for options in stage.made] == ["sealed one"]
    domain_configs.update(stage.cloud, stage.domain, {"ldap": {"password": "another"}})
    stage.directory = FakeDirectory()
    with pytest.raises(Unauthorized):
        stage.log_in()
    assert stage.made[-1]["password"] == "another"
    domain_configs.delete(stage.cloud, stage.domain)
    later(stage.cloud.settings.identity.directory_cache_time + 1)
    directory_mirror.refresh_used(stage.cloud)
    with pytest.raises(NotFound):
        users.get(stage.cloud.db, stage.alice)


def test_its_secret_is_sealed(stage: Stage) -> None:
    kept = b"".join(path.read_bytes() for path in stage.cloud.settings.state.glob("cumulet.db*"))
    assert b"sealed one" not in kept
