# SPDX-License-Identifier: Apache-2.0
"""Static large objects, as clients put, read, copy and delete them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import httpx
import pytest

from cumulet.services.object_store.api.site import Options
from cumulet.services.object_store.engine.jobs.upkeep import Upkeep
from cumulet.services.object_store.logic.limits import Limits
from support.object_store import OTHERS, ObjectStore, in_memory, serving
from support.waiting import until

PUT = {"multipart-manifest": "put"}
GET = {"multipart-manifest": "get"}
DELETE = {"multipart-manifest": "delete"}
BODIES = {"a": b"aaaa", "b": b"bbbbbb", "e": b""}


class Watched:
    """An engine that knows how many of its readings are open."""

    def __init__(self) -> None:
        self._engine = in_memory()
        self.open: set[object] = set()
        self.opened = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def read(self, name: Any, *, newest: bool = False) -> Any:
        reading = await self._engine.read(name, newest=newest)
        if reading is None:
            return None
        closing = reading.close
        self.open.add(reading)
        self.opened += 1

        async def close() -> None:
            self.open.discard(reading)
            await closing()

        reading.close = close  # type: ignore[method-assign]
        return reading


@pytest.fixture(scope="module")
def store():
    options = Options(filters={"slo": {"max_manifest_segments": 20, "max_manifest_size": 4000}})
    with serving(Watched, options=options, limits=Limits(max_file_size=200_000)) as found:
        yield found


@pytest.fixture
def client(store: ObjectStore):
    made = store.client()
    made.put("/c")
    for name, body in BODIES.items():
        made.put(f"/c/{name}", content=body, headers={"content-type": "text/seg; a=b"})
    yield made
    assert not store.engine.open, "a reading was left open"


def put(client: httpx.Client, path: str, *entries: Any, params: Any = PUT, **headers: str) -> httpx.Response:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.put(path, params=params, content=json.dumps(entries), headers=headers)


def md5(*parts: bytes | str) -> str:
    return hashlib.md5(b"".join(each.encode() if isinstance(each, str) else each for each in parts)).hexdigest()


def whole(client: httpx.Client) -> str:
    """Put one that reads "aaaaXXbbb"; its ETag."""
    answer = put(
        client, "/c/m", {"path": "/c/a"}, {"data": "WFg="}, {"path": "c/b", "range": "1-3"}, content_type="text/x"
    )
    etag = f'"{md5(md5(b"aaaa"), md5(b"XX"), md5(b"bbbbbb"), ":1-3;")}"'
    assert (answer.status_code, answer.headers["etag"]) == (201, etag)
    return etag


def test_what_was_put_is_read_as_one(client):
    etag = whole(client)
    for answer in (client.get("/c/m"), client.head("/c/m")):
        assert answer.status_code == 200
        assert answer.headers["etag"] == etag
        assert answer.headers["content-length"] == "9"
        assert answer.headers["content-type"] == "text/x"
        assert answer.headers["x-static-large-object"] == "True"
        assert not [name for name in answer.headers if "sysmeta" in name]
    assert client.get("/c/m").content == b"aaaaXXbbb"
    manifest = client.get("/c/m", params=GET)
    assert manifest.headers["etag"] == client.get("/c/m").headers["x-manifest-etag"] == md5(manifest.content)
    assert manifest.headers["content-type"] == "application/json; charset=utf-8"


def test_the_manifest_as_it_is_kept_and_as_it_was_put(client):
    whole(client)
    first, second, third = client.get("/c/m", params=GET).json()
    assert first.pop("last_modified")[-7:] == ".000000"
    assert first == {"name": "/c/a", "bytes": 4, "hash": md5(b"aaaa"), "content_type": "text/seg"}
    assert second == {"data": "WFg="}
    assert third["range"] == "1-3"
    raw = client.get("/c/m", params={**GET, "format": "raw"})
    assert raw.json() == [
        {"path": "/c/a", "size_bytes": 4, "etag": md5(b"aaaa")},
        {"data": "WFg="},
        {"path": "/c/b", "size_bytes": 6, "etag": md5(b"bbbbbb"), "range": "1-3"},
    ]
    assert raw.headers["etag"] == md5(raw.content)
    head = client.head("/c/m", params={**GET, "format": "raw"})
    assert (head.headers["content-length"], head.headers["etag"]) == (str(len(raw.content)), raw.headers["etag"])


def test_listings_tell_the_size_of_all_and_both_etags(client):
    etag = whole(client)
    manifest = client.get("/c/m", params=GET).content
    (entry,) = client.get("/c", params={"format": "json", "prefix": "m"}).json()
    assert (entry["bytes"], entry["hash"], entry["slo_etag"]) == (9, md5(manifest), etag)
    used = int(client.head("/c").headers["x-container-bytes-used"])
    assert used == sum(each["bytes"] for each in client.get("/c", params={"format": "json"}).json()) - 9 + len(manifest)


@pytest.mark.parametrize(
    ("asked", "body", "told"),
    [
        ("0-0", b"a", "bytes 0-0/9"),
        ("3-6", b"aXXb", "bytes 3-6/9"),
        ("4-5", b"XX", "bytes 4-5/9"),
        ("-2", b"bb", "bytes 7-8/9"),
        ("5-", b"Xbbb", "bytes 5-8/9"),
        ("0-99", b"aaaaXXbbb", "bytes 0-8/9"),
    ],
)
def test_parts_over_segments(client, asked, body, told):
    whole(client)
    answer = client.get("/c/m", headers={"range": f"bytes={asked}"})
    assert (answer.status_code, answer.content, answer.headers["content-range"]) == (206, body, told)


def test_several_parts_and_none(client):
    whole(client)
    answer = client.get("/c/m", headers={"range": "bytes=3-6,0-0"})
    assert answer.status_code == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges;boundary=")
    assert len(answer.content) == int(answer.headers["content-length"])
    assert b"Content-Range: bytes 3-6/9\r\n\r\naXXb\r\n" in answer.content
    answer = client.get("/c/m", headers={"range": "bytes=9-"})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */9")
    assert client.head("/c/m", headers={"range": "bytes=0-0"}).headers["content-length"] == "9"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions_are_on_the_etag_of_all(client, method):
    etag = whole(client)
    own = client.get("/c/m", params=GET).headers["etag"]
    for headers, status in [
        ({"if-none-match": etag}, 304),
        ({"if-none-match": own}, 200),
        ({"if-match": etag}, 200),
        ({"if-match": own}, 412),
        ({"if-unmodified-since": "Mon, 01 Jan 2001 00:00:00 GMT"}, 412),
    ]:
        answer = client.request(method, "/c/m", headers=headers)
        assert (answer.status_code, answer.headers["etag"]) == (status, etag), headers


def test_parts_by_number(client):
    whole(client)
    for number, body, told in ((1, b"aaaa", "bytes 0-3/9"), (2, b"XX", "bytes 4-5/9"), (3, b"bbb", "bytes 6-8/9")):
        answer = client.get("/c/m", params={"part-number": number})
        assert (answer.status_code, answer.content, answer.headers["content-range"]) == (206, body, told)
        assert answer.headers["x-parts-count"] == "3"
        head = client.head("/c/m", params={"part-number": number})
        assert (head.status_code, head.headers["content-length"]) == (206, str(len(body)))
    for method in ("GET", "HEAD"):
        answer = client.request(method, "/c/m", params={"part-number": 4})
        assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */9")
    for number in ("0", "-1", "x", ""):
        assert client.get("/c/m", params={"part-number": number}).status_code == 400
    answer = client.get("/c/m", params={"part-number": 1}, headers={"range": "bytes=0-0"})
    assert (answer.status_code, answer.text) == (400, "Range requests are not supported with part number queries")
    assert client.get("/c/a", params={"part-number": "x"}).status_code == 200


def test_manifests_in_manifests(client):
    whole(client)
    assert put(client, "/c/n", {"path": "/c/m", "range": "2-5"}, {"path": "/c/a"}).status_code == 201
    assert client.get("/c/n").content == b"aaXXaaaa"
    assert client.get("/c/n", headers={"range": "bytes=1-4"}).content == b"aXXa"
    assert client.get("/c/n", params=GET).json()[0]["sub_slo"] is True
    before = "/c/m"
    for depth in range(2, 12):
        path = f"/c/deep{depth}"
        assert put(client, path, {"path": before}).status_code == 201
        assert client.get(path).status_code == (200 if depth <= 10 else 409)
        before = path


def test_nothing_and_an_empty_end(client):
    answer = put(client, "/c/none")
    assert (answer.status_code, answer.headers["etag"]) == (201, f'"{md5()}"')
    assert client.get("/c/none").content == b""
    assert put(client, "/c/m", {"path": "/c/a"}, {"path": "/c/e"}).status_code == 201
    assert client.get("/c/m").content == b"aaaa"
    answer = put(client, "/c/m", {"path": "/c/e"}, {"path": "/c/a"})
    assert answer.status_code == 400
    assert "/c/e, Too small; each segment must be at least 1 byte.\n" in answer.text


def test_all_that_is_wrong_with_segments_is_told(client):
    entries = [
        {"path": "/c/not there"},
        {"path": "/c/a", "size_bytes": 5},
        {"path": "/c/a", "etag": "x"},
        {"path": "/c/b", "range": "6-"},
    ]
    wrong = [
        ["/c/not%20there", "404 Not Found"],
        ["/c/a", "Size Mismatch"],
        ["/c/a", "Etag Mismatch"],
        ["/c/b", "Unsatisfiable Range"],
    ]
    answer = put(client, "/c/m", *entries, accept="application/json")
    assert (answer.status_code, answer.json()) == (400, {"Errors": wrong})
    answer = put(client, "/c/m", *entries)
    assert answer.text == "Errors:\n" + "".join(f"{name}, {why}\n" for name, why in wrong)
    answer = put(client, "/c/m", *entries[:1], accept="application/xml")
    assert "<errors>\n<object><name>/c/not%20there</name><status>404 Not Found</status></object>\n" in answer.text


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"no json", {}, 400, "Manifest must be valid JSON.\n"),
        (b"{}", {}, 400, "Manifest must be a list.\n"),
        (b'[{"path": "/c/m"}]', {}, 400, "Index 0: manifest must not include itself as a segment\n"),
        (b'[{"data": "WFg="}]', {}, 400, "Inline data segments require at least one object-backed segment.\n"),
        (b" " * 4001, {}, 413, "Manifest File > 4000 bytes"),
        (json.dumps([{"path": "/c/a"}] * 21).encode(), {}, 413, "Number of object-backed segments must be <= 20"),
        (b'[{"path": "/c/a"}]', {"etag": "x"}, 422, None),
    ],
    ids=["json", "list", "itself", "inline alone", "size", "count", "etag"],
)
def test_manifests_that_are_refused(client, body, headers, status, words):
    answer = client.put("/c/m", params=PUT, content=body, headers=headers)
    assert answer.status_code == status
    assert words is None or answer.text == words


def test_a_manifest_in_chunks(client):
    answer = client.put("/c/m", params=PUT, content=iter([b'[{"path": ', b'"/c/a"}]']))
    assert answer.status_code == 201
    assert client.put("/c/m", params=PUT, content=iter([b" " * 3000] * 2)).status_code == 413
    assert client.get("/c/m").content == b"aaaa"


def test_the_header_is_the_stores_own(client):
    for method in ("PUT", "POST"):
        answer = client.request(method, "/c/a", headers={"x-static-large-object": "true"})
        assert (answer.status_code, "reserved header" in answer.text) == (400, True)


def test_heartbeats(client):
    params = {**PUT, "heartbeat": "on"}
    answer = put(client, "/c/m", {"path": "/c/a"}, params=params, accept="application/json")
    assert answer.status_code == 202
    assert answer.content[:5] == b" \r\n\r\n"
    told = answer.json()
    assert told.pop("Last Modified")
    assert told == {
        "Response Status": "201 Created",
        "Response Body": "",
        "Etag": f'"{md5(md5(b"aaaa"))}"',
        "Errors": [],
    }
    answer = put(client, "/c/m", {"path": "/c/x"}, params=params)
    assert "Response Status: 400 Bad Request\nErrors:\n/c/x, 404 Not Found\n" in answer.text
    answer = put(client, "/c/m", {"path": "/c/a"}, params=params, etag="x", accept="application/json")
    assert (answer.status_code, answer.json()["Response Status"]) == (202, "422 Unprocessable Entity")
    answer = put(client, "/gone/m", {"path": "/c/a"}, params=params, accept="application/json")
    assert answer.json()["Response Status"] == "404 Not Found"


def test_a_segment_that_changed_is_a_conflict_or_a_cut(client):
    client.put("/c/first", content=b"1" * 70_000)
    client.put("/c/second", content=b"2" * 70_000)
    assert put(client, "/c/m", {"path": "/c/first"}, {"path": "/c/second"}).status_code == 201
    client.put("/c/second", content=b"3" * 70_000)
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/c/m")
    assert client.get("/c/m", headers={"range": "bytes=0-69999"}).content == b"1" * 70_000
    assert client.get("/c/m", headers={"range": "bytes=70000-"}).status_code == 409
    client.delete("/c/first")
    assert client.get("/c/m").status_code == 409
    assert client.head("/c/m").status_code == 200


def test_a_manifest_that_is_none_any_more(client):
    whole(client)
    put(client, "/c/n", {"path": "/c/m"})
    client.put("/c/m", content=b"plain")
    assert client.get("/c/n").status_code == 409


def test_a_client_that_goes_away_leaves_nothing_open(client, store):
    client.put("/c/big", content=b"x" * 200_000)
    put(client, "/c/m", *[{"path": "/c/big"}] * 20)
    put(client, "/c/n", *[{"path": "/c/m"}] * 20)
    before = store.engine.opened
    with client.stream("GET", "/c/n") as answer:
        next(answer.iter_raw(1000))
    until(lambda: not store.engine.open)
    assert store.engine.opened - before < 200


def test_a_post_changes_metadata_alone(client):
    etag = whole(client)
    assert client.post("/c/m", headers={"x-object-meta-a": "b", "content-type": "text/y"}).status_code == 202
    answer = client.get("/c/m")
    assert (answer.content, answer.headers["etag"], answer.headers["x-object-meta-a"]) == (b"aaaaXXbbb", etag, "b")
    assert answer.headers["content-type"] == "text/y"
    (entry,) = client.get("/c", params={"format": "json", "prefix": "m"}).json()
    assert (entry["bytes"], entry["content_type"]) == (9, "text/y")


def test_a_copy_has_the_bytes_or_the_segments(client):
    whole(client)
    assert client.request("COPY", "/c/m", headers={"destination": "c/bytes"}).status_code == 201
    answer = client.get("/c/bytes")
    assert (answer.content, answer.headers["etag"]) == (b"aaaaXXbbb", md5(b"aaaaXXbbb"))
    assert "x-static-large-object" not in answer.headers
    assert client.get("/c/bytes", headers={"if-none-match": md5(b"aaaaXXbbb")}).status_code == 304
    answer = client.request("COPY", "/c/m", params=GET, headers={"destination": "c/segments"})
    assert answer.status_code == 201
    assert client.get("/c/segments", params=GET).json() == client.get("/c/m", params=GET).json()
    assert client.get("/c/segments").content == b"aaaaXXbbb"


def test_a_copy_of_a_part_and_a_copy_with_heartbeats(client):
    whole(client)
    headers = {"destination": "c/part", "range": "bytes=3-6"}
    assert client.request("COPY", "/c/m", headers=headers).status_code == 201
    assert client.get("/c/part").content == b"aXXb"
    answer = client.request(
        "COPY", "/c/m", params={"heartbeat": "on"}, headers={"destination": "c/beat", "accept": "application/json"}
    )
    assert (answer.status_code, answer.json()["Response Status"]) == (202, "201 Created")
    assert client.get("/c/beat").content == b"aaaaXXbbb"
    answer = client.request("COPY", "/c/m", params={"heartbeat": "on"}, headers={"destination": "gone/beat"})
    assert answer.text.endswith("Errors:\nc/m, 404 Not Found\n")


def test_deletion_with_all_segments(client):
    whole(client)
    put(client, "/c/n", {"path": "/c/m"}, {"path": "/c/e"})
    client.delete("/c/e")
    answer = client.delete("/c/n", params=DELETE, headers={"accept": "application/json"})
    assert answer.json() == {
        "Response Status": "200 OK",
        "Response Body": "",
        "Number Deleted": 4,
        "Number Not Found": 1,
        "Errors": [],
    }
    assert client.get("/c", params={"prefix": "m"}).text == client.get("/c/n").headers.get("none", "")
    assert client.head("/c/a").status_code == 404
    answer = client.delete("/c/n", params=DELETE)
    assert "Number Deleted: 0\nNumber Not Found: 1\n" in answer.text


def test_what_is_no_manifest_is_not_deleted(client):
    answer = client.delete("/c/a", params=DELETE, headers={"accept": "application/xml"})
    assert answer.content.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<delete>\n')
    assert "<response_status>400 Bad Request</response_status>" in answer.text
    assert "<name>/c/a</name><status>Not an SLO manifest</status>" in answer.text
    answer = client.delete("/c/a", params=DELETE, headers={"accept": "image/png"})
    assert "Response Status: 406 Not Acceptable" in answer.text
    assert client.get("/c/a").content == b"aaaa"


def test_deletion_without_a_report(client, store):
    params = {**DELETE, "async": "yes"}
    whole(client)
    put(client, "/c/n", {"path": "/c/m"})
    answer = client.delete("/c/n", params=params)
    assert (answer.status_code, answer.text) == (400, "No segments may be large objects.")
    client.put("/d")
    client.put("/d/x", content=b"x")
    put(client, "/c/two", {"path": "/c/a"}, {"path": "/d/x"})
    answer = client.delete("/c/two", params=params)
    assert answer.text == 'All segments must be in one container. Found segments in "c", "d"'
    assert client.delete("/c/m", params=params).status_code == 204
    assert client.head("/c/m").status_code == 404
    client.put("/c/b", content=b"put again")
    store.run(lambda: Upkeep(store.engine._engine).deleter.run())
    assert client.get("/c/b").content == b"put again"
    client.delete("/c/b")
    assert [client.head(f"/c/{name}").status_code for name in "abm"] == [404] * 3
    assert client.delete("/c/m", params=params).status_code == 404


def test_each_segment_is_judged_for_its_reader(client, store):
    for container, acl in (("open", ".r:*"), ("closed", "")):
        client.put(f"/{container}", headers={"x-container-read": acl})
        client.put(f"/{container}/s", content=b"seg")
    put(client, "/open/m", {"path": "/open/s"})
    put(client, "/open/n", {"path": "/closed/s"})
    for token in ("", "other"):
        stranger = store.client(token)
        assert stranger.get("/open/m").content == b"seg"
        assert stranger.get("/open/n").status_code == 409
    other = store.client("other", OTHERS)
    other.put("/c")
    assert put(other, "/c/m", {"path": "/c/s"}).text == "Errors:\n/c/s, 404 Not Found\n"


def test_a_writer_that_may_not_read_segments(client, store):
    client.put("/w", headers={"x-container-write": "*:other-id"})
    answer = put(store.client("other"), "/w/m", {"path": "/c/a"})
    assert (answer.status_code, answer.text) == (400, "Errors:\n/c/a, 403 Forbidden\n")
    whole(client)
    client.post("/c", headers={"x-container-read": "*:other-id"})
    answer = store.client("other").delete("/c/m", params=DELETE, headers={"accept": "application/json"})
    assert answer.json()["Errors"] == [[f"/c/{name}", "403 Forbidden"] for name in "abm"]
    assert store.client("other").delete("/c/m", params={**DELETE, "async": "on"}).status_code == 403
    client.post("/c", headers={"x-remove-container-read": "x"})


def test_what_can_be_done_is_told(store):
    told = store.client("").get(f"{store.url}/info").json()["slo"]
    assert told == {
        "max_manifest_segments": 20,
        "max_manifest_size": 4000,
        "yield_frequency": 10,
        "min_segment_size": 1,
        "allow_async_delete": True,
    }
