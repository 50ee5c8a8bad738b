# SPDX-License-Identifier: Apache-2.0
"""Servers that get another size, and their old one back, on every hypervisor."""

from __future__ import annotations

import msgspec
import pytest

from cumulet.kernel import run
from cumulet.kernel.errors import Conflict
from cumulet.kernel.ids import new_uuid
from cumulet.services.compute.drivers.fake import FakeHypervisor
from cumulet.services.compute.types import LocalDisk, PowerState, ServerSpec
from support.waiting import until

GIB = 1 << 30


@pytest.fixture
def small(hypervisor, supplies) -> ServerSpec:
    """A server that is off, with a swap disk."""
    image_id = new_uuid()
    supplies.add_image(image_id)
    swap = LocalDisk(name="swap", size=1)
    spec = ServerSpec(id=new_uuid(), vcpus=1, ram=32, disk=1, image_id=image_id, image_format="raw", disks=[swap])
    hypervisor.build(spec)
    return spec


@pytest.fixture
def large(small) -> ServerSpec:
    disks = [LocalDisk(name="ephemeral0", size=2), LocalDisk(name="swap", size=3)]
    return msgspec.structs.replace(small, vcpus=2, ram=48, disk=2, disks=disks)


def test_a_resize_that_is_confirmed_while_the_server_runs(hypervisor, small, large):
    for _ in range(2):
        hypervisor.resize(small, large)
        assert hypervisor.root_size(small.id) == 2 * GIB
    hypervisor.start(large)
    hypervisor.resize(small, large)
    assert hypervisor.power(small.id) == PowerState.RUNNING
    for _ in range(2):
        hypervisor.confirm_resize(small.id)
    assert hypervisor.diagnostics(small.id).memory == 48
    hypervisor.stop(small.id, 0)
    hypervisor.confirm_resize(small.id)
    hypervisor.revert_resize(small, large)
    assert hypervisor.root_size(small.id) == 2 * GIB


def test_a_resize_that_is_taken_back(hypervisor, small, large, tmp_path):
    write(hypervisor, tmp_path, small, "write -P 1 512k 64k")
    hypervisor.resize(small, large)
    write(hypervisor, tmp_path, small, "write -P 2 512k 64k", "write -P 3 1500M 64k")
    for _ in range(2):
        hypervisor.revert_resize(small, large)
        assert hypervisor.root_size(small.id) == GIB
    write(hypervisor, tmp_path, small, "read -P 1 512k 64k")
    hypervisor.start(small)
    until(lambda: hypervisor.console(small.id, None))
    assert hypervisor.diagnostics(small.id).memory == 32
    hypervisor.confirm_resize(small.id)
    hypervisor.stop(small.id, 0)
    hypervisor.resize(small, large)
    assert hypervisor.root_size(small.id) == 2 * GIB


def test_disks_do_not_shrink(hypervisor, small, large):
    hypervisor.resize(small, large)
    hypervisor.confirm_resize(small.id)
    for smaller in ({"disk": 1}, {"disks": [disk for disk in large.disks if disk.name == "swap"]}):
        with pytest.raises(Conflict, match="Unable to resize disk down"):
            hypervisor.resize(large, msgspec.structs.replace(large, **smaller))
    assert hypervisor.root_size(small.id) == 2 * GIB


def write(hypervisor, folder, spec, *commands: str) -> None:
    """Write to the root disk of a server that is off, or read what must be there; the fake's disks hold nothing."""
    if not isinstance(hypervisor, FakeHypervisor):
        disk = folder / "qemu" / "servers" / spec.id / "root.qcow2"
        done = run.run(["qemu-io", "-f", "qcow2", *(word for each in commands for word in ("-c", each)), disk])
        assert b"verification failed" not in done.stdout
