# SPDX-License-Identifier: Apache-2.0
"""A front that has proven the user by itself: believed where the settings say so, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from identity_cloud import made_and_filled
from people import by_password, log_in, user

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Unauthorized
from cumulet.services.identity.logic import domains
from cumulet.services.identity.logic.proofs import Carried


@pytest.fixture
def fronted(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud behind a front that names users."""
    made = made_and_filled(tmp_path)
    settings = msgspec.structs.replace(made.settings.identity, external_header="X-Remote-User")
    made.settings = msgspec.structs.replace(made.settings, identity=settings)
    yield made
    made.db.close()


def says(name: str, client: str = "127.0.0.1", **headers: str) -> Carried:
    return Carried(headers={"x-remote-user": name, **headers}, client=client)


def test_the_front_is_believed(fronted: Cloud) -> None:
    eve = user(fronted, "eve")
    _, bearer = log_in(fronted, carried=says("eve"), external={})
    assert (bearer.user.id, bearer.token.methods) == (eve.id, ("external",))


def test_no_method_need_be_named(fronted: Cloud) -> None:
    user(fronted, "eve")
    assert log_in(fronted, carried=says("eve"))[1].token.methods == ("external",)


def test_a_domain_of_the_fronts_choice(fronted: Cloud) -> None:
    far = domains.create(fronted, {"name": "far"})
    eve = user(fronted, "eve", domain_id=far.id)
    carried = says("eve", **{"x-remote-user-domain": "far"})
    assert log_in(fronted, carried=carried, external={})[1].user.id == eve.id


def test_nobody_else_is_believed(fronted: Cloud) -> None:
    user(fronted, "eve")
    for carried in (says("eve", client="192.0.2.1"), says("eve", client=""), says(""), says("nobody")):
        with pytest.raises(Unauthorized):
            log_in(fronted, carried=carried, external={})


def test_it_is_off_by_default(cloud: Cloud) -> None:
    user(cloud, "eve")
    with pytest.raises(Unauthorized, match="unsupported method"):
        log_in(cloud, carried=says("eve"), external={})
    with pytest.raises(Unauthorized):
        log_in(cloud, carried=says("eve"))


def test_front_and_password_must_mean_the_same_user(fronted: Cloud) -> None:
    eve, bob = user(fronted, "eve"), user(fronted, "bob")
    assert log_in(fronted, carried=says("eve"), password=by_password(eve))[1].token.methods == ("password", "external")
    with pytest.raises(Unauthorized):
        log_in(fronted, carried=says("eve"), password=by_password(bob))
    assert log_in(fronted, carried=says("nobody"), password=by_password(bob))[1].user.id == bob.id
