# SPDX-License-Identifier: Apache-2.0
"""What every hypervisor driver must do, run against each of them."""

from __future__ import annotations

import os
import signal

import pytest
from compute_lab import DEAF_SECTOR, IMAGE_SIZE, process_of

from cumulet.kernel import run
from cumulet.kernel.errors import Conflict, NotFound, NotReady
from cumulet.kernel.ids import new_uuid
from cumulet.kernel.moment import Moment
from cumulet.services.compute.drivers.fake import FakeHypervisor
from cumulet.services.compute.drivers.qemu.overlay import virtual_size
from cumulet.services.compute.types import LocalDisk, PortSpec, PowerState, ServerSpec, VolumeSpec
from support.syncs import openers
from support.waiting import until


@pytest.fixture
def spec(supplies) -> ServerSpec:
    image_id = new_uuid()
    supplies.add_image(image_id)
    return ServerSpec(id=new_uuid(), vcpus=1, ram=32, image_id=image_id, image_format="raw")


@pytest.fixture
def running(hypervisor, spec) -> ServerSpec:
    hypervisor.build(spec)
    hypervisor.start(spec)
    until(lambda: hypervisor.console(spec.id, None))
    return spec


def test_build_and_start(hypervisor, spec):
    hypervisor.build(spec)
    assert hypervisor.power(spec.id) == PowerState.SHUTDOWN
    hypervisor.start(spec)
    assert hypervisor.power(spec.id) == PowerState.RUNNING
    assert hypervisor.list() == {spec.id: PowerState.RUNNING}
    assert hypervisor.root_size(spec.id) == IMAGE_SIZE


def test_twice_is_once(hypervisor, running):
    hypervisor.build(running)
    hypervisor.start(running)
    assert hypervisor.list() == {running.id: PowerState.RUNNING}
    for _ in range(2):
        hypervisor.stop(running.id, 0)
        assert hypervisor.power(running.id) == PowerState.SHUTDOWN
    for _ in range(2):
        hypervisor.destroy(running.id)
        assert hypervisor.list() == {}


def test_the_console_is_kept(hypervisor, running):
    text = hypervisor.console(running.id, None)
    assert text
    assert hypervisor.console(running.id, 1) == text.splitlines(keepends=True)[-1]
    assert hypervisor.console(running.id, 0) == b""


def test_small_logs_are_left_alone_when_logs_are_rotated(hypervisor, running):
    text = hypervisor.console(running.id, None)
    hypervisor.rotate()
    assert hypervisor.console(running.id, None).startswith(text)


def test_graceful_stop_ends_in_time(hypervisor, running, stopped):
    hypervisor.stop(running.id, 20)
    assert hypervisor.power(running.id) == PowerState.SHUTDOWN
    assert stopped == []


def test_a_deaf_guest_is_stopped_by_force(hypervisor, supplies):
    image_id = new_uuid()
    supplies.add_image(image_id, DEAF_SECTOR)
    spec = ServerSpec(id=new_uuid(), vcpus=1, ram=32, image_id=image_id, image_format="raw")
    hypervisor.build(spec)
    hypervisor.start(spec)
    hypervisor.stop(spec.id, 0.2)
    assert hypervisor.power(spec.id) == PowerState.SHUTDOWN


@pytest.mark.parametrize("soft", [True, False])
def test_reboot(hypervisor, running, stopped, soft):
    before = hypervisor.console(running.id, None)
    hypervisor.reboot(running, soft=soft, timeout=10)
    assert hypervisor.power(running.id) == PowerState.RUNNING
    until(lambda: len(hypervisor.console(running.id, None)) > len(before))
    assert stopped == []


def test_pause(hypervisor, running):
    hypervisor.pause(running.id)
    assert hypervisor.power(running.id) == PowerState.PAUSED
    hypervisor.unpause(running.id)
    assert hypervisor.power(running.id) == PowerState.RUNNING
    hypervisor.pause(running.id)
    hypervisor.stop(running.id, 10)
    with pytest.raises(Conflict):
        hypervisor.pause(running.id)


def test_hot_plugged_disk(hypervisor, running, supplies):
    volume = VolumeSpec(volume_id=new_uuid(), device="/dev/vdb")
    path = supplies.add_volume(volume.volume_id)
    disks = len(hypervisor.diagnostics(running.id).disks)
    for _ in range(2):
        hypervisor.attach_disk(running.id, volume)
        assert len(hypervisor.diagnostics(running.id).disks) == disks + 1
    assert openers(path) == (set() if isinstance(hypervisor, FakeHypervisor) else {process_of(running.id)})
    hypervisor.resize_disk(running.id, volume.volume_id, 2 << 20)
    for work in (hypervisor.snapshot_disk, hypervisor.drop_disk_snapshot):
        for _ in range(2):
            work(running.id, volume.volume_id, "one")
    for _ in range(2):
        hypervisor.detach_disk(running.id, volume.volume_id)
        assert len(hypervisor.diagnostics(running.id).disks) == disks
    assert openers(path) == set()
    with pytest.raises(Conflict):
        hypervisor.resize_disk(running.id, volume.volume_id, 4 << 20)


def test_another_volume_takes_the_place_of_one(hypervisor, running, supplies):
    old, new, small = (VolumeSpec(volume_id=new_uuid(), device="/dev/vdb") for _ in range(3))
    path = supplies.add_volume(old.volume_id)
    run.run(["qemu-io", "-f", "qcow2", "-c", "write -P 7 64k 64k", path])
    supplies.add_volume(new.volume_id, 2 << 20)
    hypervisor.attach_disk(running.id, old)
    disks = len(hypervisor.diagnostics(running.id).disks)
    if not isinstance(hypervisor, FakeHypervisor):
        supplies.add_volume(small.volume_id, 512 << 10)
        with pytest.raises(Conflict):
            hypervisor.swap_disk(running.id, old.volume_id, small)
        (supplies.folder / f"{small.volume_id}.qcow2").unlink()
    assert not hypervisor.swap_disk(running.id, old.volume_id, new, settle=True)
    for _ in range(2):
        assert hypervisor.swap_disk(running.id, old.volume_id, new)
        assert hypervisor.swap_disk(running.id, old.volume_id, new, settle=True)
        assert len(hypervisor.diagnostics(running.id).disks) == disks
    for work in (hypervisor.snapshot_disk, hypervisor.drop_disk_snapshot):
        for _ in range(2):
            work(running.id, new.volume_id, "one")
    with pytest.raises(Conflict):
        hypervisor.resize_disk(running.id, old.volume_id, 4 << 20)
    hypervisor.attach_disk(running.id, old)
    assert len(hypervisor.diagnostics(running.id).disks) == disks + 1
    hypervisor.detach_disk(running.id, new.volume_id)
    supplies.add_volume(small.volume_id)
    hypervisor.swap_disk(running.id, old.volume_id, small)
    hypervisor.detach_disk(running.id, small.volume_id)
    assert len(hypervisor.diagnostics(running.id).disks) == disks - 1
    with pytest.raises(Conflict):
        hypervisor.swap_disk(running.id, old.volume_id, new)
    hypervisor.stop(running.id, 0)
    with pytest.raises(Conflict):
        hypervisor.swap_disk(running.id, old.volume_id, new)
    if not isinstance(hypervisor, FakeHypervisor):
        copied = supplies.folder / f"{new.volume_id}.qcow2"
        run.run(["qemu-io", "-f", "qcow2", "-c", "read -P 7 64k 64k", copied])
        assert virtual_size(copied, "qcow2") == 2 << 20


def test_a_volume_goes_to_another_disk(hypervisor, running, supplies):
    import msgspec

    volume = VolumeSpec(volume_id=new_uuid(), device="/dev/vdb", generation=1)
    there = msgspec.structs.replace(volume, generation=2, backend="there")
    supplies.add_volume(volume.volume_id)
    copied = supplies.add_volume(f"{volume.volume_id}-there")
    with pytest.raises(Conflict):
        hypervisor.move_disk(running.id, there, lambda: None)
    hypervisor.attach_disk(running.id, volume)
    assert not hypervisor.has_moved(running.id, there)
    told: list[PowerState] = []
    if hypervisor.capabilities().hypervisor == "libvirt":
        with pytest.raises(Conflict):
            hypervisor.move_disk(running.id, there, lambda: told.append(PowerState.RUNNING))
        assert told == []
        return
    for _ in range(2):
        hypervisor.move_disk(running.id, there, lambda: told.append(PowerState.RUNNING))
        assert hypervisor.has_moved(running.id, there)
        hypervisor.attach_disk(running.id, there)
    assert len(told) == 2
    assert hypervisor.power(running.id) == PowerState.RUNNING
    if not isinstance(hypervisor, FakeHypervisor):
        assert len(openers(copied)) == 1
        assert not openers(supplies.folder / f"{volume.volume_id}.qcow2")
    hypervisor.limit_disk(running.id, msgspec.structs.replace(there, limits={"total_iops_sec": 10}))
    hypervisor.resize_disk(running.id, volume.volume_id, 2 << 20)
    hypervisor.snapshot_disk(running.id, volume.volume_id, "one")
    hypervisor.drop_disk_snapshot(running.id, volume.volume_id, "one")
    target = supplies.add_volume(new_uuid(), 2 << 20)
    hypervisor.copy_disk(running.id, volume.volume_id, target, "qcow2")
    disks = len(hypervisor.diagnostics(running.id).disks)
    for _ in range(2):
        hypervisor.detach_disk(running.id, volume.volume_id)
    assert len(hypervisor.diagnostics(running.id).disks) == disks - 1
    assert not openers(copied)
    hypervisor.stop(running.id, 0)
    with pytest.raises(Conflict):
        hypervisor.move_disk(running.id, there, lambda: None)


def test_volumes_come_back_with_the_server(hypervisor, spec, supplies):
    import msgspec

    volume = VolumeSpec(volume_id=new_uuid(), device="/dev/vdb")
    supplies.add_volume(volume.volume_id)
    spec = msgspec.structs.replace(spec, volumes=[volume])
    hypervisor.build(spec)
    hypervisor.start(spec)
    assert len(hypervisor.diagnostics(spec.id).disks) == 2
    hypervisor.reboot(spec, soft=False, timeout=0)
    assert len(hypervisor.diagnostics(spec.id).disks) == 2


@pytest.mark.root
@pytest.mark.parametrize("queues", [1, 2])
def test_hot_plugged_port(hypervisor, running, queues):
    port = PortSpec(id=new_uuid(), mac="fa:16:3e:00:00:01", mtu=1450, queues=queues)
    for _ in range(2):
        hypervisor.attach_port(running.id, port)
        assert hypervisor.diagnostics(running.id).macs == [port.mac]
    for _ in range(2):
        hypervisor.detach_port(running.id, port.id)
        assert hypervisor.diagnostics(running.id).macs == []


@pytest.mark.root
def test_ports_and_many_disks_at_start(hypervisor, spec, supplies):
    import msgspec

    volumes = [VolumeSpec(volume_id=new_uuid(), device=f"/dev/vd{chr(98 + index)}") for index in range(10)]
    for volume in volumes:
        supplies.add_volume(volume.volume_id)
    ports = [PortSpec(id=new_uuid(), mac=f"fa:16:3e:00:00:0{index}", queues=1 + index) for index in range(4)]
    drive = {"openstack/latest/meta_data.json": b"{}", "openstack/content/0000": b"x", "ec2/latest/user-data": b"#!"}
    disks = [LocalDisk(name="swap", size=4)]
    spec = msgspec.structs.replace(spec, volumes=volumes, ports=ports, config_drive=drive, disks=disks)
    hypervisor.build(spec)
    hypervisor.start(spec)
    assert hypervisor.power(spec.id) == PowerState.RUNNING
    assert sorted(hypervisor.diagnostics(spec.id).macs) == [port.mac for port in ports]


def test_an_end_that_nobody_asked_for_is_told(hypervisor, running, stopped):
    if isinstance(hypervisor, FakeHypervisor):
        hypervisor.die(running.id)
    else:
        os.kill(process_of(running.id), signal.SIGKILL)
    until(lambda: stopped)
    assert stopped == [(running.id, "killed")]
    assert hypervisor.power(running.id) == PowerState.SHUTDOWN
    hypervisor.start(running)
    assert hypervisor.power(running.id) == PowerState.RUNNING


def test_copy_of_a_disk(hypervisor, running, supplies, tmp_path):
    volume = VolumeSpec(volume_id=new_uuid(), device="/dev/vdb")
    supplies.add_volume(volume.volume_id)
    hypervisor.attach_disk(running.id, volume)
    hypervisor.copy_disk(running.id, volume.volume_id, supplies.add_volume(new_uuid()), "qcow2")
    hypervisor.copy_root(running.id, tmp_path / "live.qcow2")
    hypervisor.stop(running.id, 0)
    hypervisor.copy_root(running.id, tmp_path / "stopped.qcow2")
    for name in ("live", "stopped"):
        assert virtual_size(tmp_path / f"{name}.qcow2", "qcow2") == IMAGE_SIZE
        run.run(["qemu-img", "check", "-q", tmp_path / f"{name}.qcow2"])


def test_copies_of_several_disks_as_of_one_moment(hypervisor, running, supplies):
    """It runs on, also where the moment is shared with others, for which it stands still."""
    disks = [VolumeSpec(volume_id=new_uuid(), device=f"/dev/vd{letter}") for letter in "bc"]
    for disk in disks:
        supplies.add_volume(disk.volume_id)
        hypervisor.attach_disk(running.id, disk)
    for moment in (None, Moment(1)):
        targets = {disk.volume_id: supplies.add_volume(new_uuid()) for disk in disks}
        hypervisor.copy_disks(running.id, targets, "qcow2", moment)
        assert hypervisor.power(running.id) == PowerState.RUNNING
    missed = Moment(2)
    missed.fail()
    with pytest.raises(NotReady):
        hypervisor.copy_disks(running.id, targets, "qcow2", missed)
    assert hypervisor.power(running.id) == PowerState.RUNNING
    hypervisor.pause(running.id)
    hypervisor.copy_disks(running.id, targets, "qcow2", Moment(1))
    assert hypervisor.power(running.id) == PowerState.PAUSED


def test_unknown_servers_are_refused(hypervisor):
    nobody = new_uuid()
    assert hypervisor.power(nobody) == PowerState.NOSTATE
    assert not hypervisor.adopt(nobody)
    with pytest.raises(NotFound):
        hypervisor.pause(nobody)
    with pytest.raises(NotFound):
        hypervisor.console(nobody, None)
    hypervisor.stop(nobody, 0)
    hypervisor.destroy(nobody)


def test_a_disk_too_small_for_the_image_is_refused(hypervisor, spec, supplies):
    import msgspec

    supplies.base(spec.image_id).open("r+b").truncate((1 << 30) + 512)
    with pytest.raises(Conflict):
        hypervisor.build(msgspec.structs.replace(spec, disk=1))


def test_capabilities_and_usage(hypervisor):
    found = hypervisor.capabilities()
    assert found.vcpus > 0
    assert found.memory > 0
    assert hypervisor.usage().uptime > 0
