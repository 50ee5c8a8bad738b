# SPDX-License-Identifier: Apache-2.0
"""Symlinks, soft and static ones."""

from __future__ import annotations

import hashlib
import json

import pytest

from support.object_store import ACCOUNT, OTHERS, serving

TARGET, PINNED = "x-symlink-target", "x-symlink-target-etag"
EMPTY = hashlib.md5(b"").hexdigest()
HELLO = hashlib.md5(b"hello").hexdigest()


@pytest.fixture(scope="module")
def store():
    with serving() as found:
        found.client().put("/c")
        yield found


@pytest.fixture
def client(store):
    made = store.client()
    made.put("/c/t", content=b"hello", headers={"content-type": "text/x"})
    return made


def link(client, name, target="c/t", **headers):
    headers = {each.replace("_", "-"): value for each, value in headers.items()}
    return client.put(f"/c/{name}", headers={TARGET: target, **headers})


def test_a_link_is_read_as_what_it_stands_for(client):
    answer = link(client, "l")
    assert (answer.status_code, answer.headers["etag"]) == (201, EMPTY)
    for answer in (client.get("/c/l"), client.head("/c/l")):
        assert (answer.status_code, answer.headers["etag"]) == (200, HELLO)
        assert (answer.headers["content-length"], answer.headers["content-type"]) == ("5", "text/x")
        assert answer.headers["content-location"] == f"/v1/{ACCOUNT}/c/t"
        assert TARGET not in answer.headers
    assert client.get("/c/l").content == b"hello"
    assert client.get("/c/l", headers={"range": "bytes=1-2"}).content == b"el"
    assert client.get("/c/l", headers={"if-none-match": HELLO}).status_code == 304
    assert client.get("/c/l", headers={"if-none-match": EMPTY}).status_code == 200
    assert client.get("/c/l", headers={"if-match": EMPTY}).status_code == 412


def test_a_link_itself(client):
    link(client, "l")
    answer = client.get("/c/l", params={"symlink": "get"})
    assert (answer.content, answer.headers["etag"], answer.headers[TARGET]) == (b"", EMPTY, "c/t")
    assert (answer.headers["content-type"], PINNED in answer.headers) == ("application/symlink", False)
    (entry,) = client.get("/c", params={"format": "json", "prefix": "l"}).json()
    assert (entry["bytes"], entry["hash"], entry["symlink_path"]) == (0, EMPTY, f"/v1/{ACCOUNT}/c/t")
    assert client.delete("/c/l").status_code == 204
    assert client.get("/c/t").content == b"hello"


def test_a_static_link_ends_with_its_target(client):
    assert link(client, "s", x_symlink_target_etag=f'"{HELLO}"').status_code == 201
    assert client.get("/c/s").content == b"hello"
    own = client.head("/c/s", params={"symlink": "get"}).headers
    assert (own[PINNED], own["x-symlink-target-bytes"], own["content-type"]) == (HELLO, "5", "text/x")
    (entry,) = client.get("/c", params={"format": "json", "prefix": "s"}).json()
    assert (entry["bytes"], entry["symlink_etag"], entry["symlink_bytes"]) == (0, HELLO, 5)
    client.put("/c/t", content=b"other")
    answer = client.get("/c/s")
    assert (answer.status_code, answer.headers["content-location"]) == (409, f"/v1/{ACCOUNT}/c/t")
    assert f"does not match X-Symlink-Target-Etag header '{HELLO}'" in answer.text
    client.delete("/c/t")
    assert client.get("/c/s").status_code == 404


def test_a_link_with_nothing_behind_it(client):
    link(client, "l", "c/nothing")
    answer = client.get("/c/l")
    assert (answer.status_code, answer.headers["content-location"]) == (404, f"/v1/{ACCOUNT}/c/nothing")


@pytest.mark.parametrize(
    ("target", "headers", "body", "status", "words"),
    [
        ("c/z", {}, b"", 400, "Symlink cannot target itself"),
        ("c/t", {}, b"x", 400, "Symlink requests require a zero byte body"),
        ("c/t", {}, [b"x"], 400, "Symlink requests require a zero byte body"),
        ("t", {}, b"", 412, "X-Symlink-Target header must be of the form <container name>/<object name>"),
        ("/c/t", {}, b"", 412, "X-Symlink-Target header must be of the form <container name>/<object name>"),
        ("c/", {}, b"", 412, "X-Symlink-Target header must be of the form <container name>/<object name>"),
        ("c/t", {"x-symlink-target-account": "a/b"}, b"", 412, "Account name cannot contain slashes"),
        ("c/t", {"x-symlink-target-account": ""}, b"", 412, "Account name cannot be empty"),
        ("c/t", {PINNED: "a;b"}, b"", 400, "Bad X-Symlink-Target-Etag format"),
        ("c/t", {PINNED: "a"}, b"", 409, f"Object Etag '{HELLO}' does not match X-Symlink-Target-Etag header 'a'"),
        ("c/nothing", {PINNED: "a"}, b"", 409, "X-Symlink-Target does not exist"),
    ],
    ids=["itself", "body", "chunks", "no object", "slash", "empty", "slashes", "no account", "form", "etag", "absent"],
)
def test_links_that_are_refused(client, target, headers, body, status, words):
    answer = client.put("/c/z", headers={TARGET: target, **headers}, content=iter(body) if body == [b"x"] else body)
    assert (answer.status_code, answer.text) == (status, words)


def test_chains_and_loops(client):
    link(client, "1")
    link(client, "2", "c/1")
    link(client, "3", "c/2")
    assert client.get("/c/2").content == b"hello"
    answer = client.get("/c/3")
    assert (answer.status_code, answer.text) == (409, "Too many levels of symbolic links, maximum allowed is 2")
    link(client, "x", "c/y")
    link(client, "y", "c/x")
    assert client.head("/c/x").status_code == 409


def test_a_static_link_to_a_link(client):
    link(client, "soft")
    # A static one may stand for the link itself, which is nothing by itself.
    assert link(client, "s", "c/soft", x_symlink_target_etag=EMPTY).status_code == 201
    assert client.get("/c/s").content == b"hello"
    link(client, "hard", x_symlink_target_etag=HELLO)
    assert link(client, "s", "c/hard", x_symlink_target_etag=HELLO).status_code == 201
    assert link(client, "s", "c/hard", x_symlink_target_etag=EMPTY).status_code == 409


def test_a_post_is_told_where_to_go(client):
    link(client, "l", x_symlink_target_etag=HELLO)
    answer = client.post("/c/l", headers={"x-object-meta-a": "b"})
    assert (answer.status_code, answer.headers["location"]) == (307, f"/v1/{ACCOUNT}/c/t")
    assert answer.headers[PINNED] == HELLO
    assert client.head("/c/l", params={"symlink": "get"}).headers["x-object-meta-a"] == "b"
    assert not [name for name in answer.headers if "sysmeta" in name]
    answer = client.post("/c/t", headers={TARGET: "c/l"})
    assert (answer.status_code, answer.text) == (400, "A PUT request is required to set a symlink target")


def test_copies_of_links_and_of_what_they_stand_for(client):
    link(client, "l", x_symlink_target_etag=HELLO)
    assert client.request("COPY", "/c/l", headers={"destination": "c/bytes"}).status_code == 201
    assert client.get("/c/bytes", params={"symlink": "get"}).content == b"hello"
    params = {"symlink": "get"}
    assert client.request("COPY", "/c/l", params=params, headers={"destination": "c/m"}).status_code == 201
    assert client.get("/c/m", params=params).headers[TARGET] == "c/t"
    (entry,) = client.get("/c", params={"format": "json", "prefix": "m"}).json()
    assert (entry["hash"], entry["symlink_bytes"]) == (EMPTY, 5)


def test_into_another_account_with_its_leave(client, store):
    other = store.client("other", OTHERS)
    other.put("/d")
    other.put("/d/o", content=b"theirs")
    link(client, "far", "d/o", x_symlink_target_account=OTHERS)
    assert client.get("/c/far").status_code == 403
    other.post("/d", headers={"x-container-read": "one:*,one-name:*,*:member-id"})
    assert client.get("/c/far").content == b"theirs"
    (entry,) = client.get("/c", params={"format": "json", "prefix": "far"}).json()
    assert entry["symlink_path"] == f"/v1/{OTHERS}/d/o"


def test_a_link_to_a_large_object(client):
    client.put("/c/big", params={"multipart-manifest": "put"}, content=json.dumps([{"path": "/c/t"}] * 2))
    manifest = client.head("/c/big").headers["x-manifest-etag"]
    assert link(client, "l", "c/big", x_symlink_target_etag=manifest).status_code == 201
    assert client.get("/c/l").content == b"hellohello"
    assert client.get("/c/l", headers={"range": "bytes=4-5"}).content == b"oh"
    (entry,) = client.get("/c", params={"format": "json", "prefix": "l"}).json()
    assert (entry["symlink_bytes"], entry["slo_etag"]) == (10, client.head("/c/big").headers["etag"])
