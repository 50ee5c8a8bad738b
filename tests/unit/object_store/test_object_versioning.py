# SPDX-License-Identifier: Apache-2.0
"""Versions by X-Versions-Enabled, as clients make, list, read and delete them."""

from __future__ import annotations

import json

import pytest

from cumulet.services.object_store.engine.jobs.updater import Updater
from support.object_store import ACCOUNT, OTHERS, serving

MARKER = "application/x-deleted;swift_versions_deleted=1"
ID, CURRENT = "x-object-version-id", "x-object-current-version-id"
_NAMES = iter(range(1000))


@pytest.fixture(scope="module")
def store():
    with serving() as found:
        yield found


class Container:
    """One with versions, of a name of its own."""

    def __init__(self, client, *, enabled=True):
        self.client, self.path = client, f"/c{next(_NAMES)}"
        client.put(self.path, headers={"x-versions-enabled": "true"} if enabled else {})

    def __call__(self, method, name="o", version=None, **more):
        params = more.pop("params", {}) | ({} if version is None else {"version-id": version})
        return self.client.request(method, f"{self.path}/{name}", params=params, **more)

    def put(self, body, name="o"):
        """The version's id."""
        answer = self("PUT", name, content=body)
        assert answer.status_code == 201, answer.text
        return answer.headers.get(ID)

    def enable(self, on=True):
        assert self.client.post(self.path, headers={"x-versions-enabled": str(on)}).status_code == 204

    def listed(self, **params):
        answer = self.client.get(self.path, params={"versions": "", **params})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ids(self, **params):
        return [(each["name"], each["version_id"], each["is_latest"]) for each in self.listed(**params)]


@pytest.fixture
def client(store):
    return store.client()


@pytest.fixture
def box(client):
    return Container(client)


def test_each_put_is_a_version(box):
    one, two = box.put("one"), box.put("second")
    for answer in (box("GET"), box("HEAD")):
        assert answer.headers[ID] == two > one
        assert answer.headers["content-location"] == f"/v1/{ACCOUNT}{box.path}/o?version-id={two}"
        assert answer.headers["content-length"] == "6"
    assert (box("GET").text, box("GET", version=one).text) == ("second", "one")
    assert box("GET", version=one).headers[ID] == one
    assert box("GET", version=one, headers={"range": "bytes=1-"}).text == "ne"
    assert [(name, latest) for name, _, latest in box.ids()] == [("o", True), ("o", False)]
    assert [each["bytes"] for each in box.listed()] == [6, 3]


def test_a_listing_tells_the_object_and_not_the_link(box, client):
    version = box.put("body")
    (entry,) = client.get(box.path, params={"format": "json"}).json()
    assert (entry["name"], entry["bytes"], entry["hash"]) == ("o", 4, "841a2d689ad86bd1611447453c22c6fc")
    assert entry["symlink_path"] == f"/v1/{ACCOUNT}{box.path}/o?version-id={version}"
    assert client.get(box.path).text == "o\n"
    box.put("longer")
    headers = client.head(box.path).headers
    assert (headers["x-container-object-count"], headers["x-container-bytes-used"]) == ("1", "10")
    assert headers["x-versions-enabled"] == "True"


def test_a_deletion_leaves_a_marker(box):
    one = box.put("one")
    answer = box("DELETE")
    assert answer.status_code == 204
    gone = answer.headers[ID]
    assert box("GET").status_code == 404
    assert box.ids() == [("o", gone, True), ("o", one, False)]
    assert box.listed()[0]["content_type"] == MARKER
    for method in ("GET", "HEAD"):
        answer = box(method, version=gone)
        assert (answer.status_code, answer.headers[ID], answer.headers["content-type"]) == (404, gone, MARKER)
    assert box("GET", version=one).text == "one"
    assert box("DELETE").status_code == 404  # and one more marker
    assert len(box.ids()) == 3


def test_an_old_version_is_made_the_current_one(box):
    one = box.put("one")
    box.put("two")
    answer = box("PUT", version=one)
    assert (answer.status_code, answer.headers[ID]) == (201, one)
    assert (box("GET").text, box("GET").headers[ID]) == ("one", one)
    assert [latest for _, _, latest in box.ids()] == [False, True]
    box("DELETE")
    assert box("PUT", version=one).status_code == 201
    assert box("GET").text == "one"


@pytest.mark.parametrize(
    ("method", "version", "body", "status", "words"),
    [
        ("PUT", "1.00000", b"x", 400, "PUT version-id requests require a zero byte body"),
        ("PUT", "1.00000", b"", 404, "The specified version does not exist"),
        ("PUT", "null", b"", 400, "Invalid version parameter"),
        ("GET", "words", None, 400, "Invalid version parameter"),
        ("DELETE", "words", None, 400, "Invalid version parameter"),
        ("POST", "1.00000", None, 400, "POST to a specific version is not allowed"),
        ("GET", "1.00000", None, 404, None),
        ("GET", "null", None, 404, None),
    ],
    ids=["body", "absent", "null", "words", "delete words", "post", "get absent", "get null"],
)
def test_requests_for_one_version_that_are_refused(box, method, version, body, status, words):
    box.put("one")
    answer = box(method, version=version, content=body)
    assert answer.status_code == status
    assert words is None or answer.text == words


def test_a_container_without_versions(client):
    box = Container(client, enabled=False)
    assert box.put("one") is None
    answer = box("GET", version="1.00000")
    assert answer.text == "version-aware operations require that the container is versioned"
    assert (box("GET", version="null").text, ID in box("GET").headers) == ("one", False)
    assert box.ids() == [("o", "null", True)]


def test_what_was_there_before_is_kept(client):
    box = Container(client, enabled=False)
    box("PUT", content="old", headers={"x-object-meta-a": "b"})
    box.enable()
    assert (box("GET", version="null").text, box("GET").headers[ID]) == ("old", "null")
    new = box.put("new")
    (_, latest, _), (_, before, _) = box.ids()
    assert latest == new
    answer = box("GET", version=before)
    assert (answer.text, answer.headers["x-object-meta-a"]) == ("old", "b")
    box.enable(False)
    assert client.head(box.path).headers["x-versions-enabled"] == "False"
    assert box.put("plain") is None
    assert box.ids()[0] == ("o", "null", True)
    assert box("GET", version=new).text == "new"
    assert box("DELETE").status_code == 204
    assert len(box.ids()) == 2


def test_deletion_of_versions(box):
    one, two, three = box.put("1"), box.put("2"), box.put("3")
    answer = box("DELETE", version=one)
    assert (answer.status_code, answer.headers[ID], answer.headers[CURRENT]) == (204, one, three)
    assert box("GET").text == "3"
    answer = box("DELETE", version=three)
    assert answer.headers[CURRENT] == "null"
    assert box("GET").status_code == 404
    assert box.ids() == [("o", two, False)]
    assert box("DELETE", version=two).status_code == 204
    assert (box("DELETE", version=two).status_code, box.ids()) == (404, [])


def test_a_container_goes_when_its_versions_are_gone(box, client):
    one = box.put("1")
    box("DELETE")
    answer = client.delete(box.path)
    assert (answer.status_code, answer.text) == (409, "Delete all versions before deleting container.")
    for _, version, _ in box.ids():
        box("DELETE", version=version)
    assert client.delete(box.path).status_code == 204
    assert client.head(box.path).status_code == 404
    client.put(box.path)
    assert (box.ids(), box("GET", version=one).status_code) == ([], 400)


def test_a_container_with_objects_keeps_its_versions(client):
    box = Container(client, enabled=False)
    box.put("plain")
    box.enable()
    assert client.delete(box.path).status_code == 409
    assert box.put("one")


def test_a_post_reaches_the_version(box):
    one = box.put("1")
    assert box("POST", headers={"x-object-meta-a": "b"}).status_code == 202
    assert box("GET").headers["x-object-meta-a"] == "b"
    assert box("HEAD", version=one).headers["x-object-meta-a"] == "b"
    assert box("POST", "nothing").status_code == 404


def test_only_new_ones_where_that_is_wanted(box):
    headers = {"if-none-match": "*"}
    assert box("PUT", content="1", headers=headers).status_code == 201
    assert box("PUT", content="2", headers=headers).status_code == 412
    assert len(box.ids()) == 1


def test_uploads_that_fail_leave_no_version(box):
    assert box("PUT", content="1", headers={"etag": "wrong"}).status_code == 422
    assert box("PUT", content="1", headers={"content-type": "a/b;swift_x=1"}).status_code == 400
    assert (box.ids(), box("GET").status_code) == ([], 404)
    assert box("PUT", content=iter([b"ab", b"cd"])).status_code == 201
    assert box.listed()[0]["bytes"] == 4


def test_listings_of_versions(box):
    for name in ("a", "b/1", "b/2", "c"):
        for body in ("x", "y"):
            box.put(body, name)
    names = [name for name, _, _ in box.ids()]
    assert names == ["a", "a", "b/1", "b/1", "b/2", "b/2", "c", "c"]
    assert box.ids(prefix="b/") == [each for each in box.ids() if each[0][:2] == "b/"]
    assert [each.get("name") or each["subdir"] for each in box.listed(delimiter="/")] == ["a", "a", "b/", "c", "c"]
    assert [name for name, _, _ in box.ids(reverse="on")] == names[::-1]
    seen, marker = [], {}
    while page := box.ids(limit=3, **marker):
        seen += page
        marker = {"marker": page[-1][0], "version_marker": page[-1][1]}
    assert [each[:2] for each in seen] == [each[:2] for each in box.ids()]
    assert [name for name, _, _ in box.ids(marker="b/1")] == ["b/2", "b/2", "c", "c"]
    assert [name for name, _, _ in box.ids(marker="b/1", version_marker="null")] == names[2:]


@pytest.mark.parametrize(
    ("params", "status", "words"),
    [
        ({"version_marker": "1"}, 400, "version_marker param requires marker"),
        ({"version_marker": "x", "marker": "o"}, 400, "invalid version_marker param"),
        ({"delimiter": "1"}, 400, "invalid delimiter param"),
        ({"limit": "99999"}, 412, "Maximum limit is 10000"),
        ({"format": "xml"}, 406, None),
        ({"format": "plain"}, 406, None),
    ],
    ids=["no marker", "words", "delimiter", "limit", "xml", "plain"],
)
def test_listings_that_are_refused(box, client, params, status, words):
    answer = client.get(box.path, params={"versions": "", **params})
    assert answer.status_code == status
    assert words is None or answer.text == words
    assert client.get(box.path, params={"versions": ""}, headers={"accept": "text/xml"}).status_code == 406


def test_the_account_counts_versions_with_their_container(box, client, store):
    box.put("12345")
    box.put("67")
    engine = store.engine
    store.run(Updater(engine.places, engine.indexes, 3600).run)
    for form in ("json", "xml"):
        answer = client.get("", params={"format": form, "prefix": box.path[1:], "limit": 1})
        assert ("<bytes>7</bytes>" in answer.text) if form == "xml" else answer.json()[0]["bytes"] == 7
    assert "versions" not in client.get("").text


def test_versions_count_for_the_containers_quota(box, client):
    box.put("12345")
    box.put("67890")
    client.post(box.path, headers={"x-container-meta-quota-bytes": "12"})
    assert box("PUT", content="12").status_code == 201
    assert box("PUT", content="1").status_code == 413


def test_large_objects_have_versions(box, client):
    client.put("/seg")
    client.put("/seg/s", content=b"seg")
    params = {"multipart-manifest": "put"}
    first = box("PUT", params=params, content=json.dumps([{"path": "/seg/s"}]))
    second = box("PUT", params=params, content=json.dumps([{"path": "/seg/s"}] * 2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert (box("GET").text, box("GET", version=first.headers[ID]).text) == ("segseg", "seg")
    assert box("HEAD", version=first.headers[ID], params={"part-number": 1}).headers["content-length"] == "3"
    assert [each["bytes"] for each in box.listed()] == [6, 3]
    assert box.listed()[0]["slo_etag"] == second.headers["etag"]
    (entry,) = client.get(box.path, params={"format": "json"}).json()
    assert (entry["bytes"], entry["slo_etag"]) == (6, second.headers["etag"])
    assert box("PUT", version=first.headers[ID]).status_code == 201
    (entry,) = client.get(box.path, params={"format": "json"}).json()
    assert (entry["bytes"], box("GET").text) == (3, "seg")
    assert box("COPY", version=second.headers[ID], headers={"destination": f"{box.path[1:]}/copy"}).status_code == 201
    assert box("GET", "copy").text == "segseg"


def test_links_have_versions(box):
    box.put("target", "t")
    first = box("PUT", "l", headers={"x-symlink-target": f"{box.path[1:]}/t"})
    assert box("GET", "l").text == "target"
    box.put("plain", "l")
    assert (box("GET", "l").text, box("GET", "l", version=first.headers[ID]).text) == ("plain", "target")
    etag = box("HEAD", "t").headers["etag"]
    box("PUT", "l", headers={"x-symlink-target": f"{box.path[1:]}/t", "x-symlink-target-etag": etag})
    assert box("GET", "l").text == "target"


def test_a_copy_of_a_version(box):
    one = box.put("one")
    box.put("two")
    answer = box("COPY", version=one, headers={"destination": f"{box.path[1:]}/copy"})
    assert (answer.status_code, answer.headers["x-copied-from-version-id"]) == (201, one)
    assert box("GET", "copy").text == "one"


def test_who_may_write_makes_versions_and_only_owners_name_them(box, client, store):
    one = box.put("one")
    other, nobody = store.client("other"), store.client("")
    path = f"{box.path}/o"
    for method in ("PUT", "DELETE", "POST"):
        assert (other.request(method, path).status_code, nobody.request(method, path).status_code) == (403, 401)
    assert nobody.post(box.path, headers={"x-versions-enabled": "true"}).status_code == 401
    client.post(box.path, headers={"x-container-write": "*:other-id", "x-container-read": ".r:*,.rlistings"})
    assert other.put(path, content=b"two").status_code == 201
    assert (nobody.get(path).text, len(nobody.get(box.path, params={"versions": ""}).json())) == ("two", 2)
    params = {"version-id": one}
    assert (other.get(path, params=params).status_code, nobody.get(path, params=params).status_code) == (403, 401)
    assert other.delete(path, params=params).status_code == 403
    assert other.delete(path).status_code == 204
    assert client.get(path, params=params).text == "one"


def test_it_cannot_be_had_beside_other_features(client, store):
    client.put("/old", headers={"x-versions-location": "v"})
    answer = client.post("/old", headers={"x-versions-enabled": "true"})
    assert (answer.status_code, "legacy versioned writes" in answer.text) == (400, True)
    assert store.client("other").put("/no", headers={"x-versions-enabled": "true"}).status_code == 403
    assert client.post("/nowhere", headers={"x-versions-enabled": "true"}).status_code == 404
    assert client.put("/nowhere").status_code == 201


def test_versions_lie_by_the_policy_of_their_objects(client, store):
    client.put("/silver", headers={"x-versions-enabled": "true", "x-storage-policy": "silver"})
    assert client.head("/silver").headers["x-storage-policy"] == "silver"
    answer = client.put("/silver/o", content=b"1")
    assert client.get("/silver/o").text == "1"
    assert answer.headers[ID]
    (entry,) = client.get("", params={"format": "json", "prefix": "silver"}).json()
    assert entry["storage_policy"] == "silver"


@pytest.mark.parametrize("path", ["/%00versions%00c", "/%00versions%00c/o", "/c/%00o%00x", "/%ff", "/c/%ff"])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "HEAD"])
def test_names_that_nobody_may_say(client, store, method, path):
    answer = client.request(method, f"{store.url}/v1/{ACCOUNT}{path}", headers={"x-versions-enabled": "true"})
    assert answer.status_code == 412


def test_a_copied_link_does_not_open_what_is_closed(box, client, store):
    theirs = store.client("other", OTHERS)
    theirs.put("/secret")
    theirs.put("/secret/o", content=b"theirs")
    box.put("mine")
    headers = {
        "destination": f"{box.path[1:]}/forged",
        "x-symlink-target": "secret/o",
        "x-symlink-target-account": OTHERS,
        "x-symlink-target-etag": "",
    }
    for container in (box, Container(client, enabled=False)):
        headers["destination"] = f"{container.path[1:]}/forged"
        assert box("COPY", params={"symlink": "get"}, headers=headers).status_code in (201, 409)
        assert container("GET", "forged").status_code in (403, 404, 409)


def test_a_version_that_may_not_be_deleted_stays_the_current_one(box, client, store):
    version = box.put("one")
    client.post(box.path, headers={"x-container-write": "*:other-id"})
    answer = store.client("other").delete(f"{box.path}/o", params={"version-id": version})
    assert (answer.status_code, box("GET").text) == (403, "one")
