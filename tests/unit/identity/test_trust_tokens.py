# SPDX-License-Identifier: Apache-2.0
"""Tokens that were lent by a trust: what they are good for, and all that ends them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from people import by_password, grant, log_in, project, role, user

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Forbidden, NotFound, Unauthorized
from cumulet.services.identity.facade import TokenAuthenticator
from cumulet.services.identity.logic import domains, grants, projects, roles, tokens, trusts, users
from cumulet.services.identity.types import Bearer, Trust, User


class Lending:
    """Alice, who has two roles in the lab, and Bob, who has none there."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.home = domains.create(cloud, {"name": "home"})
        self.away = domains.create(cloud, {"name": "away"})
        self.alice, self.bob = user(cloud, "alice", domain_id=self.home.id), user(cloud, "bob", domain_id=self.away.id)
        self.lab = project(cloud, "lab")
        self.given = grant(cloud, self.alice, self.lab, "member")
        roles.create(cloud, {"name": "lent"})
        grant(cloud, self.alice, self.lab, "lent")
        self.trust = self.lend()

    def bearer(self, scope: Any = None) -> Bearer:
        return log_in(self.cloud, scope or {"project": {"id": self.lab.id}}, password=by_password(self.alice))[1]

    def lend(self, by: Bearer | None = None, to: User | None = None, **words: Any) -> Trust:
        caller = by or self.bearer()
        said = {
            "trustor_user_id": caller.user.id,
            "trustee_user_id": (to or self.bob).id,
            "project_id": self.lab.id,
            "impersonation": True,
            "roles": [{"name": "member"}],
            **words,
        }
        return trusts.create(self.cloud, caller, said)

    def log_in(self, trust: Trust | None = None, who: User | None = None) -> tuple[str, Bearer]:
        scope = {"OS-TRUST:trust": {"id": (trust or self.trust).id}}
        return log_in(self.cloud, scope, password=by_password(who or self.bob))


@pytest.fixture
def lending(cloud: Cloud) -> Iterator[Lending]:
    yield Lending(cloud)
    clock.set_source()


def test_bob_acts_as_alice(cloud: Cloud, lending: Lending) -> None:
    text, bearer = lending.log_in()
    ctx = TokenAuthenticator(cloud).context(text)
    assert (ctx.user_id, ctx.user_domain_id, ctx.project_id) == (lending.alice.id, lending.home.id, lending.lab.id)
    assert ctx.roles == {"member", "reader"}
    assert ctx.trust_id == lending.trust.id
    assert bearer.token.user_id == lending.bob.id


def test_without_impersonation_bob_is_bob(cloud: Cloud, lending: Lending) -> None:
    text, _ = lending.log_in(lending.lend(impersonation=False))
    assert TokenAuthenticator(cloud).context(text).user_id == lending.bob.id


def test_a_trust_for_no_project_lends_no_role(cloud: Cloud, lending: Lending) -> None:
    _, bearer = lending.log_in(lending.lend(project_id=None, roles=[]))
    assert (bearer.token.target, bearer.roles, bearer.project) == (None, (), None)


def _later(lending: Lending) -> None:
    later = clock.now() + 61
    clock.set_source(lambda: later)


ENDS: dict[str, Callable[[Lending], object]] = {
    "deleted trust": lambda lending: trusts.delete(lending.cloud, lending.trust.id),
    "disabled trustor": lambda lending: users.update(lending.cloud, lending.alice.id, {"enabled": False}),
    "disabled trustee": lambda lending: users.update(lending.cloud, lending.bob.id, {"enabled": False}),
    "deleted trustor": lambda lending: users.delete(lending.cloud, lending.alice.id),
    "deleted trustee": lambda lending: users.delete(lending.cloud, lending.bob.id),
    "trustor's new password": lambda lending: users.update(
        lending.cloud, lending.alice.id, {"password": "another one"}
    ),
    "trustee's new password": lambda lending: users.update(lending.cloud, lending.bob.id, {"password": "another one"}),
    "trustor's disabled domain": lambda lending: domains.update(lending.cloud, lending.home.id, {"enabled": False}),
    "trustee's disabled domain": lambda lending: domains.update(lending.cloud, lending.away.id, {"enabled": False}),
    "disabled project": lambda lending: projects.update(lending.cloud, lending.lab.id, {"enabled": False}),
    "deleted project": lambda lending: projects.delete(lending.cloud, lending.lab.id),
    "role taken back": lambda lending: grants.delete(lending.cloud, lending.given),
    "deleted role": lambda lending: roles.delete(lending.cloud, role(lending.cloud, "lent").id),
    "all tokens of the trustor": lambda lending: tokens.revoke_all(lending.cloud, lending.alice.id),
    "end of the trust": _later,
}


@pytest.mark.parametrize("end", ENDS)
def test_a_token_ends_with_what_it_stands_on(cloud: Cloud, lending: Lending, end: str) -> None:
    ends = (clock.utcnow() + timedelta(seconds=60)).isoformat()
    lending.trust = lending.lend(roles=[{"name": "member"}, {"name": "lent"}], expires_at=ends)
    text, _ = lending.log_in()
    authenticator = TokenAuthenticator(cloud)
    authenticator.context(text)
    ENDS[end](lending)
    with pytest.raises(Unauthorized):
        authenticator.context(text)


def test_a_token_does_not_outlive_the_trust(cloud: Cloud, lending: Lending) -> None:
    ends = clock.utcnow().replace(microsecond=0) + timedelta(seconds=60)
    _, bearer = lending.log_in(lending.lend(expires_at=ends.isoformat()))
    assert clock.from_seconds(bearer.token.expires_at) == ends


def test_only_the_trustee_logs_in(cloud: Cloud, lending: Lending) -> None:
    with pytest.raises(Forbidden, match="not authorized"):
        lending.log_in(who=lending.alice)
    with pytest.raises(Forbidden, match="not authorized"):
        lending.log_in(who=user(cloud, "carol"))


def test_roles_that_are_lent_must_all_be_there(cloud: Cloud, lending: Lending) -> None:
    trust = lending.lend(roles=[{"name": "member"}, {"name": "lent"}])
    grants.delete(cloud, lending.given)
    with pytest.raises(Forbidden):
        lending.log_in(trust)


def test_a_chain_ends_where_it_was_cut(cloud: Cloud, lending: Lending) -> None:
    first = lending.lend(allow_redelegation=True)
    carol, dave = user(cloud, "carol"), user(cloud, "dave")
    second = lending.lend(lending.log_in(first)[1], carol, allow_redelegation=True)
    third = lending.lend(lending.log_in(second, carol)[1], dave, allow_redelegation=True)
    assert [one.redelegation_count for one in (first, second, third)] == [3, 2, 1]
    text, bearer = lending.log_in(third, dave)
    assert bearer.user.id == lending.alice.id
    users.update(cloud, carol.id, {"enabled": False})
    with pytest.raises(Unauthorized):
        tokens.read(cloud, text)
    users.update(cloud, carol.id, {"enabled": True})
    trusts.delete(cloud, first.id)
    for trust in (first, second, third):
        with pytest.raises(NotFound):
            trusts.get(cloud.db, trust.id)


def test_a_chain_is_as_long_as_its_first_link_says(cloud: Cloud, lending: Lending) -> None:
    first = lending.lend(allow_redelegation=True, redelegation_count=1)
    carol, dave = user(cloud, "carol"), user(cloud, "dave")
    second = lending.lend(lending.log_in(first)[1], carol, allow_redelegation=True)
    assert second.redelegation_count == 0
    with pytest.raises(Forbidden):
        lending.lend(lending.log_in(second, carol)[1], dave)


def test_what_is_not_to_be_handed_on_is_not(cloud: Cloud, lending: Lending) -> None:
    with pytest.raises(Forbidden):
        lending.lend(lending.log_in()[1], user(cloud, "carol"))


def test_a_trust_for_one_project_gives_none_for_another(cloud: Cloud, lending: Lending) -> None:
    other = project(cloud, "other")
    grant(cloud, lending.alice, other, "member")
    first = lending.lend(allow_redelegation=True)
    with pytest.raises(Forbidden):
        lending.lend(lending.log_in(first)[1], user(cloud, "carol"), project_id=other.id)


def test_impersonation_is_not_added_on_the_way(cloud: Cloud, lending: Lending) -> None:
    grant(cloud, lending.bob, lending.lab, "member")
    first = lending.lend(allow_redelegation=True, impersonation=False)
    with pytest.raises(Forbidden):
        lending.lend(lending.log_in(first)[1], user(cloud, "carol"))


def test_counted_uses_are_used_once_each(cloud: Cloud, lending: Lending) -> None:
    trust = lending.lend(remaining_uses=2)
    texts = [lending.log_in(trust)[0] for _ in range(2)]
    with pytest.raises(Unauthorized):
        lending.log_in(trust)
    assert all(tokens.read(cloud, text) for text in texts)


def test_what_has_ended_is_flushed(cloud: Cloud, lending: Lending) -> None:
    ends = (clock.utcnow() + timedelta(seconds=60)).isoformat()
    soon, gone = lending.lend(expires_at=ends), lending.lend(impersonation=False)
    trusts.delete(cloud, gone.id)
    assert trusts.flush(cloud.db, None, {"trustee_user_id": lending.alice.id}) == 0
    assert trusts.flush(cloud.db, None, {}) == 1
    _later(lending)
    assert trusts.flush(cloud.db, None, {"trustor_user_id": lending.alice.id}) == 1
    assert [one.id for one in trusts.find_all(cloud.db)] == [lending.trust.id]
    assert soon.id != lending.trust.id
