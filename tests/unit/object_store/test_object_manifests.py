# SPDX-License-Identifier: Apache-2.0
"""What static large objects are made of: entries that are taken and refused, in Swift's words."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulet.kernel.errors import Invalid
from cumulet.services.object_store.logic import manifests
from cumulet.services.object_store.logic.manifests import Inline, Segment


def parse(*entries: Any) -> list[Segment | Inline]:
    return manifests.parse(json.dumps(entries).encode(), "c", "whole")


def refusal(*entries: Any) -> str:
    with pytest.raises(Invalid) as caught:
        parse(*entries)
    return caught.value.message


def test_what_is_taken() -> None:
    assert parse() == []
    assert parse(
        {"path": "/c/dir/o"},
        {"path": "c/o", "size_bytes": "10", "etag": "e", "range": "2-4"},
        {"data": "YWI="},
        {"path": "//d/o", "size_bytes": None, "etag": None, "range": ""},
        {"path": "/c/last", "size_bytes": 0},
    ) == [
        Segment(path="/c/dir/o", container="c", name="dir/o"),
        Segment(path="c/o", container="c", name="o", size=10, etag="e", part=(2, 4)),
        Inline(b"ab"),
        Segment(path="//d/o", container="d", name="o"),
        Segment(path="/c/last", container="c", name="last", size=0),
    ]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("/c/o", "not a JSON object"),
        ({"etag": "e"}, "expected keys to include one of 'data' or 'path'"),
        ({"path": "/c/o", "b": 1, "a": 1}, 'extraneous keys "a", "b"'),
        ({"path": "/c/o", "data": "YQ=="}, 'extraneous keys "path"'),
        ({"path": 5}, '"path" must be a string'),
        ({"path": "/c/\ud800"}, '"path" must be valid UTF-8'),
        ({"path": "/c/o", "etag": 5}, '"etag" must be a string or null (if provided)'),
        ({"path": "/c/"}, "path does not refer to an object. Path must be of the form /container/object."),
        ({"path": "/c/o", "size_bytes": "many"}, "invalid size_bytes"),
        ({"path": "/c/o", "size_bytes": 1e999}, "invalid size_bytes"),
        ({"path": "/c/o", "size_bytes": 0}, "too small; each segment must be at least 1 byte."),
        ({"path": "/c/whole"}, "manifest must not include itself as a segment"),
        ({"path": "/c/o", "range": "5"}, "invalid range"),
        ({"path": "/c/o", "range": "0-1,3-4"}, "multiple ranges (only one allowed)"),
        ({"path": "/c/o", "range": "10-", "size_bytes": 10}, "unsatisfiable range"),
        ({"data": "YQ"}, "data must be valid base64"),
        ({"data": "Y Q="}, "data must be valid base64"),
        ({"data": 5}, "data must be valid base64"),
        ({"data": ""}, "too small; each segment must be at least 1 byte."),
    ],
)
def test_entries_that_are_refused(entry: Any, why: str) -> None:
    assert refusal({"path": "/c/first"}, entry, {"path": "/c/last"}) == f"Index 1: {why}\n"


def test_all_that_is_wrong_is_told() -> None:
    assert refusal(1, {"path": "/c/o"}, 2) == "Index 0: not a JSON object\nIndex 2: not a JSON object\n"
    assert refusal({"data": "YQ=="}) == "Inline data segments require at least one object-backed segment.\n"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "Manifest must be valid JSON.\n"),
        (b"{", "Manifest must be valid JSON.\n"),
        (b"\xff", "Manifest must be valid JSON.\n"),
        (b"[" * 100_000, "Manifest must be valid JSON.\n"),
        (b"{}", "Manifest must be a list.\n"),
    ],
    ids=["nothing", "half", "no text", "deep", "object"],
)
def test_bodies_that_are_no_manifests(body: bytes, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        manifests.parse(body, "c", "whole")
    assert caught.value.message == words


def test_which_bytes_are_meant() -> None:
    part = Segment(path="/c/o", container="c", name="o", part=(2, 4))
    assert [part.span(size) for size in (10, 3, 2)] == [(2, 5), (2, 3), None]
    assert Segment(path="/c/o", container="c", name="o").span(0) == (0, 0)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["path", "data", "etag", "size_bytes", "range"]), inner, max_size=5)
    ),
    max_leaves=8,
)


@given(st.lists(JSON, max_size=4))
def test_any_json_is_taken_or_refused(entries: list[Any]) -> None:
    with suppress(Invalid):
        assert len(parse(*entries)) == len(entries)
