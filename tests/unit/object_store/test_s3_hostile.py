# SPDX-License-Identifier: Apache-2.0
"""Hostile requests, each rightly signed: none is answered 500, none without S3's own words, none leaves the store."""

from __future__ import annotations

import http.client
import random
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from support.object_store import ObjectStore
from unit.object_store.feature_stores import store

SIGNER = S3SigV4Auth(Credentials("member", "member-secret"), "s3", "us-east-1")
METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD", "GET", "PUT")
PATHS = (
    "/", "/hostile", "/hostile/", "/hostile/a", "/hostile/a", "/hostile/b%20c/d", "/hostile/%C3%BC", "/hostile/%00",
    "/hostile/%FF", "/nowhere/x", "/BAD", "/hostile//x", "/hostile/" + "k" * 1100, "//a", "/v1/AUTH_one/hostile/a",
)  # fmt: skip
NAMES = (
    "acl", "delete", "lifecycle", "location", "logging", "partNumber", "policy", "uploads", "uploadId", "versionId",
    "versioning", "versions", "cors", "tagging", "object-lock", "list-type", "max-keys", "prefix", "delimiter",
    "marker", "continuation-token", "start-after", "encoding-type", "key-marker", "version-id-marker",
    "upload-id-marker", "max-uploads", "max-parts", "part-number-marker", "attributes", "response-content-type",
    "response-expires", "website", "multipart-manifest", "version-id", "symlink", "format",
)  # fmt: skip
VALUES = (
    "", "1", "0", "-1", "2147483648", "9" * 30, "a/b", "url", "null", "1700000000.00000", "%", "ü", "\x01", "\r\nx: y",
    "a" * 1200, "2", "/", "true", "get", "put", "raw", "../x",
)  # fmt: skip
HEADERS = (
    "x-amz-acl", "x-amz-grant-read", "x-amz-copy-source", "x-amz-copy-source-range", "x-amz-metadata-directive",
    "x-amz-tagging", "x-amz-meta-a", "x-amz-meta-", "x-amz-object-attributes", "range", "if-match", "if-none-match",
    "if-modified-since", "x-amz-copy-source-if-match", "content-md5", "content-type", "x-delete-at", "x-delete-after",
    "x-object-manifest", "x-copy-from", "origin", "x-storage-policy", "x-versions-enabled", "content-encoding",
    "x-amz-server-side-encryption", "x-container-read", "x-amz-checksum-crc32", "x-symlink-target", "etag",
    "x-amz-trailer", "x-amz-decoded-content-length",
)  # fmt: skip
SAID = (
    "", "private", "public-read", "public-read-write", 'id="x"', "somebody", "/hostile/a", "hostile/a%20b?versionId=1",
    "hostile", "bytes=0-1", "bytes=5-1", "COPY", "REPLACE", "a=b&a=c", "%zz", "*", '"abc"', "1B2M2Y8AsgTpgAmY7PhCfg==",
    "1", "0", "-5", "9999999999", "Thu, 01 Jan 1970 00:00:00 GMT", "ETag,ObjectSize", "gold", "aws-chunked", "é",
    "http://a.example", "AAAAAA==", ".r:*,.rlistings",
)  # fmt: skip
CORS = (
    b"<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule>"
    b"</CORSConfiguration>"
)
LIFECYCLE = (
    b"<LifecycleConfiguration><Rule><Filter/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>"
    b"</LifecycleConfiguration>"
)
BODIES = (
    b"", b"<", b"<a/>", b"\xff\xfe", b"x" * 100_000, b"<a>" * 3000, b'{"Version":"2012-10-17","Statement":[]}',
    b"<Delete><Object><Key>a</Key></Object></Delete>", b"<Delete><Quiet>true</Quiet></Delete>",
    b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
    b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
    CORS, LIFECYCLE,
    b"<AccessControlPolicy><Owner><ID>x</ID></Owner><AccessControlList/></AccessControlPolicy>",
)  # fmt: skip


@pytest.fixture(scope="module", params=[False, True], ids=["lists", "grants"])
def target(request: pytest.FixtureRequest) -> Iterator[ObjectStore]:
    with store(s3api={"s3_acl": request.param}) as found:
        send(found, "PUT", "/hostile", "", {}, b"")
        yield found


def send(found: ObjectStore, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Any:
    url = f"http://127.0.0.1:{found.port}{path}" + (f"?{query}" if query else "")
    made = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    SIGNER.add_auth(made)
    connection = http.client.HTTPConnection("127.0.0.1", found.port, timeout=20)
    connection.putrequest(method, path + (f"?{query}" if query else ""), skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", f"127.0.0.1:{found.port}")
    for name, value in made.headers.items():
        connection.putheader(name, str(value).encode("latin-1", "replace"))
    if body or method in ("PUT", "POST"):
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    return answer.status, said


@pytest.mark.parametrize("seed", range(4))
def test_hostile_requests(target: ObjectStore, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(120):
        pairs = [(chance.choice(NAMES), chance.choice(VALUES)) for _ in range(chance.choice((0, 0, 1, 1, 2, 3)))]
        query = "&".join(f"{name}={quote(value, safe='')}" if value else name for name, value in pairs)
        headers = {chance.choice(HEADERS): chance.choice(SAID) for _ in range(chance.choice((0, 0, 1, 1, 2, 3)))}
        method = chance.choice(METHODS)
        body = chance.choice(BODIES) if method in ("PUT", "POST") else b""
        asked = (method, chance.choice(PATHS), query, headers, body)
        status, said = send(target, *asked)
        assert status != 500, asked
        code = re.search(rb"<Code>(\w+)<", said)
        assert code is None or code[1] != b"InternalError", asked
        if status >= 400 and method != "HEAD":
            assert code is not None, (asked, status, said)
