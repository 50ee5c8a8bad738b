# SPDX-License-Identifier: Apache-2.0
"""Static large objects at random, beside the bytes that they should have."""

from __future__ import annotations

import base64
import json
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.object_store import serving

PUT = {"multipart-manifest": "put"}
SEGMENTS = {f"s{number}": bytes(range(65 + number, 66 + 2 * number)) for number in range(6)}
_NUMBERS = count()

entries = st.one_of(
    st.binary(min_size=1, max_size=5),
    st.tuples(st.sampled_from(sorted(SEGMENTS)), st.one_of(st.none(), st.tuples(st.integers(0, 7), st.integers(0, 7)))),
)
# Each manifest may name those before it by their numbers.
manifests = st.lists(
    st.tuples(st.lists(entries, min_size=1, max_size=4), st.lists(st.integers(0, 9), max_size=2)),
    min_size=1,
    max_size=4,
)
spans = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def client():
    with serving() as store:
        made = store.client()
        made.put("/c")
        for name, body in SEGMENTS.items():
            made.put(f"/c/{name}", content=body)
        yield made


def _entry(path, body, part):
    """An entry of a manifest, and the bytes that it stands for."""
    said = {"path": path, "size_bytes": len(body)}
    if part is None:
        return said, body
    first, last = sorted(part)
    first, last = min(first, len(body) - 1), min(last, len(body) - 1)
    return said | {"range": f"{first}-{last}"}, body[first : last + 1]


def _built(client, made):
    """The path of the last of these manifests, and its bytes."""
    done = []
    for own, older in made:
        parts = []
        for each in own:
            if isinstance(each, bytes):
                parts.append(({"data": base64.b64encode(each).decode()}, each))
            else:
                parts.append(_entry(f"/c/{each[0]}", SEGMENTS[each[0]], each[1]))
        for number in older:
            if done:
                path, body = done[number % len(done)]
                parts.append(_entry(path, body, (number, number + 5)))
        if all(isinstance(each, bytes) for each in own) and not (older and done):
            parts.append(_entry("/c/s3", SEGMENTS["s3"], None))
        path = f"/c/m{next(_NUMBERS)}"
        answer = client.put(path, params=PUT, content=json.dumps([said for said, _ in parts]))
        assert answer.status_code == 201, answer.text
        done.append((path, b"".join(body for _, body in parts)))
    return done[-1]


@settings(max_examples=25, deadline=None)
@given(manifests, spans)
def test_all_and_any_part_of_it(client, made, asked):
    path, body = _built(client, made)
    answer = client.get(path)
    assert (answer.content, answer.headers["content-length"]) == (body, str(len(body)))
    (entry,) = client.get("/c", params={"format": "json", "prefix": path.removeprefix("/c/")}).json()[:1]
    assert entry["bytes"] == len(body)
    for span in asked:
        first, last = sorted(span)
        answer = client.get(path, headers={"range": f"bytes={first}-{last}"})
        if first < len(body):
            assert (answer.status_code, answer.content) == (206, body[first : last + 1])
        else:
            assert answer.status_code == 416


def test_a_manifest_that_is_read_beside_the_loop(client):
    data = bytes(range(256)) * 400
    said = [{"path": "/c/s5"}, {"data": base64.b64encode(data).decode()}]
    assert client.put("/c/long", params=PUT, content=json.dumps(said)).status_code == 201
    assert client.get("/c/long").content == SEGMENTS["s5"] + data
    assert client.get("/c/long", headers={"range": "bytes=-3"}).content == data[-3:]
    raw = client.get("/c/long", params={"multipart-manifest": "get", "format": "raw"}).json()
    assert raw[1] == said[1]
