# SPDX-License-Identifier: Apache-2.0
"""The same bytes take room once in the file store, and stay for those who have them when others go."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from cumulet.services.image.drivers.file import FileStore

BYTES = b"the same" * 20_000


@pytest.fixture
def kept(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "images")


def put(kept: FileStore, key: str, content: bytes = BYTES) -> None:
    kept.write(f"draft.{key}", 0, content)
    kept.publish(f"draft.{key}", key, len(content))
    kept.share(key, hashlib.sha512(content).hexdigest())


def files(tmp_path: Path) -> int:
    """How many different files there are."""
    return len({path.stat().st_ino for path in tmp_path.rglob("*") if path.is_file()})


def test_the_same_bytes_are_one_file(tmp_path: Path, kept: FileStore) -> None:
    for key in ("one", "two", "three"):
        put(kept, key)
    put(kept, "other", b"other bytes")
    assert files(tmp_path) == 2
    assert [kept.read(key, 0, 1 << 20) for key in ("one", "two", "three")] == [BYTES] * 3
    assert sorted(kept.published()) == ["one", "other", "three", "two"]


def test_what_is_deleted_under_one_name_stays_under_others(tmp_path: Path, kept: FileStore) -> None:
    put(kept, "one")
    put(kept, "two")
    kept.delete("one")
    assert kept.read("two", 0, 8) == b"the same"
    put(kept, "three")
    assert files(tmp_path) == 1
    kept.delete("two")
    kept.delete("three")
    assert files(tmp_path) == 0


def test_bytes_that_go_while_they_are_shared_are_no_matter(tmp_path: Path, kept: FileStore) -> None:
    kept.share("gone", "0" * 128)
    put(kept, "one")
    put(kept, "one")
    assert files(tmp_path) == 1
    assert kept.read("one", 0, 8) == b"the same"


def test_only_blocks_with_anything_in_them_take_room(tmp_path: Path, kept: FileStore) -> None:
    block = 64 << 10
    content = bytes(block * 16) + b"x" * block + bytes(block * 16) + b"end"
    kept.write("draft", 0, content[: block * 20])
    kept.write("draft", block * 20, content[block * 20 :])
    kept.write("draft", block * 16, bytes(block))  # what was written is overwritten, with zeros as well
    kept.publish("draft", "key", len(content))
    assert kept.read("key", 0, 1 << 30) == bytes(block * 33) + b"end"
    assert kept.path("key").stat().st_blocks * 512 <= 4 * block
