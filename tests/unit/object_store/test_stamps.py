# SPDX-License-Identifier: Apache-2.0
"""Time stamps: written and read as Swift does, in the order of time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from cumulet.kernel import clock
from cumulet.services.object_store.types import stamps

UNITS = some.integers(0, 10**15 - 1)
OFFSETS = some.integers(0, stamps.MAX_OFFSET)


def test_now_is_the_clock():
    try:
        clock.set_source(lambda: 1402436408.91203)
        assert stamps.normal(stamps.now()) == "1402436408.91203"
    finally:
        clock.set_source()


@pytest.mark.parametrize(
    ("text", "internal"),
    [
        ("0", "0000000000.00000"),
        ("1402436408", "1402436408.00000"),
        ("1402436408.9", "1402436408.90000"),
        ("1402436408.912039999", "1402436408.91203"),
        ("1402436408.91203_00000000000000f0", "1402436408.91203_00000000000000f0"),
        ("1402436408.91203_0", "1402436408.91203"),
        ("9999999999.99999_1fff", "9999999999.99999_0000000000001fff"),
    ],
    ids=["zero", "whole", "tenths", "finer", "offset", "no-offset", "last"],
)
def test_read_as_written(text, internal):
    assert stamps.internal(stamps.parse(text)) == internal
    assert stamps.normal(stamps.parse(text)) == internal.split("_")[0]


WRONG = {
    "nothing": "",
    "word": "now",
    "negative": "-1",
    "eleven-digits": "12345678901",
    "point-alone": "1.",
    "two-points": "1.2.3",
    "space": " 1",
    "line": "1\n",
    "no-digits-of-ours": "\uff11",
    "not-hexadecimal": "1_g",
    "offset-too-large": "1_2000",
    "exponent": "1e5",
    "not-a-number": "nan",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_what_is_none(text):
    with pytest.raises(ValueError, match=r"stamp|offset"):
        stamps.parse(text)


@pytest.mark.parametrize(("seconds", "offset"), [(-1, 0), (10**10, 0), (1, -1), (1, 1 << 13)])
def test_times_without_a_stamp(seconds, offset):
    with pytest.raises(ValueError, match="no time"):
        stamps.stamp(seconds, offset)


@given(UNITS, OFFSETS)
def test_there_and_back(units, offset):
    value = units << 13 | offset
    assert stamps.parse(stamps.internal(value)) == value
    assert stamps.parse(stamps.normal(value)) == units << 13
    assert stamps.seconds(value) == units / stamps.UNITS


@given(some.integers(0, 4 * 10**9 * stamps.UNITS), OFFSETS)
def test_made_of_seconds(units, offset):
    value = stamps.stamp(units / stamps.UNITS, offset)
    assert value == units << 13 | offset


@given(UNITS, OFFSETS, UNITS, OFFSETS)
def test_the_order_of_numbers_is_that_of_words(units, offset, others, other):
    one, two = units << 13 | offset, others << 13 | other
    assert (one < two) == (stamps.internal(one) < stamps.internal(two))
    assert 0 <= one < 1 << 63, "a database keeps it as an integer"
