# SPDX-License-Identifier: Apache-2.0
"""Any request at all is answered, and none with 500.

CUMULET_FUZZ_SEED and CUMULET_FUZZ_ROUNDS choose others; a failure tells the request.
"""

from __future__ import annotations

import http.client
import logging
import os
import random
from urllib.parse import quote

import pytest

from support.object_store import ACCOUNT, serving

ROUNDS = int(os.environ.get("CUMULET_FUZZ_ROUNDS", "1500"))
SEED = int(os.environ.get("CUMULET_FUZZ_SEED", "9"))

METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "COPY", "OPTIONS")
PATHS = (
    "/c", "/d", "/v", "/c/o", "/d/o", "/d/m", "/c/m", "/c/l", "/c/dlo", "/c/a/b", "", "/", "/nowhere/o",
    "/c/%ff", "/c/%00x", "/%00versions%00d", "/%00versions%00d/%00o%00x",
)  # fmt: skip
HEADERS = (
    "x-symlink-target", "x-symlink-target-account", "x-symlink-target-etag", "x-object-manifest",
    "x-static-large-object", "x-versions-location", "x-history-location", "x-versions-enabled",
    "x-remove-versions-location", "range", "if-match", "if-none-match", "if-modified-since", "accept", "destination",
    "destination-account", "x-copy-from", "x-copy-from-account", "content-type", "etag", "x-fresh-metadata",
    "x-delete-at", "x-object-meta-a", "x-newest", "x-open-expired", "x-storage-policy", "x-container-read",
)  # fmt: skip
PARAMETERS = (
    "multipart-manifest", "format", "heartbeat", "part-number", "symlink", "version-id", "versions", "version_marker",
    "marker", "end_marker", "prefix", "delimiter", "limit", "reverse", "async", "path",
)  # fmt: skip
WORDS = (
    "", "x", "c/o", "c", "/c/", "c//o", "%ff", "\xff", "%00", "a;b", '"q"', "*", "null", "true", "1", "0", "-1",
    "9" * 30,
    "1.5", "1.00000", "1.00000_1", "1.0_ffff", "c/%E4%", "AUTH_one", "AUTH_two", "bytes=0-", "bytes=-1", "bytes=5-3",
    "bytes=0-0,2-2", "application/json", "text/xml", "image/png", "*/*;q=x", "on", "v", "%00versions%00d/%00o%00x",
    "get", "put", "delete", "raw", "json", "xml", "plain", ".r:*",
)  # fmt: skip
BODIES = (
    b"", b"", b"hello", b"[]", b"{}", b"[1e999]", b'[{"path":"/c/o"}]', b'[{"path":"/d/o"},{"data":"YQ=="}]',
    b'[{"path":"/c/\\ud800"}]', b'[{"path":"/c/\\u0000"}]', b'[{"path":"//"}]', b'[{"path":"/c/m"}]',
    b'[{"path":"/c/o","range":"1-","etag":null,"size_bytes":"5"}]', b'[{"path":"/c/o","size_bytes":1e999}]',
    b'[{"path":"/c/o","size_bytes":%s}]' % (b"9" * 5000), b'[{"path":"/c/o","range":"%s-"}]' % (b"9" * 5000),
)  # fmt: skip


@pytest.fixture(scope="module")
def store():
    with serving() as found:
        client = found.client()
        client.put("/c")
        client.put("/v")
        client.put("/d", headers={"x-versions-enabled": "true"})
        yield found


class Sender:
    def __init__(self, port, rnd):
        self._rnd, self._connection = rnd, http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def send(self):
        """One request as words, the status and the body of its answer."""
        rnd = self._rnd
        method, path = rnd.choice(METHODS), f"/v1/{ACCOUNT}{rnd.choice(PATHS)}"
        query = {rnd.choice(PARAMETERS): rnd.choice(WORDS) for _ in range(rnd.choice((0, 0, 1, 1, 2, 3)))}
        headers = {rnd.choice(HEADERS): rnd.choice(WORDS) for _ in range(rnd.choice((0, 1, 1, 2, 3)))}
        headers["x-auth-token"] = rnd.choice(("member", "member", "reader", "other", "reseller"))
        body = rnd.choice(BODIES) if method in ("PUT", "POST") else b""
        if query:
            said = (f"{name}={quote(value.encode('latin-1'), safe='%')}" for name, value in query.items())
            path = f"{path}?{'&'.join(said)}"
        headers |= {"content-length": str(len(body))}
        words = f"{method} {path} {headers} {body[:80]!r}"
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            return words, answer.status, answer.read()
        except (http.client.HTTPException, ConnectionError) as error:
            self._connection.close()
            return words, repr(error), b""

    def close(self):
        self._connection.close()


def test_nothing_is_answered_with_500(store, caplog):
    caplog.set_level(logging.ERROR)
    sender = Sender(store.port, random.Random(SEED))
    wrong = []
    for _ in range(ROUNDS):
        words, status, body = sender.send()
        # Links and manifests that lead nowhere end an answer early: then it was no refusal.
        if isinstance(status, int) and (status >= 500 or b"500 Internal" in body):
            wrong.append(f"{status} {words}")
    sender.close()
    assert not wrong, f"seed {SEED}: " + "\n".join(wrong)
    assert not [record for record in caplog.records if record.name.startswith("cumulet.objects")]
    assert store.client().get("/c").status_code in (200, 204, 404)
