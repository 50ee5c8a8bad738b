# SPDX-License-Identifier: Apache-2.0
"""libvirt's own side of servers: all kinds of hardware in a real domain, and a daemon that comes and goes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import msgspec
import pytest
from compute_lab import LabSupplies
from test_guest_devices import OLD, RICH

from cumulet.kernel.errors import Conflict, NotReady
from cumulet.kernel.ids import new_uuid
from cumulet.kernel.loop import Loop
from cumulet.services.compute import doctor
from cumulet.services.compute.drivers.libvirt import running
from cumulet.services.compute.drivers.libvirt.driver import LibvirtHypervisor
from cumulet.services.compute.drivers.qemu.driver import QemuHypervisor
from cumulet.services.compute.types import Guest, PowerState, ServerSpec, VolumeSpec
from cumulet.settings import Settings
from cumulet.settings.compute import Compute
from support.libvirtd import Daemon
from support.waiting import until

PLAIN = Guest()


class Lab:
    """One hypervisor on a daemon that is ended and begun again."""

    def __init__(self, libvirtd: Daemon, folder, supplies: LabSupplies) -> None:
        self.daemon = libvirtd
        self.supplies = supplies
        self.stopped: list[tuple[str, str]] = []
        self.folder = folder
        self.hypervisor = self.another()

    def another(self) -> LibvirtHypervisor:
        """What an agent that was started again would have."""
        tell = self.tell
        return LibvirtHypervisor(self.folder, self.supplies, tell, uri=self.daemon.uri, accelerator="tcg")

    def tell(self, server_id: str, reason: str) -> None:
        self.stopped.append((server_id, reason))

    def spec(self, guest: Guest = PLAIN, **words) -> ServerSpec:
        image_id = new_uuid()
        self.supplies.add_image(image_id)
        return ServerSpec(id=new_uuid(), vcpus=2, ram=64, image_id=image_id, image_format="raw", guest=guest, **words)

    def start(self, spec: ServerSpec) -> ServerSpec:
        self.hypervisor.build(spec)
        self.hypervisor.start(spec)
        return spec

    def devices(self, spec: ServerSpec) -> dict[str, str]:
        """What QEMU itself says that there is."""
        with self.hypervisor._domain(spec.id) as found:
            return {
                each["name"]: each["type"][6:-1]
                for folder in ("peripheral", "peripheral-anon")
                for each in found.ask_monitor("qom-list", path=f"/machine/{folder}")
                if each["type"].startswith("child<")
            }


@pytest.fixture
def lab(libvirtd, short_path, supplies) -> Iterator[Lab]:
    made = Lab(libvirtd, short_path, supplies)
    yield made
    for server_id in made.hypervisor.list():
        made.hypervisor.destroy(server_id)
    made.hypervisor.close()


def test_a_daemon_that_was_away_finds_servers_running(lab):
    one, other = lab.start(lab.spec()), lab.start(lab.spec())
    pid = lab.daemon.pid_of(other.id)
    lab.daemon.stop()
    try:
        with pytest.raises(NotReady):
            lab.hypervisor.power(one.id)
        os.kill(pid, signal.SIGKILL)
    finally:
        lab.daemon.start()
    assert until(lambda: lab.hypervisor.list() == {one.id: PowerState.RUNNING, other.id: PowerState.SHUTDOWN})
    assert until(lambda: lab.stopped) == [(other.id, "killed")]
    # So does an agent that was started again.
    lab.hypervisor.close()
    lab.hypervisor = lab.another()
    assert lab.hypervisor.adopt(one.id)
    assert lab.hypervisor.console(one.id, None)
    lab.hypervisor.stop(one.id, 20)
    assert len(lab.stopped) == 1


def test_all_that_was_asked_for_is_there(lab):
    volume = VolumeSpec(volume_id=new_uuid(), device="/dev/sdb", bus="scsi")
    lab.supplies.add_volume(volume.volume_id)
    drive = {"openstack/latest/meta_data.json": b"{}"}
    rich = msgspec.structs.replace(RICH, machine="q35")
    spec = lab.start(lab.spec(rich, volumes=[volume], config_drive=drive))
    lab.hypervisor.pause(spec.id)
    found = set(lab.devices(spec).values())
    assert {"ide-hd", "scsi-cd", "scsi-hd", "virtio-scsi-pci", "i6300esb", "VGA", "tpm-crb", "usb-tablet"} <= found
    assert {"usb-kbd", "hda-duplex", "intel-iommu", "virtserialport", "virtio-rng-pci"} <= found
    hot = VolumeSpec(volume_id=new_uuid(), bus="usb")
    lab.supplies.add_volume(hot.volume_id)
    lab.hypervisor.attach_disk(spec.id, hot)
    assert "usb-storage" in lab.devices(spec).values()
    with pytest.raises(Conflict, match="does not support hotplugging"):
        lab.hypervisor.attach_disk(spec.id, msgspec.structs.replace(hot, volume_id=new_uuid(), bus="sata"))
    for ask, *words in (
        (lab.hypervisor.quiesce,),
        (lab.hypervisor.unquiesce,),
        (lab.hypervisor.set_password, "root", "secret"),
    ):
        with pytest.raises(Conflict) as refused:
            ask(spec.id, *words)
        assert refused.value.code == "QemuGuestAgentNotEnabled"
    assert (lab.folder / "servers" / spec.id / "tpm").is_dir()


def test_old_hardware(lab):
    spec = lab.start(lab.spec(OLD))
    found = set(lab.devices(spec).values())
    assert {"ide-hd", "tpm-tis", "AC97", "cirrus-vga", "nec-usb-xhci", "i6300esb"} <= found
    until(lambda: b"ready" in lab.hypervisor.console(spec.id, None))
    with pytest.raises(Conflict) as refused:
        lab.start(lab.spec(Guest(machine="pc-q35-0.1")))
    assert refused.value.code == "HypervisorFailed"


def test_domains_of_others_are_left_alone(lab):
    spec = lab.start(lab.spec())
    stranger = LibvirtHypervisor(lab.folder / "x", lab.supplies, lab.tell, uri=lab.daemon.uri, accelerator="tcg")
    assert stranger.list() == {}
    stranger.destroy(spec.id)
    stranger.close()
    assert lab.hypervisor.power(spec.id) == PowerState.RUNNING
    with running.find(lab.hypervisor._connection, new_uuid()) as found:
        assert found is None


def test_a_host_that_changes_its_driver_keeps_its_servers(lab):
    loop = Loop()
    qemu = QemuHypervisor(lab.folder, loop, lab.supplies, lab.tell, accelerator="tcg")
    spec = lab.spec(Guest(tpm="2.0"))
    qemu.build(spec)
    for hypervisor in (qemu, lab.hypervisor, qemu):
        said = len(hypervisor.console(spec.id, None))
        hypervisor.start(spec)
        until(lambda one=hypervisor, said=said: len(one.console(spec.id, None)) > said)
        hypervisor.stop(spec.id, 0)
    qemu.close()
    loop.close()


def test_the_doctor_starts_a_domain(libvirtd, tmp_path):
    def probe(uri: str):
        settings = Settings(state=tmp_path, compute=Compute(driver="libvirt", libvirt_uri=uri))
        return next(each for each in doctor.probes(settings) if each.name == "compute: libvirt").check()

    assert probe(libvirtd.uri).status == "ok"
    assert probe("qemu+unix:///system?socket=/nowhere").status == "missing"
