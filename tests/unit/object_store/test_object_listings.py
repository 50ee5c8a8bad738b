# SPDX-License-Identifier: Apache-2.0
"""What listings are asked for, and their three forms: the answers are those that Swift 2.38 gives."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulet.kernel.errors import Invalid, NotAcceptable, Precondition
from cumulet.services.object_store.logic import listings, media
from cumulet.services.object_store.logic.media import JSON, PLAIN, TEXT_XML, XML
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import Listed, Listing

THEN = stamps.parse("1400000000.12345")
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cn", "Cs"]), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        ("application/json", JSON),
        ("text/xml", TEXT_XML),
        ("*/xml", XML),
        ("application/*", JSON),
        ("text/plain;q=0.5,application/json", JSON),
        ("*/*;q=0.9, application/xml;q=0.9", XML),
        ("image/png, text/xml;q=0.1", TEXT_XML),
        ('application/json; charset="utf-8"', JSON),
    ],
)
def test_the_form_that_is_liked_best(accept: str, form: str) -> None:
    assert media.of_listing({}, {"accept": accept}) == form


@pytest.mark.parametrize(("name", "form"), [("json", JSON), ("XML", XML), ("plain", PLAIN), ("odd", PLAIN)])
def test_a_format_that_is_named_comes_first(name: str, form: str) -> None:
    assert media.of_listing({"format": name}, {"accept": "image/png"}) == form


@pytest.mark.parametrize("accept", ["json", "text/plain;q=high", "text/plain;q=1;q=1", "text/plain;", "a b/c"])
def test_words_that_are_no_media_types(accept: str) -> None:
    with pytest.raises(Invalid, match="Invalid Accept header"):
        media.of_listing({}, {"accept": accept})


def test_forms_that_nobody_has() -> None:
    with pytest.raises(NotAcceptable):
        media.of_listing({}, {"accept": "image/png"})


def test_what_is_asked_for() -> None:
    assert listings.asked({}, 10_000) == Listing(limit=10_000)
    query = {"limit": "5", "marker": "a", "end_marker": "z", "prefix": "\xc3\xa9", "delimiter": "/", "reverse": "Yes"}
    wanted = Listing(limit=5, marker="a", end_marker="z", prefix="é", delimiter="/", reverse=True)
    assert listings.asked(query, 10_000) == wanted
    for limit in ("", "-1", "many", "٣"):
        assert listings.asked({"limit": limit.encode().decode("latin-1")}, 10).limit == 10
    assert (listings.asked({"path": ""}, 10).path, listings.asked({}, 10).path) == ("", None)


@pytest.mark.parametrize("limit", ["11", "9" * 5000])
def test_limits_that_are_too_high(limit: str) -> None:
    with pytest.raises(Precondition, match="Maximum limit is 10"):
        listings.asked({"limit": limit}, 10)


@pytest.mark.parametrize("name", ["marker", "end_marker", "prefix", "delimiter", "path", "format", "reverse", "limit"])
def test_words_that_are_no_text(name: str) -> None:
    with pytest.raises(Invalid, match=f'"{name}" parameter not valid UTF-8'):
        listings.asked({name: "\xe9"}, 10)


def test_objects_in_three_forms() -> None:
    rows: list[Listed] = [("a&b", THEN, 5, "text/plain", "e1"), ("dir/", 0, 0, None, "")]
    assert listings.of_container(PLAIN, "c", rows) == b"a&b\ndir/\n"
    assert json.loads(listings.of_container(JSON, "c", rows)) == [
        {
            "name": "a&b", "hash": "e1", "bytes": 5, "content_type": "text/plain",
            "last_modified": "2014-05-13T16:53:20.123450",
        },
        {"subdir": "dir/"},
    ]  # fmt: skip
    assert listings.of_container(XML, "c", rows) == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<container name="c"><object><name>a&amp;b</name><hash>e1</hash>'
        b"<bytes>5</bytes><content_type>text/plain</content_type>"
        b"<last_modified>2014-05-13T16:53:20.123450</last_modified></object>"
        b'<subdir name="dir/"><name>dir/</name></subdir></container>'
    )
    assert listings.of_container(PLAIN, "c", []) == b""


def test_containers_in_three_forms() -> None:
    rows = [("c1", 2, 9, THEN, 0), ("c2", 0, 0, THEN, 7), ("d-", 0, 0, 0, listings.SUBDIR)]
    assert listings.of_account(PLAIN, "a", rows, {}) == b"c1\nc2\nd-\n"
    first, second, third = json.loads(listings.of_account(JSON, "a", rows, {0: "gold"}))
    assert first == {
        "name": "c1", "count": 2, "bytes": 9, "last_modified": "2014-05-13T16:53:20.123450", "storage_policy": "gold"
    }  # fmt: skip
    assert (second.get("storage_policy"), third) == (None, {"subdir": "d-"})
    assert listings.of_account(XML, "a", rows[2:], {}) == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<account name="a">\n<subdir name="d-" />\n</account>'
    )


@given(st.lists(NAMES, max_size=5), NAMES)
def test_any_names_can_be_read_back(names: list[str], container: str) -> None:
    rows: list[Listed] = [(name, THEN, 1, name, "e") for name in names]
    assert [each["name"] for each in json.loads(listings.of_container(JSON, container, rows))] == names
    document = ElementTree.fromstring(listings.of_container(XML, container, rows))
    assert (document.get("name"), [each.text for each in document.iter("name")]) == (container, names)
