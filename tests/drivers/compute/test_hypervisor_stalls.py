# SPDX-License-Identifier: Apache-2.0
"""A server whose disk has no room for what it writes is held, as QEMU and libvirt do without a word, and goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from compute_lab import LabSupplies, make_host

from cumulet.kernel.ids import new_uuid
from cumulet.services.compute.agent.servers import ServersOnHost
from cumulet.services.compute.drivers.fake import FakeHypervisor
from cumulet.services.compute.types import PowerState, ServerSpec, VolumeSpec
from support.small_disk import SmallDisk, small_disk
from support.waiting import until
from support.writing_guest import WRITER, WRITES


@pytest.fixture
def disk(supplies: LabSupplies) -> Iterator[SmallDisk]:
    with small_disk(supplies.folder, 4) as made:
        # The tests' libvirt lives in a mount namespace of its own.
        supplies.folder = Path(f"/proc/{os.getpid()}/root{supplies.folder}")
        yield made


def test_a_server_without_room_for_its_writes_is_held(hypervisor, supplies: LabSupplies, disk, tmp_path: Path) -> None:
    volume = VolumeSpec(volume_id=new_uuid(), device="/dev/vda", boot_index=0)
    image = tmp_path / "image"
    image.write_bytes(WRITER.ljust(1 << 20, b"\0"))
    path = supplies.add_volume(volume.volume_id)
    subprocess.run(["qemu-img", "convert", "-n", "-f", "raw", "-O", "qcow2", image, path], check=True)
    spec = ServerSpec(id=new_uuid(), vcpus=1, ram=32, volumes=[volume])
    disk.fill()
    hypervisor.build(spec)
    hypervisor.start(spec)
    if isinstance(hypervisor, FakeHypervisor):
        assert hypervisor.stalled() == []
        hypervisor.stall(spec.id)
    for _ in range(2):
        until(lambda: hypervisor.stalled() == [spec.id])
        assert hypervisor.power(spec.id) == PowerState.PAUSED
        hypervisor.unpause(spec.id)
        if isinstance(hypervisor, FakeHypervisor):
            hypervisor.stall(spec.id)
    disk.make_room()
    until(lambda: hypervisor.stalled() == [spec.id])
    hypervisor.unpause(spec.id)
    if not isinstance(hypervisor, FakeHypervisor):
        until(lambda: b"done" in hypervisor.console(spec.id, None))
        assert hypervisor.console(spec.id, None).count(b".") == WRITES // 16
        assert b"!" not in hypervisor.console(spec.id, None)
    assert hypervisor.stalled() == []
    assert hypervisor.power(spec.id) == PowerState.RUNNING


def test_what_a_user_has_paused_stays_so(supplies: LabSupplies, tmp_path: Path) -> None:
    made = make_host(tmp_path / "host", supplies, "fake")
    drivers: list[FakeHypervisor] = []

    def hypervisor(stopped):
        drivers.append(FakeHypervisor(made.host.journal("fake"), supplies, stopped))
        return drivers[0]

    agent = ServersOnHost(made.host, hypervisor)
    server = new_uuid()
    agent.verbs["server.build"]({"spec": {"id": server, "vcpus": 1, "ram": 32}})
    drivers[0].stall(server)
    agent.verbs["server.pause"]({"id": server})
    for _ in range(3):
        agent.look_for_room()
    assert drivers[0].power(server) is PowerState.PAUSED
    agent.verbs["server.unpause"]({"id": server})
    agent.look_for_room()
    assert made.events == [("server.power", {"id": server})] * 2
