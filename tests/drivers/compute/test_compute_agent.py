# SPDX-License-Identifier: Apache-2.0
"""The agent's part of compute: verbs, journal, restoring, sweeping; with each driver."""

from __future__ import annotations

import os
import signal

import compute_lab
import msgspec
import pytest
from compute_lab import LabSupplies, make_host, process_of

from cumulet.kernel.errors import Conflict, NotFound
from cumulet.kernel.ids import new_uuid
from cumulet.services.compute import agent
from cumulet.services.compute.contract import HostDisks
from cumulet.services.compute.types import PowerState, RescueSpec, ServerSpec, VolumeSpec
from support.waiting import until

RUNNING, SHUTDOWN = {"power": int(PowerState.RUNNING)}, {"power": int(PowerState.SHUTDOWN)}


class Lab:
    """Agents of one host, one after the other."""

    def __init__(self, driver, folder, supplies, uri=""):
        self.driver, self.folder, self.supplies, self.uri = driver, folder / "state", supplies, uri
        self.folder.mkdir()
        self.image_id = new_uuid()
        supplies.add_image(self.image_id)
        self.service = None
        self.restart()

    def restart(self):
        self.leave()
        self.made = self.host()
        self.service = agent.create(self.made.host)
        self.service.start()

    def host(self):
        return make_host(self.folder, self.supplies, self.driver, uri=self.uri)

    def leave(self):
        if self.service is not None:
            self.service.stop()
            self.made.host.loop.close()
            self.service = None

    def call(self, verb, **body):
        return self.service.verbs[f"server.{verb}"](body)

    def build(self, **more):
        spec = ServerSpec(id=new_uuid(), vcpus=1, ram=32, image_id=self.image_id, image_format="raw", **more)
        answer = self.call("build", spec=msgspec.to_builtins(spec, builtin_types=(bytes,)))
        assert answer == RUNNING
        return spec.id

    def kill(self, server_id):
        hypervisor = self.service._hypervisor
        if self.driver == "fake":
            hypervisor.die(server_id)
        else:
            os.kill(process_of(server_id), signal.SIGKILL)

    def set_boot_id(self, boot_id):
        for record in self.service._records.all().values():
            self.service._records.put(msgspec.structs.replace(record, boot_id=boot_id))


@pytest.fixture(params=["fake", "qemu", "libvirt"])
def lab(request, tmp_path, supplies):
    if request.param == "libvirt":
        folder, uri = request.getfixturevalue("short_path"), request.getfixturevalue("libvirtd").uri
        made = Lab(request.param, folder, supplies, uri)
    else:
        made = Lab(request.param, tmp_path, supplies)
    yield made
    if made.service is None:
        made.restart()
    for server_id in made.service._hypervisor.list():
        made.service._hypervisor.destroy(server_id)
    made.leave()


def test_servers_outlive_the_agent(lab):
    server_id = lab.build()
    lab.restart()
    assert lab.call("power", id=server_id) == RUNNING
    assert lab.service.report()["servers"] == {server_id: int(PowerState.RUNNING)}
    lab.kill(server_id)
    until(lambda: lab.made.events)
    assert lab.made.events == [("server.stopped", {"id": server_id, "reason": "killed"})]


def test_a_restarted_machine_starts_its_servers_again(lab):
    server_id, other = lab.build(), lab.build()
    lab.call("stop", id=other)
    lab.set_boot_id("an-earlier-boot")
    lab.service._hypervisor.stop(server_id, 0)
    lab.restart()
    assert lab.call("power", id=server_id) == RUNNING
    assert lab.call("power", id=other) == SHUTDOWN


def test_a_restarted_machine_leaves_its_servers_off_where_that_is_wanted(lab, monkeypatch):
    server_id = lab.build()
    lab.set_boot_id("an-earlier-boot")
    lab.service._hypervisor.stop(server_id, 0)
    monkeypatch.setattr(compute_lab, "RESUMES", False)
    lab.restart()
    assert lab.call("power", id=server_id) == SHUTDOWN


def test_a_suspended_server_rests_through_the_restart_of_its_host(lab):
    server_id = lab.build()
    lab.call("suspend", id=server_id)
    lab.service.shutdown()
    lab.set_boot_id("an-earlier-boot")
    lab.restart()
    assert lab.call("power", id=server_id) == SHUTDOWN
    assert lab.call("resume", id=server_id) == RUNNING


def test_a_rescue_outlives_the_restart_of_its_host(lab):
    server_id, image = lab.build(), new_uuid()
    lab.supplies.add_image(image)
    wanted = msgspec.to_builtins(RescueSpec(image_id=image, image_format="raw"))
    for _ in range(2):
        assert lab.call("rescue", id=server_id, rescue=wanted) == RUNNING
    lab.set_boot_id("an-earlier-boot")
    lab.service._hypervisor.stop(server_id, 0)
    lab.restart()
    assert lab.service._records.get(server_id).spec.rescue is not None
    assert lab.call("power", id=server_id) == RUNNING
    assert lab.call("unrescue", id=server_id) == RUNNING


def test_a_rebuild_is_done_once(lab):
    server_id = lab.build(disk=1)
    spec = msgspec.to_builtins(lab.service._records.get(server_id).spec, builtin_types=(bytes,))
    words = {"id": server_id, "spec": spec, "operation": "7", "keep_ephemeral": False, "root": None}
    assert lab.call("rebuild", start=False, **words) == SHUTDOWN
    said = lab.service._hypervisor.console(server_id, None)
    assert lab.call("rebuild", **words) == RUNNING
    assert lab.service._records.get(server_id).rebuilt == "7"
    until(lambda: len(lab.service._hypervisor.console(server_id, None)) > len(said))


def test_a_server_that_died_while_the_agent_was_away_stays_down(lab):
    server_id = lab.build()
    lab.service._hypervisor.stop(server_id, 0)
    lab.restart()
    assert lab.call("power", id=server_id) == SHUTDOWN
    assert lab.call("start", id=server_id) == RUNNING


def test_shutdown_of_the_host_and_the_next_start(lab):
    server_id, other = lab.build(), lab.build()
    lab.call("stop", id=other)
    lab.leave()
    made = lab.host()
    leaving = agent.create(made.host)
    leaving.shutdown()
    assert leaving._hypervisor.list() == {server_id: PowerState.SHUTDOWN, other: PowerState.SHUTDOWN}
    made.host.loop.close()
    lab.restart()
    assert lab.call("power", id=server_id) == RUNNING
    assert lab.call("power", id=other) == SHUTDOWN


def test_what_nobody_knows_is_swept_away(lab):
    server_id, stray = lab.build(), lab.build()
    lab.service._records.delete(stray)
    lab.restart()
    assert list(lab.service._hypervisor.list()) == [server_id]


def test_destroy_leaves_nothing(lab):
    server_id = lab.build()
    for _ in range(2):
        assert lab.call("destroy", id=server_id) == {}
    assert lab.service.report()["servers"] == {}
    with pytest.raises(NotFound):
        lab.call("start", id=server_id)
    assert lab.call("detach_volume", id=server_id, volume_id=new_uuid()) == {}


def test_attached_volumes_are_remembered(lab):
    server_id, volume_id = lab.build(), new_uuid()
    lab.supplies.add_volume(volume_id)
    lab.call("attach_volume", id=server_id, volume={"volume_id": volume_id, "device": "/dev/vdb", "generation": 7})
    disks = lab.made.host.contracts.use(HostDisks)
    assert disks.is_open(volume_id)
    assert disks.resize(volume_id, 4 << 20)
    assert disks.snapshot(volume_id, "snapshot-1")
    assert disks.drop_snapshot(volume_id, "snapshot-1", generation=7)
    with pytest.raises(Conflict, match="attached anew"):
        disks.resize(volume_id, 8 << 20, generation=6)
    lab.call("reboot", id=server_id, soft=False)
    assert len(lab.call("diagnostics", id=server_id)["disks"]) == 2
    lab.call("stop", id=server_id)
    assert not disks.resize(volume_id, 8 << 20)
    before = lab.call("console", id=server_id)["output"]
    lab.call("start", id=server_id)
    until(lambda: len(lab.call("console", id=server_id)["output"]) > len(before))
    lab.call("detach_volume", id=server_id, volume_id=volume_id)
    assert not disks.is_open(volume_id)


def test_pause_and_soft_reboot(lab):
    server_id = lab.build()
    lab.call("pause", id=server_id)
    assert lab.call("power", id=server_id) == {"power": int(PowerState.PAUSED)}
    lab.call("unpause", id=server_id)
    assert lab.call("reboot", id=server_id, soft=True, timeout=0.5) == RUNNING
    assert lab.made.events == []


@pytest.fixture
def supplies(tmp_path):
    folder = tmp_path / "supplies"
    folder.mkdir()
    return LabSupplies(folder)


def test_a_resized_server_is_what_it_was_when_that_is_wanted(lab):
    """The agent may be another one at each step, and each step comes twice."""
    server_id = lab.build(disk=1)
    spec = lab.service._records.get(server_id).spec
    volume = VolumeSpec(volume_id=new_uuid(), device="/dev/vdb")
    lab.supplies.add_volume(volume.volume_id)
    larger = msgspec.to_builtins(msgspec.structs.replace(spec, ram=48, disk=2), builtin_types=(bytes,))
    lab.call("stop", id=server_id, timeout=0)
    for _ in range(2):
        assert lab.call("resize", id=server_id, spec=larger, start=True) == RUNNING
        lab.restart()
    assert lab.service._hypervisor.root_size(server_id) == 2 << 30
    assert lab.call("diagnostics", id=server_id)["memory"] == 48
    lab.call("attach_volume", id=server_id, volume=msgspec.to_builtins(volume))
    for _ in range(2):
        assert lab.call("revert_resize", id=server_id, start=True) == RUNNING
        lab.restart()
    assert lab.service._hypervisor.root_size(server_id) == 1 << 30
    assert lab.call("diagnostics", id=server_id)["memory"] == 32
    assert lab.service._records.get(server_id).spec.volumes == [volume]


def test_a_confirmed_resize_stays(lab):
    server_id = lab.build(disk=1)
    spec = lab.service._records.get(server_id).spec
    larger = msgspec.to_builtins(msgspec.structs.replace(spec, disk=2), builtin_types=(bytes,))
    lab.call("stop", id=server_id, timeout=0)
    assert lab.call("resize", id=server_id, spec=larger, start=False) == SHUTDOWN
    for _ in range(2):
        lab.call("confirm_resize", id=server_id)
        lab.restart()
    assert lab.call("revert_resize", id=server_id, start=False) == SHUTDOWN
    assert lab.service._hypervisor.root_size(server_id) == 2 << 30
