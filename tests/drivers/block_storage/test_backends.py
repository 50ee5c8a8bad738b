# SPDX-License-Identifier: Apache-2.0
"""Every keeper of volumes does what the Protocol says, to the byte."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import pytest

from cumulet.kernel.errors import Conflict, Invalid, NotFound, NotReady
from cumulet.services.block_storage.contract import DiskSource
from cumulet.services.block_storage.drivers.base import VolumeBackend
from cumulet.services.block_storage.drivers.fake import FakeBackend
from cumulet.services.block_storage.drivers.file import FileBackend
from cumulet.services.block_storage.drivers.nodes import node
from support.storage_cluster import ClusterBackend, in_order, shared_folder, storage_cluster
from support.waiting import until

MIB = 1 << 20
SIZE = 4 * MIB


class Lab:
    """A back end, and a guest's hands on its closed volumes."""

    def __init__(self, make: Callable[[Path], Any], root: Path, name: str = "store") -> None:
        self.backend: VolumeBackend = (backend := make(root / name))
        self.make, self.root = make, root
        self._is_fake = isinstance(backend, FakeBackend)

    def write(self, volume_id: str, offset: int, text: bytes) -> None:
        if self._is_fake:
            self.backend.write(volume_id, offset, text)  # type: ignore[attr-defined]
            return
        piece = self.root / "piece"
        piece.write_bytes(text)
        disk = self.backend.source(volume_id)
        self._io(disk, f"write -s {piece} {offset} {len(text)}")

    def read(self, volume_id: str, offset: int, length: int) -> bytes:
        if self._is_fake:
            return self.backend.read(volume_id, offset, length)  # type: ignore[attr-defined, no-any-return]
        raw = self.root / "raw"
        disk = self.backend.source(volume_id)
        subprocess.run(["qemu-img", "convert", "-O", "raw", _words(disk), raw], check=True)
        return raw.read_bytes()[offset : offset + length]

    def _io(self, disk: DiskSource, command: str) -> None:
        subprocess.run(["qemu-io", "-c", command, _words(disk)], check=True, capture_output=True)


def _words(disk: DiskSource) -> str:
    return f"json:{json.dumps(node(disk))}"


def raw_files(root: Path) -> FileBackend:
    """The files of an iSCSI back end."""
    return FileBackend(root, "raw")


@pytest.fixture(params=[FakeBackend, FileBackend, raw_files, shared_folder, "cluster"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    if request.param != "cluster":
        yield Lab(request.param, tmp_path)
        return
    with ExitStack() as running:
        yield Lab(lambda _root: in_order(ClusterBackend(running.enter_context(storage_cluster()), "host-a")), tmp_path)


def test_a_back_end_says_what_it_is(lab: Lab) -> None:
    said = lab.backend.capabilities
    assert said.name
    assert said.vendor
    assert said.version
    assert said.storage_protocol
    assert said.thin_provisioning
    assert said.online_extend
    assert said.multiattach is (said.name != "shared")


def test_a_blank_volume_has_its_size_to_the_byte_and_reads_as_zeroes(lab: Lab) -> None:
    lab.backend.create_blank("v1", SIZE)
    assert lab.backend.size("v1") == SIZE
    assert lab.read("v1", 0, 512) == bytes(512)
    assert lab.backend.volumes() == ["v1"]


def test_nothing_is_brought_back_where_no_backup_was(lab: Lab, tmp_path: Path) -> None:
    assert lab.backend.bring_back(tmp_path / "restored") == []


def test_making_it_twice_keeps_its_content(lab: Lab) -> None:
    lab.backend.create_blank("v1", SIZE)
    lab.write("v1", 0, b"x" * 512)
    lab.backend.create_blank("v1", SIZE)
    assert lab.read("v1", 0, 512) == b"x" * 512
    with pytest.raises(Conflict):
        lab.backend.create_blank("v1", 2 * SIZE)


def test_an_image_stands_at_the_start_with_zeroes_behind(lab: Lab, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"system" + bytes(512 - 6))
    lab.backend.create_from_image("v1", SIZE, image, "raw")
    assert lab.backend.size("v1") == SIZE
    assert lab.read("v1", 0, 6) == b"system"
    assert lab.read("v1", MIB, 512) == bytes(512)


def test_an_image_that_does_not_fit_is_refused_and_leaves_nothing(lab: Lab, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(2 * MIB))
    with pytest.raises(Invalid):
        lab.backend.create_from_image("v1", MIB, image, "raw")
    assert lab.backend.volumes() == []


def test_a_snapshot_keeps_the_moment(lab: Lab) -> None:
    lab.backend.create_blank("v1", SIZE)
    lab.write("v1", 0, b"a" * 512)
    lab.backend.snapshot("s1", "v1")
    lab.write("v1", 0, b"b" * 512)
    lab.backend.create_from_snapshot("v2", 2 * SIZE, "s1")
    assert lab.read("v2", 0, 512) == b"a" * 512
    assert lab.backend.size("v2") == 2 * SIZE
    assert lab.read("v1", 0, 512) == b"b" * 512


def test_snapshots_and_volumes_go_in_any_order(lab: Lab) -> None:
    lab.backend.create_blank("v1", SIZE)
    lab.write("v1", 0, b"a" * 512)
    lab.backend.snapshot("s1", "v1")
    lab.backend.create_from_snapshot("v2", SIZE, "s1")
    lab.backend.delete("v1")
    lab.backend.delete_snapshot("s1")
    assert lab.read("v2", 0, 512) == b"a" * 512
    assert (lab.backend.volumes(), lab.backend.snapshots()) == (["v2"], [])


def test_a_clone_is_independent(lab: Lab) -> None:
    lab.backend.create_blank("v1", SIZE)
    lab.write("v1", MIB, b"c" * 512)
    lab.backend.clone("v2", 2 * SIZE, "v1")
    lab.write("v1", MIB, b"d" * 512)
    assert lab.read("v2", MIB, 512) == b"c" * 512
    assert lab.backend.size("v2") == 2 * SIZE


def test_an_open_source_is_copied_by_its_opener(lab: Lab) -> None:
    lab.backend.create_blank("v1", SIZE)
    asked = []

    def opener(target: Path, target_format: str) -> bool:
        asked.append(target_format)
        return True

    lab.backend.snapshot("s1", "v1", opener)
    lab.backend.clone("v2", SIZE, "v1", opener)
    assert len(asked) == 2
    assert lab.backend.snapshots() == ["s1"]
    assert lab.backend.size("v2") == SIZE


def test_a_copy_that_fails_leaves_nothing(lab: Lab) -> None:
    lab.backend.create_blank("v1", SIZE)

    def opener(target: Path, target_format: str) -> bool:
        raise Conflict("the server is gone")

    with pytest.raises(Conflict):
        lab.backend.snapshot("s1", "v1", opener)
    assert lab.backend.snapshots() == []
    assert lab.backend.sweep() == []


@pytest.mark.parametrize("target_format", ["raw", "qcow2"])
def test_an_exported_file_has_the_format_and_can_be_a_volume_again(
    lab: Lab, tmp_path: Path, target_format: Literal["raw", "qcow2"]
) -> None:
    lab.backend.create_blank("v1", SIZE)
    lab.write("v1", 0, b"f" * 512)
    target = tmp_path / "export"
    for _ in range(2):
        lab.backend.export("v1", target, target_format)
    assert (target.read_bytes()[:4] == b"QFI\xfb") is (target_format == "qcow2")
    lab.backend.create_from_image("v2", SIZE, target, target_format)
    assert lab.backend.size("v2") == SIZE


def test_growing_keeps_the_content_and_shrinking_is_refused(lab: Lab) -> None:
    lab.backend.create_blank("v1", SIZE)
    lab.write("v1", 0, b"e" * 512)
    lab.backend.extend("v1", 2 * SIZE)
    lab.backend.extend("v1", 2 * SIZE)
    assert lab.backend.size("v1") == 2 * SIZE
    assert lab.read("v1", 0, 512) == b"e" * 512
    with pytest.raises(Invalid):
        lab.backend.extend("v1", SIZE)


def test_what_is_not_there(lab: Lab) -> None:
    lab.backend.delete("v1")
    lab.backend.delete_snapshot("s1")
    for work in (
        lambda: lab.backend.source("v1"),
        lambda: lab.backend.size("v1"),
        lambda: lab.backend.extend("v1", SIZE),
        lambda: lab.backend.snapshot("s1", "v1"),
        lambda: lab.backend.clone("v2", SIZE, "v1"),
        lambda: lab.backend.create_from_snapshot("v2", SIZE, "s1"),
    ):
        with pytest.raises(NotFound):
            work()


def test_the_room_is_counted(lab: Lab) -> None:
    before = lab.backend.stats()
    lab.backend.create_blank("v1", SIZE)
    after = lab.backend.stats()
    assert after.provisioned - before.provisioned == SIZE
    assert after.total >= after.free >= 0


def test_drafts_are_swept(tmp_path: Path) -> None:
    backend = FileBackend(tmp_path)
    backend.create_blank("v1", SIZE)
    (tmp_path / "volumes" / "v2.qcow2.new").write_bytes(b"half")
    (tmp_path / "snapshots" / "s2.qcow2.new").write_bytes(b"half")
    assert backend.sweep() == ["s2.qcow2.new", "v2.qcow2.new"]
    assert backend.volumes() == ["v1"]


def test_programs_at_drafts_of_an_agent_that_died_are_ended(tmp_path: Path) -> None:
    """They could write the drafts anew, once these are swept."""
    backend = FileBackend(tmp_path)
    backend.create_blank("v1", SIZE)
    draft, whole = tmp_path / "volumes" / "v2.qcow2.1.new", tmp_path / "volumes" / "v1.qcow2"
    draft.write_bytes(b"half")
    programs = [subprocess.Popen(["tail", "-f", path], stdout=subprocess.DEVNULL) for path in (draft, whole)]
    try:
        until(lambda: all("tail" in Path(f"/proc/{each.pid}/cmdline").read_text() for each in programs))
        backend.sweep()
        assert programs[0].wait(10) == -signal.SIGKILL
        assert programs[1].poll() is None
    finally:
        for each in programs:
            each.kill()
            each.wait()


def test_a_reverted_volume_is_what_it_was_at_the_snapshot(lab: Lab) -> None:
    lab.backend.create_blank("v1", SIZE)
    lab.write("v1", 0, b"a" * 512)
    lab.backend.snapshot("s1", "v1")
    lab.write("v1", 0, b"b" * 512)
    lab.write("v1", MIB, b"c" * 512)
    for _ in range(2):
        lab.backend.revert("v1", "s1")
        assert (lab.read("v1", 0, 512), lab.read("v1", MIB, 512)) == (b"a" * 512, bytes(512))
    lab.write("v1", 0, b"d" * 512)
    lab.backend.create_from_snapshot("v2", SIZE, "s1")
    assert lab.read("v2", 0, 512) == b"a" * 512


def test_a_volume_keeps_its_size_when_its_content_comes_anew(lab: Lab, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"new system".ljust(512, b"\0"))
    lab.backend.create_blank("v1", SIZE)
    lab.backend.snapshot("s1", "v1")
    lab.backend.extend("v1", 2 * SIZE)
    lab.write("v1", SIZE, b"x" * 512)
    lab.backend.reimage("v1", image, "raw")
    assert (lab.read("v1", 0, 10), lab.read("v1", SIZE, 512)) == (b"new system", bytes(512))
    lab.backend.revert("v1", "s1")
    assert (lab.read("v1", 0, 10), lab.backend.size("v1")) == (bytes(10), 2 * SIZE)


def test_what_does_not_fit_leaves_the_old_content(lab: Lab, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(2 * MIB))
    lab.backend.create_blank("v1", MIB)
    lab.write("v1", 0, b"a" * 512)
    lab.backend.create_blank("v2", SIZE)
    lab.backend.snapshot("s2", "v2")
    for work in (lambda: lab.backend.reimage("v1", image, "raw"), lambda: lab.backend.revert("v1", "s2")):
        with pytest.raises(Invalid):
            work()
    for absent in (lambda: lab.backend.revert("v1", "s9"), lambda: lab.backend.reimage("v9", image, "raw")):
        with pytest.raises(NotFound):
            absent()
    assert lab.read("v1", 0, 512) == b"a" * 512


def test_several_volumes_are_kept_as_of_one_moment(lab: Lab) -> None:
    """What is open is copied by whoever has it open, before anything that is closed is copied."""
    for volume_id in ("v1", "v2"):
        lab.backend.create_blank(volume_id, SIZE)
    lab.write("v1", 0, b"1" * 512)
    lab.write("v2", MIB, b"2" * 512)
    lab.backend.snapshot_together({"s1": "v1", "s2": "v2"})
    lab.write("v1", 0, b"x" * 512)
    lab.backend.snapshot_together({"s1": "v1", "s2": "v2"})
    assert lab.backend.snapshots() == ["s1", "s2"]
    lab.backend.create_from_snapshot("c1", SIZE, "s1")
    lab.backend.create_from_snapshot("c2", SIZE, "s2")
    assert lab.read("c1", 0, 512) == b"1" * 512
    assert lab.read("c2", MIB, 512) == b"2" * 512


def test_of_several_snapshots_all_are_taken_anew_or_none(lab: Lab) -> None:
    for volume_id in ("v1", "v2"):
        lab.backend.create_blank(volume_id, SIZE)

    def refuse(targets: Any, _format: Any) -> Any:
        assert set(targets) == {"v1", "v2"}
        raise NotReady("not now")

    with pytest.raises(NotReady):
        lab.backend.snapshot_together({"s1": "v1", "s2": "v2"}, refuse)
    assert lab.backend.snapshots() == []
    assert lab.backend.sweep() == []
    # A crash has left one of them, which is of another moment.
    lab.backend.snapshot("s1", "v1")
    lab.write("v1", 0, b"new" + bytes(509))
    lab.backend.snapshot_together({"s1": "v1", "s2": "v2"})
    lab.backend.create_from_snapshot("c1", SIZE, "s1")
    assert lab.read("c1", 0, 3) == b"new"


def test_a_volume_of_another_back_end_is_fetched_in_the_place_of_what_is_here(lab: Lab, tmp_path: Path) -> None:
    there = Lab(lab.make, tmp_path, "there")
    there.backend.create_blank("v1", SIZE)
    there.write("v1", MIB, b"t" * 512)
    lab.backend.create_blank("v1", SIZE)
    lab.write("v1", 0, b"h" * 512)
    for _ in range(2):
        lab.backend.receive("v1", SIZE, there.backend.source("v1"))
        assert (lab.read("v1", 0, 512), lab.read("v1", MIB, 512)) == (bytes(512), b"t" * 512)
    assert lab.backend.size("v1") == SIZE
    assert there.read("v1", MIB, 512) == b"t" * 512
