# SPDX-License-Identifier: Apache-2.0
"""What was deleted is not read by whoever comes next: all that a volume shows was written to it, or is zero."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cumulet.services.block_storage.drivers.file import FileBackend

MIB = 1 << 20
SIZE = 4 * MIB
SECRET = 0x5A
ODD = 70_144  # bytes: ends neither with a cluster nor with a page


class Lab:
    """A back end that held the volume `old` and its snapshot `old-s`, all of them secret."""

    def __init__(self, folder: Path) -> None:
        self.backend = FileBackend(folder / "store")
        self.folder = folder
        secret = self.image("secret", SECRET, SIZE)
        self.backend.create_from_image("old", SIZE, secret, "raw")
        self.backend.snapshot("old-s", "old")

    def image(self, name: str, byte: int, size: int) -> Path:
        path = self.folder / name
        path.write_bytes(bytes([byte]) * size)
        return path

    def io(self, volume: str, *words: str) -> str:
        """A guest's requests, through QEMU."""
        argv = ["qemu-io", "-d", "unmap", "-f", "qcow2", *(part for word in words for part in ("-c", word))]
        done = subprocess.run([*argv, self.backend.source(volume).path], capture_output=True, text=True, check=True)
        return done.stdout

    def seen(self, volume: str) -> bytes:
        raw = self.folder / "raw"
        raw.unlink(missing_ok=True)
        disk = self.backend.source(volume)
        subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", disk.path, raw], check=True)
        return raw.read_bytes()


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_new_volumes_hold_nothing_of_deleted_ones(lab: Lab) -> None:
    lab.backend.delete("old")
    lab.backend.delete_snapshot("old-s")
    assert not [path for path in (lab.folder / "store").rglob("*") if path.is_file()]
    for number in range(6):
        lab.backend.create_blank(f"v{number}", SIZE)
        # Clusters are taken, a part of each is written.
        lab.io(f"v{number}", *(f"write -P 1 {cluster * 64 + 4}k 512" for cluster in range(0, 64, 4)))
    for number in range(6):
        assert set(lab.seen(f"v{number}")) == {0, 1}
        assert lab.seen(f"v{number}").count(b"\1") == 16 * 512


def _extended(lab: Lab) -> None:
    lab.backend.create_from_image("v", SIZE, lab.image("i", 1, SIZE), "raw")
    lab.backend.extend("v", 2 * SIZE)


def _from_image(lab: Lab) -> None:
    lab.backend.create_from_image("v", 2 * SIZE, lab.image("i", 1, ODD), "raw")


def _cloned(lab: Lab) -> None:
    lab.backend.create_from_image("s", SIZE, lab.image("i", 1, ODD), "raw")
    lab.backend.clone("v", 2 * SIZE, "s")


def _reimaged(lab: Lab) -> None:
    lab.backend.create_from_image("v", SIZE, lab.folder / "secret", "raw")
    lab.backend.extend("v", 2 * SIZE)
    lab.backend.reimage("v", lab.image("i", 1, ODD), "raw")


def _reverted(lab: Lab) -> None:
    lab.backend.create_from_image("v", SIZE, lab.image("i", 1, ODD), "raw")
    lab.backend.snapshot("s", "v")
    lab.backend.extend("v", 2 * SIZE)
    lab.io("v", f"write -P {SECRET} 1M {2 * SIZE - MIB}")
    lab.backend.revert("v", "s")


def _discarded(lab: Lab) -> None:
    lab.backend.create_from_image("v", 2 * SIZE, lab.image("i", 1, ODD), "raw")
    # Freed clusters are given to others of the same volume.
    lab.io("v", f"write -P {SECRET} 1M {SIZE}", f"discard 1M {SIZE}")
    lab.io("v", "write -P 1 6M 512", "discard 6M 64k")


def _adopted(lab: Lab) -> None:
    strange = lab.folder / "store" / "adoption" / "volumes" / "strange.raw"
    strange.write_bytes(b"\1" * ODD)
    lab.backend.adopt("volume", "v", "strange.raw", 2 * SIZE)


def _received(lab: Lab) -> None:
    there = FileBackend(lab.folder / "there")
    there.create_from_image("v", SIZE, lab.image("i", 1, ODD), "raw")
    lab.backend.receive("v", 2 * SIZE, there.source("v"))


WAYS: tuple[Callable[[Lab], None], ...] = (
    _extended, _from_image, _cloned, _reimaged, _reverted, _discarded, _adopted, _received,
)  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
def test_behind_what_was_written_there_are_zeroes(lab: Lab, way: Callable[[Lab], None]) -> None:
    lab.backend.delete("old")
    lab.backend.delete_snapshot("old-s")
    way(lab)
    content = lab.seen("v")
    assert len(content) == 2 * SIZE
    written = SIZE if way is _extended else ODD
    assert content[:written] == b"\1" * written
    assert not any(content[written:])


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_what_leaves_as_an_image_holds_nothing_that_was_deleted(lab: Lab, kind: str) -> None:
    lab.backend.create_from_image("v", SIZE, lab.image("i", 1, ODD), "raw")
    lab.io("v", f"write -P {SECRET} 1M 1M", "discard 1M 1M")
    target = lab.image("target", SECRET, 2 * SIZE)
    lab.backend.export("v", target, kind)  # type: ignore[arg-type]
    assert bytes([SECRET]) * 512 not in target.read_bytes()
