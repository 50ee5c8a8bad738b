# SPDX-License-Identifier: Apache-2.0
"""What versions of objects are called."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulet.services.object_store.logic import listings, media, version_names
from cumulet.services.object_store.types import stamps

MOMENTS = st.builds(
    lambda units, offset: units << 13 | offset, st.integers(0, 10**15 - 2), st.sampled_from([0, 0, 1, 5, 8191])
)
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=8)


def test_names_as_swift_writes_them() -> None:
    assert version_names.of("o", stamps.parse("1600000000.12345")) == "\0o\08399999999.87654"
    # One unit more is left where an offset has begun the next.
    assert version_names.of("o", stamps.parse("1600000000.12345_1")) == "\0o\08399999999.87653_ffffffffffffffff"
    assert version_names.container("c") == "\0versions\0c"
    assert version_names.prefix("o") == "\0o\0"


@given(NAMES, MOMENTS)
def test_a_name_tells_object_and_id(name: str, moment: int) -> None:
    assert version_names.parse(version_names.of(name, moment)) == (name, stamps.internal(moment))


@given(MOMENTS, MOMENTS)
def test_the_newest_is_listed_first(one: int, other: int) -> None:
    assert (one > other) == (version_names.of("o", one) < version_names.of("o", other))


@pytest.mark.parametrize(
    "name",
    ["o", "\0o", "\0o\0", "\0o\0words", "\0o\09999999999.99999_0000000000000001", "x\0o\08399999999.87654"],
    ids=["plain", "no time", "empty time", "words", "an offset of no stamp", "a word before"],
)
def test_what_is_no_name(name: str) -> None:
    assert version_names.parse(name) is None


@pytest.mark.parametrize("make", [version_names.container, version_names.prefix], ids=["container", "object"])
def test_what_is_the_stores_own_has_no_versions(make: Any) -> None:
    with pytest.raises(ValueError, match="own"):
        make("\0versions\0c")


def listed(etag: str) -> dict[str, Any]:
    entry = ("o", stamps.stamp(1), 7, "text/plain", etag)
    (found,) = orjson.loads(listings.of_container(media.JSON, "c", [entry], "/v1/AUTH_a"))
    return {key: value for key, value in found.items() if key not in ("name", "content_type", "last_modified")}


def test_what_stands_behind_etags_is_told() -> None:
    assert listed("e") == {"hash": "e", "bytes": 7}
    assert listed("e; slo_etag=s") == {"hash": "e", "bytes": 7, "slo_etag": '"s"'}
    assert listed("e; symlink_target=d/o%3B") == {"hash": "e", "bytes": 7, "symlink_path": "/v1/AUTH_a/d/o%3B"}
    assert listed(
        "e; symlink_target=d/o; symlink_target_account=AUTH_b; symlink_target_etag=t; symlink_target_bytes=9; x=y"
    ) == {
        "hash": "e; x=y",
        "bytes": 7,
        "symlink_path": "/v1/AUTH_b/d/o",
        "symlink_etag": "t",
        "symlink_bytes": 9,
    }


def test_a_link_to_a_version_is_told_as_the_object() -> None:
    target = "%00versions%00c/%00o%008399999999.87654"
    assert listed(f"e; slo_etag=s; symlink_target={target}; symlink_target_etag=t; symlink_target_bytes=9") == {
        "hash": "t",
        "bytes": 9,
        "slo_etag": '"s"',
        "version_symlink": True,
        "symlink_path": "/v1/AUTH_a/c/o?version-id=1600000000.12345",
    }
    other = target.replace("c/", "d/")
    assert "version_symlink" not in listed(f"e; symlink_target={other}; symlink_target_etag=t; symlink_target_bytes=9")


def test_xml_tells_the_fields_that_it_has() -> None:
    entry = ("o", stamps.stamp(1), 7, "text/plain", "e; slo_etag=s")
    body = listings.of_container(media.XML, "c", [entry], "/v1/AUTH_a")
    assert b"<hash>e</hash>" in body
    assert b"slo" not in body
