# SPDX-License-Identifier: Apache-2.0
"""Parts of objects: the answers are those that Swift 2.38 gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulet.services.object_store.logic import ranges
from cumulet.services.object_store.logic.ranges import Multipart


@pytest.mark.parametrize(
    ("header", "spans"),
    [
        (None, None),
        ("bytes=0-4", [(0, 5)]),
        ("Bytes = 0 - 4", [(0, 5)]),
        ("bytes=4-", [(4, 10)]),
        ("bytes=-4", [(6, 10)]),
        ("bytes=-40", [(0, 10)]),
        ("bytes=8-40", [(8, 10)]),
        ("bytes=0-0,-1", [(0, 1), (9, 10)]),
        ("bytes=10-", []),
        ("bytes=-0", []),
        ("bytes=20-30,2-3", [(2, 4)]),
        ("bytes=5-3", None),
        ("bytes=-", None),
        ("bytes=5", None),
        ("bytes=a-b", None),
        ("bytes=--1", None),
        ("bytes=0-1,", None),
        ("bytes=٣-4", None),
        ("bits=0-4", None),
        ("", None),
        (f"bytes={'9' * 5000}-", None),
    ],
)
def test_ranges_of_ten_bytes(header: str | None, spans: list[tuple[int, int]] | None) -> None:
    assert ranges.of(header, 10) == spans


@pytest.mark.parametrize(("header", "spans"), [("bytes=-5", None), ("bytes=0-", []), ("bytes=-0", [])])
def test_ranges_of_nothing(header: str, spans: list[tuple[int, int]] | None) -> None:
    assert ranges.of(header, 0) == spans


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ([f"{number * 2}-{number * 2}" for number in range(50)], False),
        ([f"{number * 2}-{number * 2}" for number in range(51)], True),
        ([f"{number * 2}-{number * 2}" for number in reversed(range(7))], False),
        ([f"{number * 2}-{number * 2}" for number in reversed(range(8))], True),
        (["0-9", "5-14", "12-20"], False),
        (["0-30", "5-14", "12-20", "1-2"], True),
        (["0-9"] * 10, False),
    ],
    ids=["50", "51", "7 backwards", "8 backwards", "2 overlaps", "more overlaps", "the same"],
)
def test_requests_that_cost_too_much_are_refused(said: list[str], refused: bool) -> None:
    assert (ranges.of(f"bytes={','.join(said)}", 1000) == []) is refused


@given(
    st.integers(1, 10**12),
    st.lists(st.tuples(st.integers(0, 10**12), st.integers(1, 10**6)), min_size=1, max_size=9),
    st.text("abc/; =", max_size=20),
)
def test_the_length_of_a_body_of_parts_is_that_of_its_pieces(
    size: int, parts: list[tuple[int, int]], kind: str
) -> None:
    body = Multipart([(start, start + length) for start, length in parts], size, kind, "line")
    pieces = [head + bytes(0) + b"\r\n" for head, _ in body.parts()]
    assert body.length == sum(map(len, pieces)) + sum(length for _, length in parts) + len(body.end)
    assert pieces[0].startswith(f"--line\r\nContent-Type: {kind}\r\nContent-Range: bytes {parts[0][0]}-".encode())
    assert body.media_type == "multipart/byteranges;boundary=line"
