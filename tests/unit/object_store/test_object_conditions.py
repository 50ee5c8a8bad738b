# SPDX-License-Identifier: Apache-2.0
"""Conditions on downloads and uploads: the answers are those that Swift 2.38 gives."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulet.kernel.errors import Invalid
from cumulet.services.object_store.logic import conditions

MODIFIED = int(datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC).timestamp())
THEN, BEFORE, AFTER = (f"Sun, 06 Nov 1994 08:49:{second} GMT" for second in (37, 36, 38))


@pytest.mark.parametrize(
    ("headers", "ends"),
    [
        ({}, None),
        ({"if-match": '"abc"'}, None),
        ({"if-match": "abc"}, None),
        ({"if-match": '"x", "abc"'}, None),
        ({"if-match": "*"}, None),
        ({"if-match": '"x"'}, 412),
        ({"if-match": 'W/"abc"'}, 412),
        ({"if-match": ""}, 412),
        ({"if-none-match": '"abc"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"x"'}, None),
        ({"if-none-match": '"abc"', "if-match": '"x"'}, 304),
        ({"if-modified-since": THEN}, 304),
        ({"if-modified-since": AFTER}, 304),
        ({"if-modified-since": BEFORE}, None),
        ({"if-modified-since": "Sunday, 06-Nov-94 08:49:37 GMT"}, 304),
        ({"if-modified-since": "Sun Nov  6 08:49:37 1994"}, 304),
        ({"if-modified-since": "Sun, 31 Feb 1994 08:49:37 GMT"}, None),
        ({"if-modified-since": "yesterday"}, None),
        ({"if-modified-since": "Sun, 06 Nov 99999999999999999999 08:49:37 GMT"}, None),
        ({"if-unmodified-since": THEN}, None),
        ({"if-unmodified-since": BEFORE}, 412),
        ({"if-unmodified-since": ""}, None),
        ({"if-none-match": '"x"', "if-modified-since": THEN}, 304),
    ],
)
def test_what_is_there(headers: dict[str, str], ends: int | None) -> None:
    assert conditions.judge(headers, "abc", MODIFIED) == ends


@pytest.mark.parametrize(
    ("headers", "ends"),
    [({}, None), ({"if-match": "*"}, 412), ({"if-match": "abc"}, None), ({"if-none-match": "*"}, None)],
)
def test_what_is_not_there(headers: dict[str, str], ends: int | None) -> None:
    assert conditions.judge(headers, None, 0) == ends


def test_uploads_know_one_condition() -> None:
    assert not conditions.only_new({})
    assert conditions.only_new({"if-none-match": "*"})
    assert conditions.only_new({"if-none-match": '"abc", *'})
    with pytest.raises(Invalid, match=r"If-None-Match only supports \*"):
        conditions.only_new({"if-none-match": '"abc"'})


@given(st.text(max_size=60))
def test_any_words_are_a_time_or_none(text: str) -> None:
    found = conditions.time(text)
    assert found is None or isinstance(found, int)
