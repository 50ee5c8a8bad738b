# SPDX-License-Identifier: Apache-2.0
"""Disks are kept to their limits: as they are plugged in, at a start, after a change, and in the place of others."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from cumulet.kernel.ids import new_uuid
from cumulet.kernel.qmp import Monitor
from cumulet.services.compute.drivers.fake import FakeHypervisor
from cumulet.services.compute.drivers.libvirt import monitor
from cumulet.services.compute.drivers.qemu.driver import QemuHypervisor
from cumulet.services.compute.types import ServerSpec, VolumeSpec

MIB = 1 << 20
# QEMU's names of what it tells of a disk, and libvirt's.
TOLD = {
    "bps": "total_bytes_sec",
    "bps_max": "total_bytes_sec_max",
    "bps_max_length": "total_bytes_sec_max_length",
    "iops_rd": "read_iops_sec",
    "iops_wr": "write_iops_sec",
    "iops_wr_max": "write_iops_sec_max",
    "iops_size": "size_iops_sec",
}
LIMITS = {
    "total_bytes_sec": 8 * MIB,
    "total_bytes_sec_max": 9 * MIB,
    "total_bytes_sec_max_length": 3,
    "read_iops_sec": 500,
    "write_iops_sec": 300,
    "write_iops_sec_max": 400,
    "size_iops_sec": 4096,
}


def kept(hypervisor: Any, server_id: str) -> list[dict[str, int]]:
    """The limits of the server's disks that have any."""
    if isinstance(hypervisor, FakeHypervisor):
        return [each for each in hypervisor.limits(server_id).values() if each]

    async def look(monitor: Monitor) -> Any:
        return await monitor.execute("query-block")

    if isinstance(hypervisor, QemuHypervisor):
        blocks = hypervisor._control(server_id, look)
    else:
        with hypervisor._domain(server_id) as found:
            blocks = monitor.work_on(found, look)
    inserted = [each["inserted"] for each in blocks if "inserted" in each]
    told = [{name: each[word] for word, name in TOLD.items() if each.get(word)} for each in inserted]
    # A length of one second is what there is without a word.
    return [{name: value for name, value in each.items() if value > 1} for each in told if each.get("total_bytes_sec")]


@pytest.fixture
def volume(supplies) -> VolumeSpec:
    volume = VolumeSpec(volume_id=new_uuid(), device="/dev/vdb", limits=LIMITS)
    supplies.add_volume(volume.volume_id, 16 * MIB)
    return volume


@pytest.fixture
def spec(supplies) -> ServerSpec:
    supplies.add_image("image")
    return ServerSpec(id=new_uuid(), vcpus=1, ram=32, image_id="image", image_format="raw")


def test_limits(hypervisor, spec, volume, supplies):
    hypervisor.build(spec)
    hypervisor.start(spec)
    hypervisor.attach_disk(spec.id, volume)
    assert kept(hypervisor, spec.id) == [LIMITS]
    less = {"total_bytes_sec": MIB}
    for limits in (less, LIMITS, {}, less):
        hypervisor.limit_disk(spec.id, msgspec.structs.replace(volume, limits=limits))
        assert kept(hypervisor, spec.id) == ([limits] if limits else [])
    other = VolumeSpec(volume_id=new_uuid(), limits={"total_bytes_sec": 2 * MIB})
    supplies.add_volume(other.volume_id, 16 * MIB)
    hypervisor.limit_disk(spec.id, other)  # the server has not got it
    hypervisor.swap_disk(spec.id, volume.volume_id, other)
    assert kept(hypervisor, spec.id) == [other.limits]
    hypervisor.stop(spec.id, 0)
    hypervisor.limit_disk(spec.id, other)


def test_limits_from_the_start(hypervisor, spec, volume):
    spec = msgspec.structs.replace(spec, volumes=[volume])
    hypervisor.build(spec)
    hypervisor.start(spec)
    assert kept(hypervisor, spec.id) == [LIMITS]
    hypervisor.limit_disk(spec.id, msgspec.structs.replace(volume, limits={}))
    if isinstance(hypervisor, QemuHypervisor):
        hypervisor.start(spec)  # by whoever was killed between the start and the limits
        assert kept(hypervisor, spec.id) == [LIMITS]
        measure(hypervisor, spec.id)
    hypervisor.suspend(spec.id)
    hypervisor.start(spec)
    assert kept(hypervisor, spec.id) == [LIMITS]


def measure(hypervisor: QemuHypervisor, server_id: str) -> None:
    """16 MiB in both directions at 8 MiB a second, after a burst of 27 MiB, take longer than without limits."""

    async def write(monitor: Monitor) -> None:
        for entry in await monitor.execute("query-block"):
            if entry.get("inserted", {}).get("bps"):
                for work in ("write -P 7 0 16M", "read -P 7 0 16M"):
                    line = f'qemu-io -d {entry["qdev"]} "{work}"'
                    await monitor.execute("human-monitor-command", command_line=line)

    began = time.monotonic()
    hypervisor._control(server_id, write)
    assert time.monotonic() - began > 0.5
