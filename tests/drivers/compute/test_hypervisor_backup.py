# SPDX-License-Identifier: Apache-2.0
"""Copies of servers for a backup, from every hypervisor: running with volumes, stopped, and destroyed after the pin."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from cumulet.kernel import run
from cumulet.kernel.errors import Conflict
from cumulet.kernel.ids import new_uuid
from cumulet.services.compute.drivers.fake import FakeHypervisor
from cumulet.services.compute.types import PowerState, ServerSpec, VolumeSpec


@pytest.fixture
def running(hypervisor, supplies) -> ServerSpec:
    image_id = new_uuid()
    supplies.add_image(image_id)
    spec = ServerSpec(id=new_uuid(), vcpus=1, ram=32, image_id=image_id, image_format="raw")
    hypervisor.build(spec)
    hypervisor.start(spec)
    return spec


@pytest.fixture
def with_volume(hypervisor, running, supplies):
    """The running server with one volume that holds something."""
    volume = VolumeSpec(volume_id=new_uuid(), device="/dev/vdb")
    path = supplies.add_volume(volume.volume_id)
    run.run(["qemu-io", "-f", "qcow2", "-c", "write -P 90 0 64k", path])
    hypervisor.attach_disk(running.id, volume)
    return msgspec.structs.replace(running, volumes=[volume])


def raw(path: Path) -> bytes:
    run.run(["qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", path, path.with_suffix(".raw")])
    return path.with_suffix(".raw").read_bytes()


def own_disks(hypervisor, folder: Path) -> list[Path]:
    """The fake's servers are records in a journal, so it has none."""
    found = sorted(folder.glob("*.qcow2"))
    assert len(found) == (0 if isinstance(hypervisor, FakeHypervisor) else 1)
    return found


def empty_like(path: Path) -> Path:
    run.run(["qemu-img", "create", "-q", "-f", "qcow2", path, str(1 << 20)])
    return path


def test_a_running_server_is_copied_with_its_volumes(hypervisor, with_volume, supplies, tmp_path):
    volume = with_volume.volumes[0].volume_id
    for attempt in ("first", "second"):
        target = empty_like(tmp_path / f"{attempt}.qcow2")
        hypervisor.back_up(with_volume, tmp_path / attempt, {volume: target})
        assert hypervisor.power(with_volume.id) == PowerState.RUNNING
        content = raw(target)
        assert content[:65536] == b"\x5a" * 65536
        assert not content[65536:].strip(b"\0")
        for disk in own_disks(hypervisor, tmp_path / attempt):
            run.run(["qemu-img", "check", "-q", disk])
            assert b"backing" not in run.run(["qemu-img", "info", disk]).stdout
            assert raw(disk)[:512] == (supplies.base(with_volume.image_id)).read_bytes()[:512]


def test_a_stopped_server_is_copied_alone(hypervisor, with_volume, tmp_path):
    hypervisor.stop(with_volume.id, 0)
    target = empty_like(tmp_path / "v.qcow2")
    with pytest.raises(Conflict):
        hypervisor.back_up(with_volume, tmp_path / "x", {with_volume.volumes[0].volume_id: target})
    hypervisor.back_up(with_volume, tmp_path / "y", {})
    own_disks(hypervisor, tmp_path / "y")


def test_a_server_that_goes_after_the_pin_is_copied_from_it(hypervisor, running, tmp_path):
    hypervisor.pin(running.id, tmp_path / "pinned")
    hypervisor.destroy(running.id)
    hypervisor.back_up_pinned(tmp_path / "pinned", tmp_path / "copy")
    for disk in own_disks(hypervisor, tmp_path / "copy"):
        run.run(["qemu-img", "check", "-q", disk])


def test_a_copied_server_starts_where_its_image_is_not(hypervisor, running, supplies, tmp_path):
    """What `back_up` wrote is what `start` needs, though the image below the old disk is gone."""
    if isinstance(hypervisor, FakeHypervisor):
        pytest.skip("there are no disks to start from")
    hypervisor.back_up(running, tmp_path / "copy", {})
    hypervisor.stop(running.id, 0)
    own = hypervisor._servers / running.id
    for path in (tmp_path / "copy").iterdir():
        path.replace(own / path.name)
    supplies.base(running.image_id).unlink()
    hypervisor.start(running)
    assert hypervisor.power(running.id) == PowerState.RUNNING
