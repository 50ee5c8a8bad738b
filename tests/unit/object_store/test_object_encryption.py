# SPDX-License-Identifier: Apache-2.0
"""What devices see of objects that are encrypted, and what callers see all the same."""

from __future__ import annotations

import base64
import hashlib
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cumulet.services.object_store.api.site import Options
from cumulet.services.object_store.engine import keys
from cumulet.services.object_store.engine.base import Name
from cumulet.services.object_store.engine.encrypted import UNKNOWN
from cumulet.services.object_store.engine.keys import CannotDecrypt, Secrets
from cumulet.services.object_store.types.indexes import Key, Listing
from support.object_store import ACCOUNT, in_memory, serving

ONE, TWO = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
O = Name(ACCOUNT, "c", "o")  # noqa: E741
BODIES = [b"", b"x", os.urandom(1000), os.urandom(1_200_000)]


class Kept:
    """The same devices for one store after the other, each with settings of its own."""

    def __init__(self):
        self.engine = None

    def serve(self, **options):
        def make():
            self.engine = self.engine or in_memory()
            return self.engine

        return serving(make, options=Options(filters={"encryption": options} if options else {}))


def raw(found):
    """What a device has of the object: its version and its body."""

    async def read():
        async with await found.engine.read(O) as reading:
            return reading.version, b"".join([piece async for piece in reading.chunks()])

    return found.run(read)


def etag(body):
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("body", BODIES, ids=[str(len(each)) for each in BODIES])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_devices_see_no_plain_text(body, chunked):
    with Kept().serve(encryption_root_secret=ONE) as found:
        client = found.client()
        client.put("/c")
        sent = iter([body[:700], body[700:]]) if chunked else body
        answer = client.put("/c/o", content=sent, headers={"x-object-meta-Word": "geheim", "etag": etag(body)})
        assert (answer.status_code, answer.headers["etag"]) == (201, etag(body))
        version, stored = raw(found)
        assert len(stored) == len(body) == version.size
        assert (stored == body) is (not body)
        assert version.etag == etag(stored)
        assert "geheim" not in str(version)
        if body:
            assert etag(body) not in str(version)
        answer = client.get("/c/o")
        assert (answer.content, answer.headers["etag"]) == (body, etag(body))
        assert answer.headers["x-object-meta-word"] == "geheim"
        assert not [name for name in answer.headers if "crypto" in name or "sysmeta" in name]
        [entry] = client.get("/c?format=json").json()
        assert (entry["hash"], entry["bytes"]) == (etag(body), len(body))
        _, [row] = found.run(lambda: found.engine.list_objects(Key(ACCOUNT, "c"), Listing()))
        assert (etag(body) in str(row)) is (not body)


def test_parts_conditions_and_sums():
    body = os.urandom(200_003)
    with Kept().serve(encryption_root_secret=ONE) as found:
        client = found.client()
        client.put("/c")
        assert client.put("/c/o", content=body, headers={"etag": "0" * 32}).status_code == 422
        client.put("/c/o", content=body)
        for first, last in ((0, 0), (15, 16), (16, 31), (1, 200_002), (131_071, 131_073), (199_999, 300_000)):
            answer = client.get("/c/o", headers={"range": f"bytes={first}-{last}"})
            assert (answer.status_code, answer.content) == (206, body[first : last + 1])
        answer = client.get("/c/o", headers={"range": "bytes=5-20,100000-100017"})
        assert body[5:21] in answer.content
        assert body[100_000:100_018] in answer.content
        assert client.get("/c/o", headers={"if-none-match": etag(body)}).status_code == 304
        assert client.get("/c/o", headers={"if-match": etag(b"")}).status_code == 412
        assert client.head("/c/o").headers["content-length"] == "200003"


def test_posts_copies_and_large_objects():
    with Kept().serve(encryption_root_secret=ONE) as found:
        client = found.client()
        client.put("/c")
        client.put("/c/o", content=b"body", headers={"x-object-meta-a": "old"})
        assert client.post("/c/o", headers={"x-object-meta-b": "new \xfc".encode("latin-1")}).status_code == 202
        headers = client.head("/c/o").headers
        assert "x-object-meta-a" not in headers
        assert headers["x-object-meta-b"] == "new \xfc"
        assert "new" not in str(raw(found)[0])
        assert client.request("COPY", "/c/o", headers={"destination": "c/copy"}).status_code == 201
        answer = client.get("/c/copy")
        assert (answer.text, answer.headers["x-object-meta-b"]) == ("body", "new \xfc")
        manifest = [{"path": "/c/o", "etag": etag(b"body"), "size_bytes": 4}, {"path": "/c/copy", "range": "1-2"}]
        answer = client.put("/c/large?multipart-manifest=put", json=manifest)
        assert answer.status_code == 201
        assert client.get("/c/large").text == "bodyod"
        found_ = {each["name"]: each for each in client.get("/c?format=json").json()}
        assert found_["large"]["bytes"] == 6
        assert found_["copy"]["hash"] == etag(b"body")


def test_secrets_change():
    kept = Kept()
    with kept.serve() as found:
        client = found.client()
        client.put("/c")
        client.put("/c/plain", content=b"plain", headers={"x-object-meta-a": "1"})
    with kept.serve(encryption_root_secret=ONE) as found:
        found.client().put("/c/o", content=b"one", headers={"x-object-meta-a": "1"})
    both = {"encryption_root_secret": ONE, "encryption_root_secret_new": TWO}
    with kept.serve(**both, active_root_secret_id="new") as found:
        client = found.client()
        assert [client.get(f"/c/{name}").text for name in ("plain", "o")] == ["plain", "one"]
        client.put("/c/two", content=b"two")
        assert ";new;" in str(kept.engine and found.run(lambda: found.engine.head(Name(ACCOUNT, "c", "two"))))
        client.post("/c/o", headers={"x-object-meta-a": "2"})  # the body is of one secret, this of the other
        assert (client.get("/c/o").text, client.get("/c/o").headers["x-object-meta-a"]) == ("one", "2")
    with kept.serve(**both, active_root_secret_id="new", disable_encryption=True) as found:
        client = found.client()
        client.put("/c/later", content=b"later")
        assert [client.get(f"/c/{name}").text for name in ("o", "two", "later")] == ["one", "two", "later"]
        assert "crypto" not in str(found.run(lambda: found.engine.head(Name(ACCOUNT, "c", "later"))))
    with kept.serve(encryption_root_secret=ONE) as found:
        client = found.client()
        answer = client.get("/c/two")
        assert (answer.status_code, answer.text) == (500, "Error decrypting object")
        assert client.head("/c/two").status_code == 500
        assert {each["name"]: each["hash"] for each in client.get("/c?format=json").json()} == {
            "plain": etag(b"plain"), "o": etag(b"one"), "two": UNKNOWN, "later": etag(b"later")
        }  # fmt: skip
        assert client.put("/c/two", content=b"again").status_code == 201
        assert client.get("/c/two").text == "again"
        assert client.delete("/c/two").status_code == 204


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"encryption_root_secret": "short"},
        {"encryption_root_secret": base64.b64encode(bytes(31)).decode()},
        {"encryption_root_secret": "\u00fc" * 60},
        {"encryption_root_secret": ONE, "active_root_secret_id": "other"},
        {"encryption_root_secret_a;b": ONE, "active_root_secret_id": "a;b"},
    ],
    ids=["none", "no-base64", "too-short", "no-ascii", "not-there", "a-name"],
)
def test_secrets_that_are_none(options):
    with pytest.raises(ValueError, match=r"root.secret"):
        Secrets.of(options)


@given(value=st.binary(max_size=50), path=st.text(max_size=10), flip=st.integers(0, 200))
@settings(max_examples=50, deadline=None)
def test_a_sealed_value_opens_where_it_was_sealed(value, path, flip):
    secrets = Secrets({"": bytes(32), "old": b"1" * 32}, "old")
    sealed = secrets.seal(path, "use", value)
    assert keys.is_sealed(sealed)
    assert secrets.open(path, "use", sealed) == value
    head, _, words = sealed.rpartition(";")
    data = bytearray(base64.b64decode(words))
    data[flip % len(data)] ^= 1
    changed = f"{head};{base64.b64encode(bytes(data)).decode()}"
    for other in ((path + "x", "use", sealed), (path, "other", sealed), (path, "use", changed), (path, "use", "1;x"),
                  (path, "use", "1;gone;AAAA")):  # fmt: skip
        with pytest.raises(CannotDecrypt):
            secrets.open(*other)


@given(body=st.binary(max_size=200), start=st.integers(0, 220), first=st.sampled_from([bytes(16), b"\xff" * 16]))
@settings(max_examples=100, deadline=None)
def test_a_stream_begins_anywhere(body, start, first):
    whole = keys.stream(bytes(32), first).update(body)
    assert keys.stream(bytes(32), first, start).update(whole[start:]) == body[start:]
