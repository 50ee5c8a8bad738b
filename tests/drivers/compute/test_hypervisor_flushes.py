# SPDX-License-Identifier: Apache-2.0
"""A guest's writes are brought to the disk when it asks for that, or with each of them where it knows of no caches."""

from __future__ import annotations

import subprocess
from pathlib import Path

from compute_lab import LabSupplies, process_of

from cumulet.kernel.ids import new_uuid
from cumulet.services.compute.drivers.fake import FakeHypervisor
from cumulet.services.compute.types import ServerSpec, VolumeSpec
from support.syncs import counted_syncs
from support.waiting import until
from support.writing_guest import WRITER


def test_what_a_guest_was_told_to_be_written_is_synced(hypervisor, supplies: LabSupplies, tmp_path: Path) -> None:
    volume = VolumeSpec(volume_id=new_uuid(), device="/dev/vda", boot_index=0)
    image = tmp_path / "image"
    image.write_bytes(WRITER.ljust(1 << 20, b"\0"))
    path = supplies.add_volume(volume.volume_id)
    subprocess.run(["qemu-img", "convert", "-n", "-f", "raw", "-O", "qcow2", image, path], check=True)
    spec = ServerSpec(id=new_uuid(), vcpus=1, ram=32, volumes=[volume])
    hypervisor.build(spec)
    hypervisor.start(spec)
    if isinstance(hypervisor, FakeHypervisor):
        return  # it has no bytes
    hypervisor.pause(spec.id)

    def dots() -> int:
        return int(hypervisor.console(spec.id, None).count(b"."))

    before = dots()
    with counted_syncs(process_of(spec.id), path, tmp_path / "log") as syncs:
        hypervisor.unpause(spec.id)
        until(lambda: dots() >= before + 6)
        hypervisor.pause(spec.id)
        assert syncs() >= (dots() - before - 1) * 16
