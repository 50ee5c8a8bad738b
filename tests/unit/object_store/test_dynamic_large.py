# SPDX-License-Identifier: Apache-2.0
"""Dynamic large objects, with listings of three entries."""

from __future__ import annotations

import hashlib

import pytest

from cumulet.services.object_store.logic.limits import Limits
from support.object_store import serving

HEADER = "x-object-manifest"
OWN = hashlib.md5(b"").hexdigest()  # the ETag of the manifest itself


@pytest.fixture(scope="module")
def store():
    with serving(limits=Limits(container_listing_limit=3)) as found:
        client = found.client()
        for container, names in (("c", "ab"), ("many", "abcdefgh")):
            client.put(f"/{container}")
            for name in names:
                client.put(f"/{container}/s/{name}", content=name.encode() * 4)
            client.put(f"/{container}/m", headers={HEADER: f"{container}/s/", "content-type": "text/x"})
        yield found


@pytest.fixture
def client(store):
    return store.client()


def etag(*bodies: bytes) -> str:
    sums = "".join(hashlib.md5(each).hexdigest() for each in bodies)
    return f'"{hashlib.md5(sums.encode()).hexdigest()}"'


def test_all_behind_the_prefix_is_one_object(client):
    for answer in (client.get("/c/m"), client.head("/c/m")):
        assert answer.status_code == 200
        assert answer.headers["content-length"] == "8"
        assert answer.headers["etag"] == etag(b"aaaa", b"bbbb")
        assert (answer.headers["content-type"], answer.headers[HEADER]) == ("text/x", "c/s/")
    assert client.get("/c/m").content == b"aaaabbbb"
    manifest = client.get("/c/m", params={"multipart-manifest": "get"})
    assert (manifest.content, manifest.headers["etag"]) == (b"", OWN)


@pytest.mark.parametrize(
    ("asked", "body", "told"),
    [("1-2", b"aa", "bytes 1-2/8"), ("3-5", b"abb", "bytes 3-5/8"), ("-5", b"abbbb", "bytes 3-7/8")],
)
def test_parts(client, asked, body, told):
    answer = client.get("/c/m", headers={"range": f"bytes={asked}"})
    assert (answer.status_code, answer.content, answer.headers["content-range"]) == (206, body, told)
    assert answer.headers["content-length"] == str(len(body))


def test_parts_that_are_not_there_and_several(client):
    answer = client.get("/c/m", headers={"range": "bytes=8-"})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */8")
    answer = client.get("/c/m", headers={"range": "bytes=0-0,2-2"})
    assert (answer.status_code, answer.content) == (200, b"aaaabbbb")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions_are_on_the_etag_of_all(client, method):
    whole = etag(b"aaaa", b"bbbb")
    for headers, status in [
        ({"if-none-match": whole}, 304),
        ({"if-none-match": OWN}, 200),
        ({"if-match": whole}, 200),
        ({"if-match": OWN}, 412),
        ({"if-modified-since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 304),
    ]:
        assert client.request(method, "/c/m", headers=headers).status_code == status, headers


def test_more_than_one_page(client):
    answer = client.get("/many/m")
    assert answer.content == b"".join(name.encode() * 4 for name in "abcdefgh")
    # What is not known before the end is not told.
    assert answer.headers["etag"] == OWN
    assert "content-length" not in answer.headers
    assert "content-length" not in client.head("/many/m").headers
    answer = client.get("/many/m", headers={"range": "bytes=2-5"})
    assert (answer.status_code, answer.content) == (206, b"aabb")
    for asked in ("-5", "2-", "2-20"):
        assert client.get("/many/m", headers={"range": f"bytes={asked}"}).status_code == 200


def test_a_copy_has_the_bytes_or_is_a_manifest_again(client):
    assert client.request("COPY", "/c/m", headers={"destination": "c/bytes"}).status_code == 201
    answer = client.get("/c/bytes")
    assert (answer.content, HEADER in answer.headers) == (b"aaaabbbb", False)
    params = {"multipart-manifest": "get"}
    assert client.request("COPY", "/c/m", params=params, headers={"destination": "c/again"}).status_code == 201
    answer = client.get("/c/again")
    assert (answer.content, answer.headers[HEADER]) == (b"aaaabbbb", "c/s/")
    assert client.request("COPY", "/many/m", headers={"destination": "c/bytes"}).status_code == 413


def test_segments_that_have_versions(client):
    client.put("/versioned", headers={"x-versions-enabled": "true"})
    for body in (b"old", b"one"):
        client.put("/versioned/s1", content=body)
    client.put("/versioned/s2", content=b"two")
    client.put("/c/over", headers={HEADER: "versioned/s"})
    answer = client.get("/c/over")
    assert (answer.content, answer.headers["etag"]) == (b"onetwo", etag(b"one", b"two"))


@pytest.mark.parametrize("said", ["c", "c/", "/s", "c//s", "c/s?x", "c/s&x"])
def test_manifests_that_are_refused(client, said):
    answer = client.put("/c/wrong", headers={HEADER: said})
    assert (answer.status_code, answer.text) == (400, "X-Object-Manifest must be in the format container/prefix")


def test_a_header_that_a_post_made_no_manifest_of(client):
    client.put("/c/plain", content=b"plain")
    client.post("/c/plain", headers={HEADER: "words"})
    assert client.get("/c/plain").content == b"plain"


def test_segments_in_no_container_and_names_with_signs(client):
    client.put("/c/lost", headers={HEADER: "nowhere/s"})
    for method in ("GET", "HEAD"):
        assert client.request(method, "/c/lost").status_code == 404
    client.put("/c/ä b/1", content=b"one")
    client.put("/c/signs", headers={HEADER: "c/%C3%A4%20b/"})
    assert client.get("/c/signs").content == b"one"
    client.put("/c/none", headers={HEADER: "c/nothing"})
    answer = client.get("/c/none")
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (200, b"", etag())


def test_each_segment_is_judged_for_its_reader(client, store):
    client.put("/open", headers={"x-container-read": ".r:*"})
    client.put("/open/m", headers={HEADER: "seg/s"})
    client.put("/seg", headers={"x-container-read": ".r:*"})
    client.put("/seg/s1", content=b"one")
    stranger = store.client("")
    assert stranger.get("/open/m").status_code == 401
    client.post("/seg", headers={"x-container-read": ".r:*,.rlistings"})
    assert stranger.get("/open/m").content == b"one"
    client.post("/seg", headers={"x-container-read": ".rlistings"})
    assert stranger.get("/open/m").status_code == 401
