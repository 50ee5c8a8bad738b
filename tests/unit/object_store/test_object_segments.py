# SPDX-License-Identifier: Apache-2.0
"""Manifests of static large objects as they are kept, and reports of requests that do much."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from cumulet.services.object_store.logic import media, reports, segments
from cumulet.services.object_store.logic.manifests import Inline, Segment
from cumulet.services.object_store.logic.segments import Found, Piece


def found(size: int = 10, **more: Any) -> Found:
    return Found(**({"size": size, "etag": "e", "content_type": "text/x; a=b", "modified": 1, "large": False} | more))


def segment(**more: Any) -> Segment:
    return Segment(path="/c/dir/o", container="c", name="dir/o", **more)


def test_an_entry_tells_what_was_found() -> None:
    entry, length, wrong = segments.checked(segment(size=10, etag="e"), found(), last=False)
    assert entry == {
        "name": "/c/dir/o",
        "bytes": 10,
        "hash": "e",
        "content_type": "text/x",
        "last_modified": "1970-01-01T00:00:01.000000",
    }
    assert (length, wrong) == (10, [])


@pytest.mark.parametrize(
    ("asked", "told", "length"),
    [((2, 4), "2-4", 3), ((None, 3), "7-9", 3), ((4, None), "4-9", 6), ((4, 99), "4-9", 6), ((0, 9), None, 10)],
    ids=["middle", "end", "from", "beyond", "all"],
)
def test_parts_are_told_by_numbers(asked: Any, told: str | None, length: int) -> None:
    entry, counted, wrong = segments.checked(segment(part=asked), found(), last=False)
    assert (entry.get("range"), counted, wrong) == (told, length, [])


@pytest.mark.parametrize(
    ("said", "there", "last", "why"),
    [
        ({"size": 9}, {}, False, ["Size Mismatch"]),
        ({"etag": "f"}, {}, False, ["Etag Mismatch"]),
        ({"part": (10, None)}, {}, False, ["Unsatisfiable Range"]),
        ({}, {"size": 0}, False, ["Too small; each segment must be at least 1 byte."]),
        ({}, {"size": 0}, True, []),
        ({"size": 9, "etag": "f"}, {}, False, ["Size Mismatch", "Etag Mismatch"]),
    ],
    ids=["size", "etag", "range", "empty", "empty at the end", "two"],
)
def test_what_is_wrong_with_a_segment(said: Any, there: Any, last: bool, why: list[str]) -> None:
    assert segments.checked(segment(**said), found(**there), last=last)[2] == why


def test_the_etag_is_made_of_those_of_segments() -> None:
    entries = [
        {"name": "/c/a", "hash": "aa", "bytes": 4},
        {"name": "/c/b", "hash": "bb", "bytes": 9, "range": "1-3"},
        segments.inline(Inline(b"XX")),
    ]
    words = f"aabb:1-3;{hashlib.md5(b'XX').hexdigest()}"
    assert segments.etag(entries) == hashlib.md5(words.encode()).hexdigest()


def test_manifests_are_read_again() -> None:
    entry, _, _ = segments.checked(segment(part=(1, 3)), found(large=True), last=False)
    body = segments.written([entry, segments.inline(Inline(b"XX"))])
    assert segments.pieces(body) == [
        Piece(name="/c/dir/o", etag="e", size=10, first=1, last=4, nested=True),
        Piece(size=2, last=2, data=b"XX"),
    ]
    assert json.loads(segments.raw(body)) == [
        {"path": "/c/dir/o", "size_bytes": 10, "etag": "e", "range": "1-3"},
        {"data": "WFg="},
    ]


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[1]", b"[{}]", b'[{"name": "/c/o"}]'],
    ids=["nothing", "no list", "a number", "an empty entry", "no size"],
)
def test_what_is_no_manifest(body: bytes) -> None:
    try:
        segments.pieces(body)
    except ValueError:
        return
    pytest.fail("it was taken for one")


def test_reports_in_each_form() -> None:
    said, troubles = {"Response Status": "400 Bad Request", "A": 1}, [("/c/a%20b", "404 <Not> Found")]
    assert reports.report(media.PLAIN, said, troubles, "upload") == (
        b"A: 1\nResponse Status: 400 Bad Request\nErrors:\n/c/a%20b, 404 <Not> Found\n"
    )
    assert json.loads(reports.report(media.JSON, said, troubles, "upload")) == {
        **said,
        "Errors": [["/c/a%20b", "404 <Not> Found"]],
    }
    for form in (media.XML, media.TEXT_XML):
        assert reports.report(form, said, troubles, "delete") == (
            b"<delete>\n<a>1</a>\n<response_status>400 Bad Request</response_status>\n<errors>\n"
            b"<object><name>/c/a%20b</name><status>404 &lt;Not&gt; Found</status></object>\n</errors>\n</delete>\n"
        )


@pytest.mark.parametrize(
    ("accept", "form"),
    [("", media.PLAIN), ("application/json", media.JSON), ("image/png", "other"), ("x", "other")],
    ids=["nothing", "json", "none of them", "no header"],
)
def test_the_form_of_a_report(accept: str, form: str) -> None:
    assert reports.form_of(accept, "other") == form
