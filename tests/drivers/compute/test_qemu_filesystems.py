# SPDX-License-Identifier: Apache-2.0
"""New disks of servers have the file systems that were asked for, as tools for them see it."""

from __future__ import annotations

import shutil

import pytest

from cumulet.kernel import run
from cumulet.kernel.errors import Conflict
from cumulet.services.compute.drivers.qemu import overlay
from cumulet.services.compute.types import FILESYSTEMS

MIB = 1 << 20

pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")


def seen(path, tmp_path):
    """What blkid sees in a disk: its type and its label."""
    raw = tmp_path / "raw"
    overlay.copy(path, raw, "raw")
    assert raw.stat().st_size == 64 * MIB
    words = run.run(["blkid", "-p", "-o", "export", raw]).stdout.decode().split()
    found = dict(word.partition("=")[::2] for word in words)
    return found["TYPE"], found["LABEL"]


@pytest.mark.parametrize("filesystem", FILESYSTEMS)
def test_a_new_disk_is_formatted(filesystem, tmp_path):
    path = tmp_path / "ephemeral0.qcow2"
    overlay.make_empty(path, 64 * MIB, filesystem)
    assert seen(path, tmp_path) == (filesystem, "ephemeral0")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["ephemeral0.qcow2", "raw"]
    before = path.read_bytes()
    overlay.make_empty(path, 64 * MIB, filesystem)
    assert path.read_bytes() == before


def test_what_has_no_room_for_a_file_system_is_refused(tmp_path):
    with pytest.raises(Conflict, match="cannot be formatted as ext4"):
        overlay.make_empty(tmp_path / "ephemeral0.qcow2", 1024, "ext4")
    assert not list(tmp_path.iterdir())


def test_a_very_large_disk_takes_little_room(tmp_path):
    path = tmp_path / "ephemeral0.qcow2"
    overlay.make_empty(path, 1 << 40, "vfat")
    assert overlay.overlay_size(path) == 1 << 40
    assert path.stat().st_blocks * 512 < 600 * MIB
