# SPDX-License-Identifier: Apache-2.0
"""Guests with all kinds of hardware, on a real QEMU that is asked what is really there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from compute_lab import LabSupplies

from cumulet.kernel.detached import Process
from cumulet.kernel.errors import Conflict
from cumulet.kernel.ids import new_uuid
from cumulet.kernel.loop import Loop
from cumulet.kernel.qmp import Monitor
from cumulet.services.compute.drivers.qemu.driver import QemuHypervisor
from cumulet.services.compute.types import Guest, PortSpec, ServerSpec, VolumeSpec
from support.waiting import until

RICH = Guest(
    machine="q35",
    firmware="uefi",
    secure_boot="required",
    tpm="2.0",
    tpm_model="tpm-crb",
    disk_bus="sata",
    cdrom_bus="scsi",
    agent=True,
    watchdog="pause",
    rng_bytes=1024,
    rng_period=500,
    video="vga",
    video_ram=20,
    tablet="usb",
    keyboard="usb",
    sound="ich9",
    iommu="intel",
    serial_ports=2,
    boot_menu=True,
    sockets=1,
    cores=2,
    threads=1,
)
OLD = Guest(
    disk_bus="ide",
    scsi_model="lsilogic",
    nic="rtl8139",
    tpm="1.2",
    video="cirrus",
    tablet="virtio",
    keyboard="virtio",
    sound="ac97",
    watchdog="reset",
    hpet=False,
    pmu=False,
    usb="nec-xhci",
)


class Lab:
    """One hypervisor, and questions to its QEMUs."""

    def __init__(self, folder: Path) -> None:
        (folder / "supplies").mkdir()
        self.supplies = LabSupplies(folder / "supplies")
        self.loop = Loop()
        self.folder = folder / "qemu"
        self.hypervisor = QemuHypervisor(self.folder, self.loop, self.supplies, lambda *_: None, accelerator="tcg")

    def spec(self, guest: Guest, **words: Any) -> ServerSpec:
        image_id = new_uuid()
        self.supplies.add_image(image_id)
        return ServerSpec(id=new_uuid(), vcpus=2, ram=128, image_id=image_id, image_format="raw", guest=guest, **words)

    def start(self, spec: ServerSpec) -> ServerSpec:
        self.hypervisor.build(spec)
        self.hypervisor.start(spec)
        return spec

    def file(self, spec: ServerSpec, name: str) -> Path:
        return self.folder / "servers" / spec.id / name

    def ask(self, spec: ServerSpec, command: str, **arguments: Any) -> Any:
        async def converse() -> Any:
            async with await Monitor.connect(self.file(spec, "control.sock")) as monitor:
                return await monitor.execute(command, **arguments)

        return self.loop.wait(converse())

    def devices(self, spec: ServerSpec) -> dict[str, str]:
        """The type of each device that has a name, and of each that has none under its own."""
        found: dict[str, str] = {}
        for folder in ("peripheral", "peripheral-anon"):
            for each in self.ask(spec, "qom-list", path=f"/machine/{folder}"):
                if each["type"].startswith("child<"):
                    found[each["name"]] = each["type"][6:-1]
        return found

    def property(self, spec: ServerSpec, path: str, name: str) -> Any:
        return self.ask(spec, "qom-get", path=path, property=name)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("devices"))
    yield made
    for server_id in made.hypervisor.list():
        made.hypervisor.destroy(server_id)
    made.hypervisor.close()
    made.loop.close()


@pytest.fixture(scope="module")
def rich(lab: Lab) -> ServerSpec:
    """A server with nearly everything, held at its first instruction so that it costs nothing."""
    spec = lab.start(lab.spec(RICH, config_drive={"openstack/latest/meta_data.json": b"{}"}))
    lab.hypervisor.pause(spec.id)
    return spec


def test_all_that_was_asked_for_is_there(lab: Lab, rich: ServerSpec) -> None:
    assert lab.property(rich, "/machine", "type").startswith("pc-q35-")
    assert lab.property(rich, "/machine", "smm") == "on"
    found = lab.devices(rich)
    assert found["root"] == "ide-hd"
    assert found["config"] == "scsi-cd"
    assert found["scsi0"] == "virtio-scsi-pci"
    assert found["watchdog0"] == "i6300esb"
    assert found["video0"] == "VGA"
    assert {"tpm-crb", "usb-tablet", "usb-kbd", "hda-duplex", "intel-iommu", "virtserialport"} <= set(found.values())
    assert lab.property(rich, "/machine/peripheral/video0", "vgamem_mb") == 32
    assert lab.property(rich, "/machine/peripheral/root", "bootindex") == 1
    assert [each["id"] for each in lab.ask(rich, "query-tpm")] == ["tpm0"]
    assert {each["label"] for each in lab.ask(rich, "query-chardev")} >= {"serial0", "serial1", "agent", "tpm"}
    shape = lab.ask(rich, "query-hotpluggable-cpus")[0]["props"]
    assert (shape["socket-id"], len(lab.ask(rich, "query-cpus-fast"))) == (0, 2)
    nodes = {each["node-name"]: each for each in lab.ask(rich, "query-named-block-nodes")}
    assert nodes["firmware"]["ro"] is True
    assert nodes["nvram"]["ro"] is False


def test_what_is_plugged_into_a_running_machine_gets_a_port(lab: Lab, rich: ServerSpec) -> None:
    volumes = [VolumeSpec(volume_id=new_uuid(), device=f"/dev/vd{name}", bus=bus) for name, bus in _PLUGGED]
    for volume in volumes:
        lab.supplies.add_volume(volume.volume_id)
        for _ in range(2):
            lab.hypervisor.attach_disk(rich.id, volume)
    found = lab.devices(rich)
    types = [found[f"disk-{volume.volume_id}"] for volume in volumes]
    assert types == ["virtio-blk-pci", "virtio-blk-pci", "scsi-hd", "usb-storage"]
    with pytest.raises(Conflict, match="does not support hotplugging"):
        lab.hypervisor.attach_disk(rich.id, msgspec.structs.replace(volumes[0], volume_id=_spare(lab), bus=""))


@pytest.mark.root
def test_interfaces_are_plugged_into_a_running_machine(lab: Lab, rich: ServerSpec) -> None:
    port = PortSpec(id=new_uuid(), mac="fa:16:3e:00:00:07", mtu=1450)
    for _ in range(2):
        lab.hypervisor.attach_port(rich.id, port)
    device = f"/machine/peripheral/nic-{port.id}"
    assert lab.devices(rich)[f"nic-{port.id}"] == "virtio-net-pci"
    assert lab.property(rich, device, "parent_bus").rpartition("/")[2].startswith("port")
    assert lab.property(rich, device, "host_mtu") == 1450


_PLUGGED = (("b", "virtio"), ("c", "virtio"), ("d", "scsi"), ("e", "usb"))


def _spare(lab: Lab) -> str:
    volume_id = new_uuid()
    lab.supplies.add_volume(volume_id)
    return volume_id


def test_the_agents_silence_is_told(lab: Lab, rich: ServerSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cumulet.services.compute.drivers.qemu.guest_agent.HELLO_TIMEOUT", 0.1)
    for ask in (lab.hypervisor.quiesce, lab.hypervisor.unquiesce, lambda each: _set_password(lab, each)):
        with pytest.raises(Conflict) as refused:
            ask(rich.id)
        assert refused.value.code == "QemuGuestAgentNotEnabled"


def _set_password(lab: Lab, server_id: str) -> None:
    lab.hypervisor.set_password(server_id, "root", "secret")


def test_old_hardware(lab: Lab) -> None:
    volume = VolumeSpec(volume_id=_spare(lab), device="/dev/sdb", bus="scsi")
    spec = lab.start(lab.spec(OLD, volumes=[volume]))
    found = lab.devices(spec)
    assert found["root"] == "ide-hd"
    assert found[f"disk-{volume.volume_id}"] == "scsi-hd"
    assert found["scsi0"] == "lsi53c895a"
    assert found["usb"] == "nec-usb-xhci"
    assert {"tpm-tis", "AC97", "virtio-tablet-pci", "virtio-keyboard-pci"} <= set(found.values())
    assert lab.property(spec, "/machine", "hpet") is False
    # The firmware starts a guest from its IDE disk.
    until(lambda: b"ready" in lab.hypervisor.console(spec.id, None))
    # With its QEMU ends its TPM, and the TPM's state stays.
    state = lab.file(spec, "tpm")
    until(lambda: list(state.iterdir()))
    lab.hypervisor.stop(spec.id, 0)
    assert until(lambda: Process.of(lab.file(spec, "tpm.pid")) is None)
    kept = {path.name for path in state.iterdir()}
    lab.hypervisor.start(spec)
    assert {path.name for path in state.iterdir()} >= kept
    lab.hypervisor.destroy(spec.id)


def test_a_servers_variables_are_kept(lab: Lab) -> None:
    spec = lab.spec(Guest(machine="q35", firmware="uefi"))
    lab.hypervisor.build(spec)
    variables = lab.file(spec, "nvram.fd")
    variables.write_bytes(variables.read_bytes()[:-4] + b"mine")
    lab.hypervisor.build(spec)
    assert variables.read_bytes().endswith(b"mine")
    lab.hypervisor.destroy(spec.id)


def test_firmware_starts_from_a_disk_behind_a_root_port(lab: Lab) -> None:
    spec = lab.start(lab.spec(Guest(machine="q35", firmware="uefi")))
    fresh = lab.file(spec, "nvram.fd").read_bytes()
    # The firmware has found the disk, which no system of its kind is on.
    until(lambda: b"BdsDxe" in lab.hypervisor.console(spec.id, None), seconds=110)
    lab.hypervisor.stop(spec.id, 0)
    written = lab.file(spec, "nvram.fd").read_bytes()
    assert written != fresh
    lab.hypervisor.build(spec)
    assert lab.file(spec, "nvram.fd").read_bytes() == written
    lab.hypervisor.destroy(spec.id)


@pytest.mark.parametrize(
    ("guest", "code"),
    [
        (Guest(firmware="uefi", secure_boot="required"), "SecureBootNotSupported"),
        (Guest(machine="pc,accel=kvm"), "InvalidMachineType"),
        (Guest(machine="microvm", tpm="2.0"), "InvalidMachineType"),
        (Guest(machine="pc-q35-0.1", tpm="2.0"), "HypervisorFailed"),
        (Guest(disk_bus="xen"), "UnsupportedHardware"),
        (Guest(machine="q35", disk_bus="ide"), "UnsupportedHardware"),
        (Guest(disk_bus="scsi", scsi_model="buslogic"), "UnsupportedHardware"),
        (Guest(video="gop"), "InvalidVideoMode"),
        (Guest(serial_ports=5), "SerialPortNumberLimitExceeded"),
        (Guest(iommu="intel"), "InvalidVIOMMUMachineType"),
        (Guest(usb_redirections=1), "UnsupportedHardware"),
    ],
)
def test_what_qemu_has_not_is_refused(lab: Lab, guest: Guest, code: str) -> None:
    spec = lab.spec(guest)
    with pytest.raises(Conflict) as refused:
        lab.start(spec)
    assert refused.value.code == code
    assert Process.of(lab.file(spec, "qemu.pid")) is None
    assert Process.of(lab.file(spec, "tpm.pid")) is None
    lab.hypervisor.destroy(spec.id)
