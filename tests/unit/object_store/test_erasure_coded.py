# SPDX-License-Identifier: Apache-2.0
"""A container whose policy encodes, as clients see it: like any other, while two of its devices are away, too."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import time
from email.parser import BytesParser

import boto3
import pytest
import swiftclient
from botocore.config import Config
from swiftclient.service import SwiftService, SwiftUploadObject

from cumulet.services.object_store.api.site import Options
from cumulet.services.object_store.engine.base import Name
from cumulet.services.object_store.engine.coded.scheme import Scheme
from cumulet.services.object_store.engine.jobs.upkeep import Upkeep
from support.object_store import ACCOUNT, encoded, serving

SCHEME = Scheme(type="isa_l_rs_cauchy", data=3, parity=2, segment=100_000)
SECRET = {"encryption": {"encryption_root_secret": base64.b64encode(bytes(32)).decode()}}
BODY = hashlib.sha256(b"body").digest() * 40_000  # 1.28 MB
DEEP = {"x-storage-policy": "silver"}


class Deep:
    """The store, and its devices."""

    def __init__(self):
        self.cluster = None

    def make(self):
        self.cluster = encoded(SCHEME)
        return self.cluster

    def part(self, name):
        _, spot = self.cluster.places.object(Name(ACCOUNT, "deep", name, 1))
        return [node.objects for node in self.cluster.places.positions(spot)]


@pytest.fixture(scope="module", params=["plain", "encrypted"])
def store(request):
    deep = Deep()
    with serving(deep.make, options=Options(filters=SECRET if request.param == "encrypted" else {})) as found:
        found.deep = deep
        client = found.client()
        assert client.put("/deep", headers=DEEP).status_code == 201
        assert client.put("/flat").status_code == 201
        yield found


@pytest.fixture
def client(store):
    made = store.client()
    made.put("/deep/o", content=BODY, headers={"content-type": "text/x", "x-object-meta-a": "1"})
    return made


def md5(body):
    return hashlib.md5(body).hexdigest()


def test_what_is_told_of_it(store, client):
    assert client.head("/deep").headers["x-storage-policy"] == "silver"
    assert {"name": "silver", "aliases": "silver, second"} in client.get(f"{store.url}/info").json()["swift"][
        "policies"
    ]
    answer = client.head("/deep/o")
    assert (answer.headers["etag"], int(answer.headers["content-length"])) == (md5(BODY), len(BODY))
    assert (answer.headers["content-type"], answer.headers["x-object-meta-a"]) == ("text/x", "1")
    assert not [name for name in answer.headers if "sysmeta" in name]
    [row] = [each for each in client.get("/deep?format=json").json() if each["name"] == "o"]
    assert (row["bytes"], row["hash"], row["content_type"]) == (len(BODY), md5(BODY), "text/x")
    assert len({device.id for device in store.deep.part("o")}) == 5


@pytest.mark.parametrize("size", [0, 1, 99_999, 100_000, 100_001, 1_000_000])
def test_bodies_of_any_size(client, size):
    body = BODY[:size]
    assert client.put(f"/deep/s{size}", content=body).headers["etag"] == md5(body)
    assert client.put(f"/deep/c{size}", content=iter([body[:70_000], body[70_000:]])).status_code == 201
    for name in (f"s{size}", f"c{size}"):
        answer = client.get(f"/deep/{name}")
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (200, body, md5(body))


@pytest.mark.parametrize("away", [(), (0, 1), (3, 4), (1, 3)], ids=str)
def test_ranges_while_some_are_away(store, client, away):
    part = store.deep.part("o")
    for place in away:
        part[place].gone = True
    try:
        assert client.get("/deep/o").content == BODY
        for start, end in ((0, 0), (99_999, 100_000), (250_000, 449_999), (1_279_999, 1_279_999)):
            answer = client.get("/deep/o", headers={"range": f"bytes={start}-{end}"})
            assert (answer.status_code, answer.content) == (206, BODY[start : end + 1])
        assert client.get("/deep/o", headers={"range": "bytes=-5"}).content == BODY[-5:]
        assert client.get("/deep/o", headers={"range": "bytes=1280000-"}).status_code == 416
        answer = client.get("/deep/o", headers={"range": "bytes=5-9,150000-250000,-3"})
        head = f"content-type: {answer.headers['content-type']}\r\n\r\n".encode()
        parts = BytesParser().parsebytes(head + answer.content).get_payload()
        assert [each.get_payload(decode=True) for each in parts] == [BODY[5:10], BODY[150_000:250_001], BODY[-3:]]
    finally:
        for device in part:
            device.gone = False


def test_conditions_and_what_is_refused(client):
    assert client.get("/deep/o", headers={"if-none-match": md5(BODY)}).status_code == 304
    assert client.get("/deep/o", headers={"if-match": "other"}).status_code == 412
    assert client.put("/deep/o", content=b"x", headers={"if-none-match": "*"}).status_code == 412
    assert client.put("/deep/o", content=b"x", headers={"etag": md5(b"y")}).status_code == 422
    assert client.get("/deep/o").content == BODY


def test_metadata_are_replaced(client):
    assert client.post("/deep/o", headers={"x-object-meta-b": "2", "content-type": "a/b"}).status_code == 202
    answer = client.head("/deep/o")
    assert (answer.headers.get("x-object-meta-a"), answer.headers["x-object-meta-b"]) == (None, "2")
    assert (answer.headers["content-type"], answer.headers["etag"]) == ("a/b", md5(BODY))


@pytest.mark.parametrize(("source", "target"), [("deep", "flat"), ("flat", "deep"), ("deep", "deep")])
def test_copies_between_policies(client, source, target):
    client.put(f"/{source}/from", content=BODY, headers={"x-object-meta-a": "1"})
    answer = client.request("COPY", f"/{source}/from", headers={"destination": f"{target}/to"})
    assert (answer.status_code, answer.headers["etag"]) == (201, md5(BODY))
    found = client.get(f"/{target}/to")
    assert (found.content, found.headers["x-object-meta-a"]) == (BODY, "1")


def test_large_objects_of_segments(client):
    for number in range(3):
        client.put(f"/deep/seg/{number}", content=BODY[number * 300_000 : (number + 1) * 300_000])
    words = [{"path": f"/deep/seg/{number}"} for number in range(3)]
    words[1]["range"] = "100-200099"
    answer = client.put("/deep/large", params={"multipart-manifest": "put"}, content=json.dumps(words))
    assert answer.status_code == 201
    whole = BODY[:300_000] + BODY[300_100:500_100] + BODY[600_000:900_000]
    assert client.get("/deep/large").content == whole
    assert client.get("/deep/large", headers={"range": "bytes=299990-300010"}).content == whole[299_990:300_011]
    client.put("/deep/dynamic", content=b"", headers={"x-object-manifest": "deep/seg/"})
    assert client.get("/deep/dynamic").content == BODY[:900_000]
    assert "Number Deleted: 4" in client.delete("/deep/large", params={"multipart-manifest": "delete"}).text


def test_versions(client):
    client.put("/kept", headers=DEEP)
    assert client.post("/kept", headers={"x-versions-enabled": "true"}).status_code == 204
    for body in (b"one", BODY, b"three"):
        client.put("/kept/o", content=body)
    versions = client.get("/kept?versions&format=json").json()
    assert [each["bytes"] for each in versions] == [5, len(BODY), 3]
    assert client.get("/kept/o", params={"version-id": versions[1]["version_id"]}).content == BODY
    assert client.delete("/kept/o").status_code == 204
    assert client.get("/kept/o").status_code == 404


def test_what_expires(store, client):
    client.put("/deep/short", content=BODY, headers={"x-delete-at": str(int(time.time()) + 2)})
    deadline = time.time() + 30
    while client.get("/deep/short").status_code == 200:
        assert time.time() < deadline
    upkeep = Upkeep(store.deep.cluster)
    assert store.run(upkeep.expirer.run) == 1
    assert "short" not in [each["name"] for each in client.get("/deep?format=json").json()]


def test_it_is_deleted(client):
    assert client.delete("/deep/o").status_code == 204
    assert client.get("/deep/o").status_code == 404
    assert client.delete("/deep/o").status_code == 404
    assert "o" not in [each["name"] for each in client.get("/deep?format=json").json()]


def test_too_many_away(store, client):
    part = store.deep.part("o")
    for device in part[:3]:
        device.gone = True
    try:
        assert client.get("/deep/o").status_code == 503
        assert client.put("/deep/o", content=b"x").status_code == 503
    finally:
        for device in part:
            device.gone = False
    assert client.get("/deep/o").content == BODY


def test_python_swiftclient(store, tmp_path):
    options = {"os_storage_url": f"{store.url}/v1/{ACCOUNT}", "os_auth_token": "member", "auth_version": "3"}
    connection = swiftclient.Connection(preauthurl=options["os_storage_url"], preauthtoken="member")
    connection.put_container("clients", headers={"X-Storage-Policy": "silver"})
    (tmp_path / "body").write_bytes(BODY)
    more = {"segment_size": 500_000, "use_slo": True, "segment_container": "clients"}
    with SwiftService(options=options) as service:
        done = list(service.upload("clients", [SwiftUploadObject(str(tmp_path / "body"), "big")], more))
        assert all(each["success"] for each in done), done
    headers, body = connection.get_object("clients", "big")
    assert (body, headers["x-static-large-object"]) == (BODY, "True")
    connection.put_object("clients", "small", io.BytesIO(b"small"))
    assert connection.get_object("clients", "small")[1] == b"small"
    connection.close()


def test_buckets_of_s3(store):
    connection = boto3.client(
        "s3",
        endpoint_url=store.url,
        aws_access_key_id="member",
        aws_secret_access_key="member-secret",
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    connection.put_object(Bucket="deep", Key="s3/object", Body=BODY)
    assert connection.get_object(Bucket="deep", Key="s3/object")["Body"].read() == BODY
    part = connection.get_object(Bucket="deep", Key="s3/object", Range="bytes=100000-200000")
    assert part["Body"].read() == BODY[100_000:200_001]
