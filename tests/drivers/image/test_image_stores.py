# SPDX-License-Identifier: Apache-2.0
"""What every byte store must do, held against each of them."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cumulet.kernel.errors import NotFound
from cumulet.services.image.drivers.base import ByteStore, StorageFull
from cumulet.services.image.drivers.fake import FakeStore
from cumulet.services.image.drivers.file import BLOCK, FileStore

STORES: dict[str, Callable[[Path], ByteStore]] = {
    "file": FileStore,
    "fake": lambda _: FakeStore(),
    "fake in a folder": lambda folder: FakeStore(folder=folder),
}


@pytest.fixture(params=list(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ByteStore:
    return STORES[request.param](tmp_path / "images")


def test_what_is_published_is_what_was_written(store: ByteStore) -> None:
    store.write("draft", 0, b"hello ")
    store.write("draft", 6, b"world")
    assert store.read_draft("draft", 3, 5) == b"lo wo"
    assert list(store.drafts()) == ["draft"]
    with pytest.raises(NotFound):
        store.read("key", 0, 1)
    store.publish("draft", "key", 11)
    assert store.drafts() == {}
    assert list(store.published()) == ["key"]
    assert store.size("key") == 11
    assert store.read("key", 0, 100) == b"hello world"
    assert store.read("key", 6, 2) == b"wo"
    assert store.read("key", 11, 5) == b""


def test_publishing_twice_does_no_harm(store: ByteStore) -> None:
    store.write("draft", 0, b"hello")
    store.publish("draft", "key", 5)
    store.publish("draft", "key", 5)
    with pytest.raises(NotFound):
        store.publish("draft", "key", 6)
    with pytest.raises(NotFound):
        store.publish("other", "nothing", 0)


def test_an_empty_draft_and_holes(store: ByteStore) -> None:
    store.write("empty", 0, b"")
    store.publish("empty", "empty", 0)
    assert store.size("empty") == 0
    store.write("hole", BLOCK, b"end")
    store.publish("hole", "hole", BLOCK + 100)
    assert store.size("hole") == BLOCK + 100
    assert store.read("hole", BLOCK - 2, 7) == b"\0\0end\0\0"


def test_zeros_may_replace_what_was_written(store: ByteStore) -> None:
    store.write("draft", 0, b"x" * 2 * BLOCK)
    store.write("draft", BLOCK, bytes(BLOCK))
    store.publish("draft", "key", 2 * BLOCK)
    assert store.read("key", BLOCK - 1, 3) == b"x\0\0"


def test_a_draft_is_cut_to_its_size(store: ByteStore) -> None:
    store.write("draft", 0, b"0123456789")
    store.publish("draft", "key", 4)
    assert store.read("key", 0, 10) == b"0123"


def test_what_is_gone_is_gone(store: ByteStore) -> None:
    store.write("draft", 0, b"x")
    store.discard("draft")
    store.discard("draft")
    with pytest.raises(NotFound):
        store.read_draft("draft", 0, 1)
    store.write("draft", 0, b"x")
    store.publish("draft", "key", 1)
    store.delete("key")
    store.delete("key")
    with pytest.raises(NotFound):
        store.size("key")


def test_names_lead_nowhere_else(store: ByteStore) -> None:
    for name in ("../x", "a/b", "", ".hidden", "x" * 200, "drafts/x"):
        with pytest.raises(ValueError, match="not a name"):
            store.write(name, 0, b"x")
        with pytest.raises(ValueError, match="not a name"):
            store.read(name, 0, 1)


def test_many_threads_write_one_draft(store: ByteStore) -> None:
    pieces = [threading.Thread(target=store.write, args=("draft", 100 * n, bytes([n]) * 100)) for n in range(20)]
    for piece in pieces:
        piece.start()
    for piece in pieces:
        piece.join()
    store.publish("draft", "key", 2000)
    assert store.read("key", 0, 2000) == b"".join(bytes([n]) * 100 for n in range(20))


def test_zeros_take_no_room_in_files(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    for number in range(16):
        store.write("draft", number << 20, bytes(1 << 20))
    store.publish("draft", "key", 16 << 20)
    assert store.capabilities.sparse
    assert store.path("key").stat().st_blocks * 512 < 1 << 20
    assert store.size("key") == 16 << 20


def test_a_full_disk_is_told_in_files(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(StorageFull):
            store.write("draft", 0, b"x" * 8192)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_told_in_memory() -> None:
    store = FakeStore(room=10)
    store.write("one", 0, b"12345")
    with pytest.raises(StorageFull):
        store.write("two", 0, b"123456")
