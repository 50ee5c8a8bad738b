# SPDX-License-Identifier: Apache-2.0
"""What is told of an account that was deleted, before and after it is reaped."""

from __future__ import annotations

import pytest

from cumulet.services.object_store.engine.jobs.upkeep import Upkeep
from support.object_store import OTHERS
from unit.object_store.feature_stores import store


@pytest.fixture(scope="module")
def deleted():
    """Its owner, and who looks after all accounts."""
    with store(allow_account_management=True) as found:
        owner, reseller = found.client("other", OTHERS), found.client("reseller", OTHERS)
        owner.put("/c")
        owner.put("/c/o", content=b"body")
        assert owner.delete("").status_code == 403
        assert reseller.delete("").status_code == 204
        yield found, owner, reseller


def test_an_account_that_was_deleted_is_gone(deleted):
    _, owner, reseller = deleted
    for method in ("GET", "HEAD"):
        answer = owner.request(method, "")
        assert (answer.status_code, answer.headers["x-account-status"]) == (410, "Deleted")
    answer = reseller.put("")
    assert (answer.status_code, answer.text) == (403, "Recently deleted")
    assert reseller.delete("").status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [(method, path) for path in ("/c", "/c/o") for method in ("GET", "HEAD", "PUT", "POST", "DELETE")],
)
def test_nothing_in_it_is_there(deleted, method, path):
    _, owner, _ = deleted
    assert owner.request(method, path, content=b"" if method == "PUT" else None).status_code == 404


def test_others_learn_nothing(deleted):
    found, _, _ = deleted
    assert found.client("member", OTHERS).get("/c/o").status_code == 403
    assert found.client("", OTHERS).get("/c").status_code == 401


def test_it_is_reaped(deleted):
    found, owner, _ = deleted
    assert found.run(Upkeep(found.engine).reaper.run) == 2
    assert owner.get("").status_code == 410
