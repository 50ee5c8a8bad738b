# SPDX-License-Identifier: Apache-2.0
"""What containers and accounts may hold, and who says so."""

from __future__ import annotations

import httpx
import pytest

from support.object_store import ACCOUNT
from unit.object_store.feature_stores import settle, store


@pytest.fixture
def quotas():
    with store() as found:
        yield found


def test_a_container_has_no_more_bytes_than_its_owner_says(quotas):
    client = quotas.client()
    client.put("/c", headers={"x-container-meta-quota-bytes": "10"})
    assert client.put("/c/a", content=b"1234567").status_code == 201
    answer = client.put("/c/b", content=b"1234")
    assert (answer.status_code, answer.text) == (413, "Upload exceeds quota.")
    assert client.put("/c/b", content=b"123").status_code == 201
    assert client.put("/c/c", content=b"").status_code == 201
    client.delete("/c/a")
    assert client.put("/c/b2", content=b"1234567").status_code == 201


def test_a_container_has_no_more_objects(quotas):
    client = quotas.client()
    client.put("/c", headers={"x-container-meta-quota-count": "1"})
    assert client.put("/c/a", content=b"").status_code == 201
    assert client.put("/c/b", content=b"").status_code == 413
    assert client.post("/c", headers={"x-container-meta-quota-count": ""}).status_code == 204
    assert client.put("/c/b", content=b"").status_code == 201


def test_copies_and_bodies_without_a_length(quotas):
    client = quotas.client()
    client.put("/from")
    client.put("/from/o", content=b"12345678901")
    client.put("/c", headers={"x-container-meta-quota-bytes": "10"})
    for answer in (
        client.put("/c/o", headers={"x-copy-from": "from/o"}),
        client.request("COPY", "/from/o", headers={"destination": "c/o"}),
    ):
        assert (answer.status_code, answer.text) == (413, "Upload exceeds quota.")
    assert client.put("/c/chunked", content=iter([b"12345678901"])).status_code == 201
    assert client.put("/c/next", content=b"").status_code == 413


def test_strangers_learn_nothing_of_a_full_container(quotas):
    quotas.client().put("/c", headers={"x-container-meta-quota-count": "0", "x-container-write": "two:*"})
    assert quotas.client("").put("/c/o", content=b"").status_code == 401
    assert quotas.client("nobody").put("/c/o", content=b"").status_code == 403
    assert quotas.client("other").put("/c/o", content=b"").status_code == 413


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("kind", ["bytes", "count"])
@pytest.mark.parametrize("value", ["-1", "x", "1.5", "²"])
def test_a_quota_is_a_number(quotas, method, kind, value):
    quotas.client().put("/c")
    answer = quotas.client().request(method, "/c", headers={f"x-container-meta-quota-{kind}": value.encode()})
    assert (answer.status_code, answer.text) == (400, f"Invalid {kind} quota.")


def reseller(quotas, **headers):
    named = {f"x-account-{name.replace('_', '-')}": value for name, value in headers.items()}
    return quotas.client("reseller").post("", headers=named).status_code


def test_only_resellers_say_what_an_account_may_hold(quotas):
    client = quotas.client()
    for header in ("x-account-quota-bytes", "x-account-meta-quota-bytes", "x-account-quota-count",
                   "x-account-quota-bytes-policy-gold", "x-remove-account-quota-bytes"):  # fmt: skip
        assert client.post("", headers={header: "1"}).status_code == 403
    assert reseller(quotas, quota_bytes="x") == 400
    assert reseller(quotas, quota_bytes="10", quota_count="5", quota_bytes_policy_silver="3") == 204
    headers = client.head("").headers
    assert (headers["x-account-quota-bytes"], headers["x-account-quota-count"]) == ("10", "5")
    assert headers["x-account-quota-bytes-policy-silver"] == "3"
    assert not [name for name in headers if "sysmeta" in name]
    assert quotas.client("reseller").post("", headers={"x-remove-account-quota-bytes": "x"}).status_code == 204
    assert "x-account-quota-bytes" not in client.head("").headers
    assert reseller(quotas, quota_count="") == 204
    assert "x-account-quota-count" not in client.head("").headers


def fill(quotas):
    client = quotas.client()
    client.put("/c")
    client.put("/s", headers={"x-storage-policy": "silver"})
    assert client.put("/c/a", content=b"12345").status_code == 201
    assert client.put("/s/a", content=b"12345").status_code == 201
    settle(quotas)
    return client


def test_bytes_of_an_account(quotas):
    client = fill(quotas)
    reseller(quotas, meta_quota_bytes="12")
    assert client.put("/c/b", content=b"12").status_code == 201
    settle(quotas)
    answer = client.put("/c/c", content=b"1")
    assert (answer.status_code, answer.text) == (413, "Upload exceeds quota.")
    assert quotas.client("").put("/c/c", content=b"1").status_code == 401
    assert quotas.client("nobody").put("/c/c", content=b"1").status_code == 403
    assert client.delete("/c/b").status_code == 204
    assert quotas.client("reseller").put("/c/c", content=b"12345").status_code == 201


def test_objects_of_an_account(quotas):
    client = fill(quotas)
    reseller(quotas, quota_count="3")
    assert client.put("/c/b", content=b"").status_code == 201
    settle(quotas)
    assert client.put("/c/c", content=b"").status_code == 413


@pytest.mark.parametrize(("kind", "most"), [("bytes", "6"), ("count", "2")])
def test_a_policy_of_an_account(quotas, kind, most):
    client = fill(quotas)
    reseller(quotas, **{f"quota_{kind}_policy_silver": most})
    assert client.put("/s/b", content=b"1").status_code == 201
    settle(quotas)
    answer = client.put("/s/c", content=b"1")
    assert (answer.status_code, answer.text) == (413, "Upload exceeds policy quota.")
    assert client.put("/c/c", content=b"123456789").status_code == 201


def test_who_is_let_in_by_a_container_meets_the_quota_of_the_account(quotas):
    client = fill(quotas)
    client.post("/c", headers={"x-container-write": "two:*"})
    reseller(quotas, quota_count="2")
    answer = quotas.client("other").put("/c/new", content=b"")
    assert (answer.status_code, answer.text) == (413, "Upload exceeds quota.")
    assert quotas.client("other", ACCOUNT).put("/s/new", content=b"").status_code == 403


def test_what_info_tells(quotas):
    told = httpx.get(f"{quotas.url}/info").json()
    assert told["container_quotas"] == told["account_quotas"] == {}
