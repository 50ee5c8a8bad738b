# SPDX-License-Identifier: Apache-2.0
"""What lies in a back end's folder in nobody's care becomes a volume or a snapshot, and comes back, or is refused."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cumulet.kernel.errors import Invalid, NotFound
from cumulet.services.block_storage.drivers.base import Kind, VolumeBackend
from cumulet.services.block_storage.drivers.fake import FakeBackend
from cumulet.services.block_storage.drivers.file import FileBackend
from support import hostile_images
from support.storage_cluster import ClusterBackend, in_order, shared_folder, storage_cluster

MIB = 1 << 20
SIZE = 4 * MIB
KINDS: tuple[Kind, ...] = ("volume", "snapshot")


class Lab:
    """A back end whose operator leaves disks for adoption, each with some words at its start."""

    def __init__(self, backend: Any, root: Path) -> None:
        self.backend: VolumeBackend = backend
        self.root = root
        self._fake = isinstance(backend, FakeBackend)

    def leave(self, kind: Kind, name: str, text: bytes = b"text") -> None:
        if self._fake:
            self.backend.leave(kind, name, SIZE, {0: text})  # type: ignore[attr-defined]
            return
        raw, path = self.root / "raw", self.folder(kind) / name
        raw.write_bytes(text.ljust(SIZE, b"\0"))
        if name.endswith(".qcow2"):
            subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, path], check=True)
        else:
            raw.rename(path)

    def folder(self, kind: Kind) -> Path:
        return self.root / "store" / "adoption" / f"{kind}s"

    def names(self, kind: Kind) -> list[str]:
        return [one.name for one in self.backend.strangers(kind)]

    def text(self, volume_id: str) -> bytes:
        raw = self.root / "copy"
        self.backend.export(volume_id, raw, "raw")
        return raw.read_bytes()[:4]


@pytest.fixture(params=[FakeBackend, FileBackend, shared_folder, "cluster"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    if request.param != "cluster":
        make: Callable[[Path], Any] = request.param
        yield Lab(make(tmp_path / "store"), tmp_path)
        return
    with storage_cluster() as folder:
        (tmp_path / "store").symlink_to(folder)
        yield Lab(in_order(ClusterBackend(folder, "host-a")), tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> Lab:
    return Lab(FileBackend(tmp_path / "store"), tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stranger_becomes_ours_and_a_stranger_again(lab: Lab, kind: Kind) -> None:
    lab.leave(kind, "found.qcow2")
    assert [(one.name, one.size, one.reason) for one in lab.backend.strangers(kind)] == [("found.qcow2", SIZE, "")]
    assert lab.backend.stranger(kind, "found").name == "found.qcow2"
    ours = lab.backend.volumes if kind == "volume" else lab.backend.snapshots
    for _ in range(2):
        lab.backend.adopt(kind, "d1", "found.qcow2", 2 * SIZE)
        assert (ours(), lab.names(kind)) == (["d1"], [])
    if kind == "snapshot":
        lab.backend.create_from_snapshot("v1", 2 * SIZE, "d1")
    volume = "d1" if kind == "volume" else "v1"
    assert (lab.backend.size(volume), lab.text(volume)) == (2 * SIZE, b"text")
    for _ in range(2):
        lab.backend.abandon(kind, "d1", f"{kind}-d1.qcow2")
        assert lab.names(kind) == [f"{kind}-d1.qcow2"]
    assert "d1" not in ours()
    lab.backend.adopt(kind, "d2", f"{kind}-d1.qcow2", SIZE)
    if kind == "volume":
        assert lab.text("d2") == b"text"


def test_what_is_not_there_is_not_adopted(lab: Lab) -> None:
    with pytest.raises(NotFound):
        lab.backend.stranger("volume", "nothing")
    with pytest.raises(NotFound):
        lab.backend.adopt("volume", "v1", "nothing.qcow2", SIZE)
    lab.backend.abandon("volume", "v1", "volume-v1.qcow2")
    assert (lab.backend.volumes(), lab.names("volume")) == ([], [])


def test_a_plain_file_is_copied_whatever_it_looks_like(files: Lab) -> None:
    text = hostile_images.qcow2(backing=b"/etc/passwd")
    (files.folder("volume") / "guest.raw").write_bytes(text)
    assert files.backend.stranger("volume", "guest").size == len(text)
    files.backend.adopt("volume", "v1", "guest.raw", SIZE)
    assert (files.text("v1"), files.names("volume")) == (b"QFI\xfb", [])
    assert sorted(files.folder("volume").iterdir()) == []


@pytest.mark.parametrize("moment", ["taken", "copied"])
def test_what_was_begun_with_is_ended_or_given_back(files: Lab, moment: str) -> None:
    files.leave("volume", "one.raw")
    files.leave("volume", "two.raw", b"more")
    for number, name in enumerate(("one.raw", "two.raw")):
        holder = files.folder("volume") / f".taken-v{number}"
        holder.mkdir()
        (files.folder("volume") / name).rename(holder / name)
        if moment == "copied":
            files.backend.create_blank(f"v{number}", SIZE)
    files.backend.abandon("volume", "v1", "two.raw")
    assert (files.names("volume"), "v1" in files.backend.volumes()) == (["two.raw"], False)
    assert (files.folder("volume") / "two.raw").read_bytes()[:4] == b"more"
    files.backend.adopt("volume", "v0", "one.raw", SIZE)
    assert files.backend.volumes() == ["v0"]
    assert sorted(path.name for path in files.folder("volume").iterdir()) == ["two.raw"]


def test_what_was_begun_with_comes_back_where_its_volume_is_deleted(files: Lab) -> None:
    files.leave("volume", "one.raw")
    holder = files.folder("volume") / ".taken-v1"
    holder.mkdir()
    (files.folder("volume") / "one.raw").rename(holder / "one.raw")
    for _ in range(2):
        files.backend.delete("v1")
        assert files.names("volume") == ["one.raw"]


def _link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _second_name(path: Path) -> None:
    (path.parent.parent / "other").write_bytes(b"x" * 512)
    path.hardlink_to(path.parent.parent / "other")


BAD: dict[str, tuple[str, Callable[[Path], object]]] = {
    "backing file": ("a.qcow2", lambda path: path.write_bytes(hostile_images.qcow2(backing=b"/etc/passwd"))),
    "data file": (
        "a.qcow2", lambda path: path.write_bytes(hostile_images.qcow2(features=hostile_images.QCOW2_DATA_FILE)),
    ),
    "no qcow2": ("a.qcow2", lambda path: path.write_bytes(b"x" * 4096)),
    "encrypted": (
        "a.qcow2",
        lambda path: path.write_bytes(
            hostile_images.qcow2()[:32] + (1).to_bytes(4, "big") + hostile_images.qcow2()[36:]
        ),
    ),
    "another format": ("a.vmdk", lambda path: path.write_bytes(b"x" * 512)),
    "empty": ("a.raw", lambda path: path.touch()),
    "a link": ("a.raw", _link),
    "a second name": ("a.raw", _second_name),
    "a folder": ("a.raw", lambda path: path.mkdir()),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_must_not_be_opened_is_refused_and_stays(files: Lab, what: str) -> None:
    name, make = BAD[what]
    make(files.folder("volume") / name)
    (found,) = files.backend.strangers("volume")
    assert found.reason
    with pytest.raises(Invalid):
        files.backend.adopt("volume", "v1", name, SIZE)
    assert (files.backend.volumes(), files.names("volume")) == ([], [name])


def test_two_files_of_one_name_are_told_apart_by_their_suffix(files: Lab) -> None:
    files.leave("volume", "a.raw")
    files.leave("volume", "a.qcow2")
    with pytest.raises(Invalid):
        files.backend.stranger("volume", "a")
    assert files.backend.stranger("volume", "a.raw").name == "a.raw"
    (files.folder("volume") / ".hidden.raw").write_bytes(b"x")
    assert files.names("volume") == ["a.qcow2", "a.raw"]
