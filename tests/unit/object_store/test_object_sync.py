# SPDX-License-Identifier: Apache-2.0
"""What clusters of a realm send for containers that are kept alike."""

from __future__ import annotations

import httpx
import pytest

from cumulet.services.object_store.logic import sync_realms
from support.object_store import ACCOUNT
from unit.object_store.feature_stores import store

REALMS = {
    "Us": {"key": "realm-key", "key2": "older", "cluster_one": "https://one.example/v1", "cluster_two": "https://two"},
    "empty": {"key": ""},
}


@pytest.fixture(scope="module")
def synced():
    with store(container_sync={"realms": REALMS, "current": "//us/one"}) as found:
        client = found.client()
        client.put("/c", headers={"x-container-sync-key": "user-key"})
        client.put("/without")
        yield found


def send(
    synced, method, path, stamp="1000.00000", *, realm="US", key="realm-key", user="user-key", body=b"", said=None
):
    signature = sync_realms.sign(method, f"/v1/{ACCOUNT}{path}", stamp, "nonce", key, user)
    headers = {"x-container-sync-auth": said or f"{realm} nonce {signature}"}
    if stamp != "0":
        headers["x-timestamp"] = stamp
    return synced.client("").request(method, path, headers=headers, content=body)


@pytest.mark.parametrize("key", ["realm-key", "older"])
def test_an_object_comes_with_its_time(synced, key):
    name = f"/c/%C3%BC-{key}"
    assert send(synced, "PUT", name, "1234567890.12345", key=key, body=b"body").status_code == 201
    answer = synced.client().get(name)
    assert (answer.text, answer.headers["x-timestamp"]) == ("body", "1234567890.12345")
    assert send(synced, "PUT", name, "1234567889.00000", key=key, body=b"late").status_code == 202
    assert synced.client().get(name).text == "body"
    assert send(synced, "HEAD", name, "1234567890.12345", key=key).status_code == 200
    assert send(synced, "DELETE", name, "1234567889.00000", key=key).status_code == 409
    assert send(synced, "DELETE", name, "1234567899.00000", key=key).status_code == 204
    assert synced.client().get(name).status_code == 404


@pytest.mark.parametrize(
    "words",
    [
        {"path": "/without/o"},
        {"path": "/nowhere/o"},
        {"realm": "THEM"},
        {"realm": "EMPTY", "key": ""},
        {"key": "wrong"},
        {"user": "wrong"},
        {"said": "US nonce"},
        {"said": "US nonce ü".encode()},
    ],
    ids=["no-user-key", "no-container", "no-realm", "no-realm-key", "key", "user-key", "two-words", "no-ascii"],
)
def test_what_no_cluster_has_signed(synced, words):
    answer = send(synced, "PUT", words.pop("path", "/c/o"), **words)
    assert (answer.status_code, answer.text) == (
        401, "X-Container-Sync-Auth header not valid; contact cluster operator for support."
    )  # fmt: skip
    assert answer.headers["www-authenticate"] == f'SwiftContainerSync realm="{ACCOUNT}"'


def test_a_key_that_is_no_text(synced):
    synced.client().put("/odd", headers={"x-container-sync-key": b"\xff"})
    assert send(synced, "PUT", "/odd/o").status_code == 401


def test_a_time_that_is_none(synced):
    answer = send(synced, "PUT", "/c/o", "yesterday")
    assert (answer.status_code, "X-Timestamp" in answer.text) == (400, True)


def test_a_time_without_a_signature_does_not_count(synced):
    client = synced.client()
    client.put("/c/now", content=b"", headers={"x-timestamp": "1000.00000"})
    assert client.head("/c/now").headers["x-timestamp"] > "1700000000"


def test_what_info_tells(synced):
    told = httpx.get(f"{synced.url}/info").json()["container_sync"]
    assert told == {"realms": {"US": {"clusters": {"ONE": {"current": True}, "TWO": {}}}}}
