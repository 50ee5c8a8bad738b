# SPDX-License-Identifier: Apache-2.0
"""Whatever is written between two backups, each of a chain is what the volume was then; spoilt ones are told."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cumulet.kernel.blob import Blobs
from cumulet.kernel.blob.files import FileBlobs
from cumulet.kernel.errors import Conflict, Invalid, NotFound, NotReady
from cumulet.services.block_storage.agent import chunks
from cumulet.services.block_storage.drivers.base import BLOCK
from cumulet.services.block_storage.types.backups import Stored

BLOCKS = 40
PART = 16 * BLOCK  # a part of the tests' small volumes
SIZE = BLOCKS * BLOCK


class Memory:
    """`Content` of which only the extents that somebody wrote to are told."""

    def __init__(self) -> None:
        self.bytes = bytearray(SIZE)
        self.touched: set[int] = set()

    @property
    def size(self) -> int:
        return len(self.bytes)

    def extents(self, start: int, length: int) -> Iterator[tuple[int, int]]:
        for block in sorted(self.touched):
            if start <= block * BLOCK < start + length:
                yield block * BLOCK + 512, 512

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self.bytes[offset : offset + length])

    def write(self, block: int, data: bytes) -> None:
        self.touched.add(block)
        self.bytes[block * BLOCK : block * BLOCK + BLOCK] = data


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "PART", PART)


@pytest.fixture
def store(tmp_path: Path) -> Blobs:
    return FileBlobs(tmp_path / "store")


def back_up(store: Blobs, name: str, content: Memory, parent: str = "", packs: bool = True) -> chunks.Manifest:
    stored = Stored(container="c", name=name)
    older = chunks.get(store, Stored(container="c", name=parent)) if parent else None
    for part in range(chunks.parts(content.size)):
        chunks.write_part(store, stored, part, content, older, packs, 3 * BLOCK)
    return chunks.seal(store, stored, "v", content.size, older, {"name": name})


def restored(store: Blobs, name: str) -> bytes:
    manifest = chunks.get(store, Stored(container="c", name=name))
    found = bytearray(manifest.size)
    for part in range(chunks.parts(manifest.size)):
        for offset, data in chunks.read_part(store, manifest, part):
            found[offset : offset + len(data)] = data
    return bytes(found)


def filled(seed: int) -> bytes:
    """A block of one of few contents: all zeroes, one that packs well, or noise."""
    if seed == 0:
        return bytes(BLOCK)
    return bytes([seed]) * BLOCK if seed % 2 else Random(seed).randbytes(BLOCK)


WRITES = st.lists(st.tuples(st.integers(0, BLOCKS - 1), st.integers(0, 9)), max_size=12)


@settings(max_examples=12, deadline=None)
@given(chain=st.lists(st.tuples(WRITES, st.booleans(), st.booleans()), min_size=1, max_size=5))
def test_each_of_a_chain_is_what_the_volume_was(chain: list[tuple[list[tuple[int, int]], bool, bool]]) -> None:
    """Of each backup: what is written before it, whether it is incremental, whether its blocks are packed."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "PART", PART)
        store, volume, moments = FileBlobs(Path(folder) / "store"), Memory(), []
        for number, (writes, incremental, packs) in enumerate(chain):
            for block, seed in writes:
                volume.write(block, filled(seed))
            back_up(store, f"b{number}", volume, f"b{number - 1}" if incremental and number else "", packs)
            moments.append(bytes(volume.bytes))
        assert [restored(store, f"b{number}") for number in range(len(chain))] == moments


def test_only_what_has_changed_is_stored(store: Blobs) -> None:
    volume = Memory()
    for block in range(10):
        volume.write(block, Random(block).randbytes(BLOCK))
    full = back_up(store, "full", volume)
    assert full.stored >= 10 * BLOCK
    volume.write(3, Random(99).randbytes(BLOCK))
    volume.write(7, bytes(BLOCK))
    later = back_up(store, "later", volume, "full")
    assert later.stored == BLOCK
    assert [each.name for each in later.sources] == ["later", "full"]
    assert back_up(store, "idle", volume, "later").stored == 0


def test_an_interrupted_write_goes_on_and_is_nothing_until_then(store: Blobs) -> None:
    volume, stored = Memory(), Stored(container="c", name="b")
    for block in range(BLOCKS):
        volume.write(block, Random(block).randbytes(BLOCK))
    chunks.write_part(store, stored, 0, volume, None, True, 3 * BLOCK)
    chunks.write_part(store, stored, 1, volume, None, True, 3 * BLOCK)
    with pytest.raises(NotFound):
        chunks.get(store, stored)
    chunks.write_part(store, stored, 1, volume, None, True, 3 * BLOCK)
    with pytest.raises(NotReady):
        chunks.seal(store, stored, "v", volume.size, None, {})
    chunks.write_part(store, stored, 2, volume, None, True, 3 * BLOCK)
    chunks.seal(store, stored, "v", volume.size, None, {})
    assert restored(store, "b") == bytes(volume.bytes)


@pytest.mark.parametrize("what", ["data-", "index-", "manifest"])
@pytest.mark.parametrize("how", ["spoilt", "gone", "short"])
def test_damage_is_told(store: Blobs, tmp_path: Path, what: str, how: str) -> None:
    volume = Memory()
    volume.write(5, Random(5).randbytes(BLOCK))
    back_up(store, "b", volume)
    path = max((tmp_path / "store" / "c" / "b").glob(f"{what}*"), key=lambda each: each.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(content if how == "spoilt" else content[:-1])
    with pytest.raises(NotFound if (what, how) == ("manifest", "gone") else Conflict):
        restored(store, "b")


def test_a_removed_backup_leaves_nothing_and_others_alone(store: Blobs, tmp_path: Path) -> None:
    volume = Memory()
    volume.write(1, filled(2))
    back_up(store, "one", volume)
    back_up(store, "two", volume)
    for _ in range(2):
        chunks.remove(store, Stored(container="c", name="one"))
    assert [path.name for path in (tmp_path / "store" / "c").iterdir()] == ["two"]
    assert restored(store, "two") == bytes(volume.bytes)


def test_no_name_leads_out_of_the_store(store: Blobs, tmp_path: Path) -> None:
    for container in ("../up", "a/b", "", "..", "ü" * 200):
        stored = Stored(container=container, name="b")
        chunks.seal(store, stored, "v", 0, None, {})
        assert chunks.find(store, stored) is not None
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    for name in ("../b", "a/b", "", "."):
        with pytest.raises(Invalid):
            chunks.find(store, Stored(container="c", name=name))
