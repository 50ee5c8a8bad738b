# SPDX-License-Identifier: Apache-2.0
"""Versions by X-Versions-Location and X-History-Location."""

from __future__ import annotations

import pytest

from cumulet.services.object_store.api.site import Options
from cumulet.services.object_store.logic.limits import Limits
from support.object_store import serving

_NUMBERS = iter(range(1000))
MARKER = "application/x-deleted;swift_versions_deleted=1"


@pytest.fixture(scope="module")
def store():
    with serving(limits=Limits(container_listing_limit=3)) as found:
        yield found


class Pair:
    """A container and the one for its versions, of names of their own."""

    def __init__(self, client):
        number = next(_NUMBERS)
        self.client, self.own, self.versions = client, f"/c{number}", f"/v{number}"
        client.put(self.own)
        client.put(self.versions)

    def __call__(self, method, path="o", *, token=None, **more):
        client = self.client if token is None else token
        return client.request(method, f"{self.own}/{path}", **more)

    def set(self, **headers):
        headers = {f"x-{name}-location": value for name, value in headers.items()}
        assert self.client.post(self.own, headers=headers).status_code == 204

    def stack(self):
        self.set(versions=self.versions[1:])

    def history(self):
        self.set(history=self.versions[1:])

    def write(self, *bodies):
        for body in bodies:
            assert self("PUT", content=body).status_code == 201

    def text(self):
        answer = self("GET")
        return answer.text if answer.status_code == 200 else answer.status_code

    def kept(self):
        """Of the versions, the oldest first."""
        found, marker = [], ""
        while page := self.client.get(self.versions, params={"format": "json", "marker": marker}).json():
            found += page
            marker = page[-1]["name"]
        return [
            "deleted" if each["content_type"] == MARKER else self.client.get(f"{self.versions}/{each['name']}").text
            for each in found
        ]


@pytest.fixture
def client(store):
    return store.client()


@pytest.fixture
def pair(client):
    return Pair(client)


def test_the_last_one_comes_back(pair):
    pair.stack()
    pair.write("1", "2", "3", "4", "5", "6")
    assert pair.kept() == ["1", "2", "3", "4", "5"]
    for body in "54321":
        assert pair("DELETE").status_code == 204
        assert pair.text() == body
    assert (pair("DELETE").status_code, pair.text()) == (204, 404)
    assert pair("DELETE").status_code == 404


def test_names_of_versions_tell_object_and_time(pair, client):
    pair.stack()
    pair("PUT", "ä/x", content=b"1", headers={"x-object-meta-a": "b", "content-type": "text/x"})
    stamp = pair("HEAD", "ä/x").headers["x-timestamp"]
    pair("PUT", "ä/x", content=b"2")
    (name,) = client.get(pair.versions).text.splitlines()
    assert name == f"004ä/x/{stamp}"
    answer = client.get(f"{pair.versions}/{name}")
    assert (answer.text, answer.headers["x-object-meta-a"], answer.headers["content-type"]) == ("1", "b", "text/x")


def test_history_keeps_all(pair):
    pair.history()
    pair.write("1", "2")
    assert (pair("DELETE").status_code, pair.text()) == (204, 404)
    assert pair.kept() == ["1", "2", "deleted"]
    assert pair("DELETE").status_code == 404
    assert pair.kept() == ["1", "2", "deleted", "deleted"]


def test_a_stack_undoes_history(pair):
    pair.history()
    pair.write("1", "2")
    pair("DELETE")
    pair.write("3")
    pair.stack()
    # First as it was when the marker was made, then as before that.
    assert (pair("DELETE").status_code, pair.text()) == (204, 404)
    assert (pair("DELETE").status_code, pair.text(), pair.kept()) == (204, "2", ["1"])
    assert (pair("DELETE").status_code, pair.text(), pair.kept()) == (204, "1", [])


def test_what_a_container_tells(client):
    client.put("/told")
    assert client.put("/told", headers={"x-versions-location": "v"}).status_code == 202
    assert client.head("/told").headers["x-versions-location"] == "v"
    client.post("/told", headers={"x-history-location": "w"})
    headers = client.get("/told").headers
    assert (headers["x-history-location"], "x-versions-location" in headers) == ("w", False)
    for removal in (
        {"x-remove-history-location": "x"},
        {"x-remove-versions-location": "x"},
        {"x-history-location": ""},
    ):
        client.post("/told", headers={"x-versions-location": "v", "x-history-location": ""})
        assert client.head("/told").headers["x-versions-location"] == "v"
        assert client.post("/told", headers=removal).status_code == 204
        assert not [name for name in client.head("/told").headers if "location" in name]


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        (
            {"x-versions-location": "v", "x-history-location": "w"},
            400,
            "Only one of x-versions-location or x-history-location may be specified",
        ),
        ({"x-versions-location": "v/w"}, 412, "Container name cannot contain slashes"),
    ],
    ids=["two", "slash"],
)
def test_places_that_are_refused(client, headers, status, words):
    answer = client.put("/refused", headers=headers)
    assert (answer.status_code, answer.text) == (status, words)


def test_nothing_is_replaced_that_cannot_be_kept(pair):
    pair.set(versions="nowhere")
    pair.write("1")
    assert (pair("PUT", content="2").status_code, pair.text()) == (412, "1")
    pair.set(versions="%ff")
    assert (pair("PUT", content="2").status_code, pair.text()) == (412, "1")
    pair.set(history="nowhere")
    assert (pair("DELETE").status_code, pair.text()) == (412, "1")
    pair.set(versions="nowhere")
    assert (pair("DELETE").status_code, pair.text()) == (204, 404)


def test_links_are_kept_as_links(pair, client):
    pair.stack()
    client.put(f"{pair.versions}/t", content=b"target")
    pair("PUT", headers={"x-symlink-target": f"{pair.versions[1:]}/t"})
    pair.write("plain")
    assert pair.text() == "plain"
    pair("DELETE")
    assert pair.text() == "target"
    assert pair("HEAD", params={"symlink": "get"}).headers["x-symlink-target"] == f"{pair.versions[1:]}/t"


def test_large_objects_are_kept_as_manifests(pair, client):
    pair.stack()
    client.put("/seg")
    client.put("/seg/s", content=b"seg")
    pair("PUT", params={"multipart-manifest": "put"}, content=b'[{"path": "/seg/s"}, {"path": "/seg/s"}]')
    pair.write("plain")
    (entry,) = client.get(pair.versions, params={"format": "json"}).json()
    assert (entry["bytes"], "slo_etag" in entry) == (6, True)
    pair("DELETE")
    assert (pair.text(), pair("HEAD").headers["x-static-large-object"]) == ("segseg", "True")


def test_whoever_may_write_makes_versions_and_nobody_else(pair, client, store):
    pair.stack()
    pair.write("1")
    other = store.client("other")
    for method in ("PUT", "DELETE"):
        assert pair(method, token=other).status_code == 403
        assert pair(method, token=store.client("")).status_code == 401
    assert (pair.text(), pair.kept()) == ("1", [])
    client.post(pair.own, headers={"x-container-write": "*:other-id"})
    assert pair("PUT", token=other, content=b"2").status_code == 201
    assert pair.kept() == ["1"]
    assert pair("DELETE", token=other).status_code == 204
    assert pair.text() == "1"


def test_where_it_is_off():
    options = Options(filters={"versioned_writes": {"allow_versioned_writes": False, "allow_object_versioning": False}})
    with serving(options=options) as store:
        client = store.client()
        answer = client.put("/c", headers={"x-versions-location": "v"})
        assert (answer.status_code, answer.text) == (412, "Versioned Writes is disabled")
        client.put("/c", headers={"x-versions-enabled": "true"})
        assert "x-versions-enabled" not in client.head("/c").headers
        told = client.get(f"{store.url}/info").json()
        assert not {"versioned_writes", "object_versioning"} & set(told)
