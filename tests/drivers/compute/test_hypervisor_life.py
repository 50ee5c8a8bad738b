# SPDX-License-Identifier: Apache-2.0
"""Suspend, rescue and rebuild: what every hypervisor driver must do, run against each of them."""

from __future__ import annotations

import msgspec
import pytest
from compute_lab import IMAGE_SIZE

from cumulet.kernel.errors import Conflict
from cumulet.kernel.ids import new_uuid
from cumulet.services.compute.types import LocalDisk, PowerState, RescueSpec, ServerSpec, VolumeSpec
from support.waiting import until


@pytest.fixture
def spec(supplies) -> ServerSpec:
    image_id = new_uuid()
    supplies.add_image(image_id)
    disks = [LocalDisk(name="ephemeral0", size=1)]
    return ServerSpec(id=new_uuid(), vcpus=1, ram=32, image_id=image_id, image_format="raw", disks=disks)


def _boot(hypervisor, spec: ServerSpec) -> None:
    hypervisor.build(spec)
    hypervisor.start(spec)


def test_suspend_and_go_on(hypervisor, spec, stopped):
    _boot(hypervisor, spec)
    until(lambda: hypervisor.console(spec.id, None))
    said = hypervisor.console(spec.id, None)
    for _ in range(2):
        hypervisor.suspend(spec.id)
        assert hypervisor.power(spec.id) == PowerState.SHUTDOWN
    hypervisor.start(spec)
    assert hypervisor.power(spec.id) == PowerState.RUNNING
    hypervisor.interrupt(spec.id)
    hypervisor.pause(spec.id)
    # It went on where it was: it did not boot again.
    assert hypervisor.console(spec.id, None).removesuffix(b"interrupted\n") == said
    hypervisor.unpause(spec.id)
    hypervisor.suspend(spec.id)
    said = hypervisor.console(spec.id, None)
    hypervisor.stop(spec.id, 0)  # drops the memory
    hypervisor.start(spec)
    until(lambda: len(hypervisor.console(spec.id, None)) > len(said))
    hypervisor.stop(spec.id, 0)
    for verb in (hypervisor.suspend, hypervisor.interrupt):
        with pytest.raises(Conflict):
            verb(spec.id)
    assert stopped == []


def test_rescue(hypervisor, spec, supplies):
    image, volume = new_uuid(), VolumeSpec(volume_id=new_uuid(), device="/dev/vdb")
    supplies.add_image(image)
    supplies.add_volume(volume.volume_id)
    spec = msgspec.structs.replace(spec, volumes=[volume])
    _boot(hypervisor, spec)
    plugs = (("", "disk", 2), ("virtio", "disk", 4), ("scsi", "disk", 4), ("ide", "cdrom", 4), ("usb", "disk", 4))
    for bus, device, disks in plugs:
        hypervisor.stop(spec.id, 0)
        said = hypervisor.console(spec.id, None)
        wanted = RescueSpec(image_id=image, image_format="raw", bus=bus, device=device)
        _boot(hypervisor, msgspec.structs.replace(spec, rescue=wanted))
        until(lambda said=said: len(hypervisor.console(spec.id, None)) > len(said))
        if hypervisor.capabilities().hypervisor != "fake":
            assert len(hypervisor.diagnostics(spec.id).disks) == disks
    hypervisor.stop(spec.id, 0)
    _boot(hypervisor, spec)
    assert hypervisor.power(spec.id) == PowerState.RUNNING


def test_disks_made_anew(hypervisor, spec, supplies):
    _boot(hypervisor, spec)
    hypervisor.stop(spec.id, 0)
    larger = new_uuid()
    (supplies.folder / larger).write_bytes((supplies.folder / spec.image_id).read_bytes().ljust(2 * IMAGE_SIZE, b"\0"))
    spec = msgspec.structs.replace(spec, image_id=larger)
    hypervisor.discard_disks(spec, keep_ephemeral=True)
    _boot(hypervisor, spec)
    assert hypervisor.root_size(spec.id) == 2 * IMAGE_SIZE


def test_a_volume_filled_with_an_image(hypervisor, spec, supplies):
    volume = VolumeSpec(volume_id=new_uuid(), boot_index=0)
    supplies.add_volume(volume.volume_id)
    hypervisor.fill_volume(volume, spec.image_id, "raw")
    spec = msgspec.structs.replace(spec, image_id=None, volumes=[volume])
    _boot(hypervisor, spec)
    until(lambda: hypervisor.console(spec.id, None))
