# SPDX-License-Identifier: Apache-2.0
"""What names, metadata and expiry times are taken; the words are Swift's."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulet.kernel.errors import Invalid, Precondition, TooLarge
from cumulet.services.object_store.logic import limits
from cumulet.services.object_store.logic.limits import Kind, Limits

LIMITS = Limits()
META = "x-object-meta-"


@pytest.mark.parametrize(
    ("kind", "headers", "words"),
    [
        ("object", {META: "x"}, "Metadata name cannot be empty"),
        ("object", {f"{META}{'a' * 129}": "x"}, f"Metadata name too long: {META}A{'a' * 128}"),
        ("object", {f"{META}my-key": "x" * 257}, f"Metadata value longer than 256: {META}My-Key"),
        ("object", {f"{META}{number}": "" for number in range(91)}, "Too many metadata items; max 90"),
        ("object", {f"{META}{number:02}": "x" * 256 for number in range(16)}, "Total metadata too large; max 4096"),
        ("object", {"user-agent": "x" * 8193}, "Header value too long: User-Agent"),
        ("container", {"x-container-meta-a": "\xe9"}, "Metadata must be valid UTF-8"),
        ("account", {"x-account-meta-\xe9": "x"}, "Metadata must be valid UTF-8"),
    ],
)
def test_metadata_that_is_refused(kind: Kind, headers: Mapping[str, str], words: str) -> None:
    with pytest.raises(Invalid) as caught:
        limits.check_metadata(LIMITS, headers, kind)
    assert caught.value.message == words


@pytest.mark.parametrize(
    ("kind", "headers"),
    [
        ("object", {f"{META}{number}": "x" for number in range(90)}),
        ("object", {f"{META}{'a' * 128}": "x" * 256}),
        ("object", {f"{META}a": "\xe9"}),
        ("object", {"x-container-meta-": "x"}),
        ("container", {"x-container-meta-a": "\xc3\xa9"}),
        ("container", {"x-container-meta-a": ""}),
    ],
    ids=["many", "long", "any bytes", "of another kind", "UTF-8", "removed"],
)
def test_metadata_that_is_taken(kind: Kind, headers: Mapping[str, str]) -> None:
    limits.check_metadata(LIMITS, headers, kind)


def test_names_have_a_length_and_are_text() -> None:
    for kind, longest in (("account", 256), ("container", 256), ("object", 1024)):
        limits.check_name(LIMITS, kind, "n" * longest)  # type: ignore[arg-type]
        with pytest.raises(Invalid, match=f"{kind.title()} name length of {longest + 1} longer than {longest}"):
            limits.check_name(LIMITS, kind, "n" * (longest + 1))  # type: ignore[arg-type]
    limits.check_path("/v1/a/\xc3\xa9")
    for path in ("/v1/a/\xe9", "/v1/a/b\0c", "/v1/a/\xed\xa0\x80"):
        with pytest.raises(Precondition, match="Invalid UTF8 or contains NULL"):
            limits.check_path(path)


def test_uploads_have_a_type_and_a_size() -> None:
    limits.check_upload(LIMITS, {"content-type": "a/b"}, None)
    for headers, size, words in (
        ({"content-type": "a/b"}, LIMITS.max_file_size + 1, "Your request is too large."),
        ({}, 1, "No content type"),
        ({"content-type": "\xe9"}, 1, "Invalid Content-Type"),
    ):
        with pytest.raises((Invalid, TooLarge), match=words):
            limits.check_upload(LIMITS, headers, size)


@pytest.mark.parametrize(
    ("headers", "end"),
    [
        ({}, None),
        ({"x-delete-at": "1001"}, 1001),
        ({"x-delete-after": "5"}, 1005),
        ({"x-delete-after": "5", "x-delete-at": "1"}, 1005),
        ({"x-delete-at": "9" * 500}, 9_999_999_999),
        ({"x-delete-after": "9" * 500}, 9_999_999_999),
        ({"x-delete-at": "1000"}, "X-Delete-At in past"),
        ({"x-delete-at": "-5"}, "X-Delete-At in past"),
        ({"x-delete-at": "soon"}, "Non-integer X-Delete-At"),
        ({"x-delete-after": "0"}, "X-Delete-After in past"),
        ({"x-delete-after": "1.5"}, "Non-integer X-Delete-After"),
    ],
)
def test_expiry(headers: dict[str, str], end: int | str | None) -> None:
    if not isinstance(end, str):
        assert limits.expiry(headers, 1000.5) == end
        return
    with pytest.raises(Invalid, match=end):
        limits.expiry(headers, 1000.5)


@given(st.dictionaries(st.text("aé-_\0", max_size=9), st.text(st.characters(max_codepoint=255), max_size=9)))
def test_any_headers_are_taken_or_refused(found: dict[str, str]) -> None:
    for kind in ("account", "container", "object"):
        headers = {f"x-{kind}-meta-{name}": value for name, value in found.items()}
        with suppress(Invalid):
            limits.check_metadata(LIMITS, headers, kind)  # type: ignore[arg-type]
