# SPDX-License-Identifier: Apache-2.0
"""Servers as libvirt's XML: whatever hardware they have, libvirt's own schema takes it, for QEMU, KVM and Xen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from cumulet.kernel.errors import Conflict
from cumulet.services.block_storage.contract import BlockDisk, DiskSource, NetworkDisk, NetworkSource, RemoteDisk
from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.drivers.libvirt import devices, disks, plugged, xen
from cumulet.services.compute.drivers.libvirt.domain import Surroundings, domain
from cumulet.services.compute.drivers.libvirt.words import write
from cumulet.services.compute.drivers.qemu.command_line import Machine
from cumulet.services.compute.drivers.qemu.drives import volume_drive
from cumulet.services.compute.drivers.qemu.firmware import Build
from cumulet.services.compute.types import (
    Guest,
    GuestNode,
    GuestNodes,
    HostNode,
    LocalDisk,
    Mdev,
    Pages,
    Parts,
    Passed,
    PortSpec,
    RescueSpec,
    ServerSpec,
    VolumeSpec,
)

SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")
FOLDER = Path("/servers/one")
UUID = "3f6f7a3e-9f0c-4f4e-8f5b-0d7e1c7a1b2c"
PORT = "6d1c2a53-35f9-4a8c-8f41-5f6a0c0d9b11"
VOLUME = "9b6c8f1e-0c55-4a7e-9f61-0b2f8a7d3c44"
NODES = [
    HostNode(
        id=0, memory=8192, shared=[0, 1], dedicated=[2, 3], pages=[Pages(size=4, total=100), Pages(size=2048, total=9)]
    ),
    HostNode(id=1, memory=8192, shared=[4, 5], dedicated=[6, 7]),
]
GUESTS = st.builds(
    Guest,
    machine=st.sampled_from(["", "pc", "q35", "pc-q35-7.2"]),
    firmware=st.sampled_from(["bios", "uefi"]),
    tpm=st.sampled_from(["", "1.2", "2.0"]),
    tpm_model=st.sampled_from(["tpm-tis", "tpm-crb"]),
    disk_bus=st.sampled_from(["virtio", "scsi", "ide", "sata", "usb"]),
    cdrom_bus=st.sampled_from(["", "scsi", "ide", "sata"]),
    scsi_model=st.sampled_from(["virtio-scsi", "lsilogic", "lsisas1068", "lsisas1078", "vmpvscsi"]),
    nic=st.sampled_from(["virtio", "e1000", "e1000e", "rtl8139", "ne2k_pci", "pcnet", "vmxnet3"]),
    packed_ring=st.booleans(),
    agent=st.booleans(),
    windows=st.booleans(),
    watchdog=st.sampled_from(["", "none", "pause", "poweroff", "reset"]),
    rng=st.booleans(),
    rng_bytes=st.sampled_from([0, 1024]),
    rng_period=st.sampled_from([0, 500]),
    video=st.sampled_from(["", "none", "cirrus", "vga", "virtio", "bochs", "vmvga", "qxl"]),
    video_ram=st.sampled_from([0, 20]),
    tablet=st.sampled_from(["", "usb", "virtio"]),
    keyboard=st.sampled_from(["", "usb", "virtio"]),
    usb=st.sampled_from(["", "none", "qemu-xhci", "nec-xhci", "piix3-uhci", "ich9-ehci1"]),
    sound=st.sampled_from(["", "sb16", "es1370", "ac97", "ich6", "ich9", "usb", "pcspk"]),
    iommu=st.sampled_from(["", "intel", "virtio", "auto"]),
    serial_ports=st.integers(1, 4),
    boot_menu=st.booleans(),
    pmu=st.sampled_from([None, True, False]),
    hpet=st.sampled_from([None, True, False]),
    hidden=st.booleans(),
    address_mode=st.sampled_from(["", "passthrough", "emulate"]),
    address_bits=st.sampled_from([0, 42]),
    locked_memory=st.booleans(),
)
OWN = st.sampled_from(
    [
        Parts(),
        Parts(numa=GuestNodes(nodes=[GuestNode(cpus=[0, 1], memory=512, host_node=1, page_size=2048)])),
        Parts(
            numa=GuestNodes(
                nodes=[
                    GuestNode(cpus=[0], memory=256, host_node=0, pins=[(0, 2)]),
                    GuestNode(cpus=[1], memory=256, host_node=1, page_size=4, pins=[(1, 7)]),
                ],
                emulator="share",
                realtime=[1],
            )
        ),
        Parts(devices=[Passed(address="0000:84:1f.7")], mdevs=[Mdev(uuid=UUID, parent="0000:06:00.0", type="v")]),
    ]
)
SPECS = st.builds(
    ServerSpec,
    id=st.just(UUID),
    vcpus=st.just(2),
    ram=st.just(512),
    image_id=st.just("image"),
    guest=GUESTS,
    ports=st.sampled_from([[], [PortSpec(id=PORT, mac="fa:16:3e:00:00:01", mtu=1450, queues=2)]]),
    volumes=st.sampled_from([[], [VolumeSpec(volume_id=VOLUME, device="/dev/vdb", boot_index=1)]]),
    disks=st.sampled_from([[], [LocalDisk(name="swap", size=1)]]),
    config_drive=st.sampled_from([None, {}]),
    rescue=st.sampled_from(
        [
            None,
            RescueSpec(image_id="r"),
            RescueSpec(image_id="r", bus="scsi"),
            RescueSpec(image_id="r", bus="ide", device="cdrom"),
        ]
    ),
    parts=OWN,
)
MACHINES = st.sampled_from(
    [
        Machine(accelerator="tcg"),
        Machine(accelerator="kvm"),
        Machine(accelerator="kvm", cpu="Haswell,aes=on,vmx=off", firmware=Build(Path("/code"), Path("/vars"), True)),
        Machine(accelerator="tcg", cpu="max", firmware=Build(Path("/code"), Path("/vars"), False)),
    ]
)


@cache
def schema() -> Any:
    return etree.RelaxNG(etree.parse(SCHEMA))


def check(xml: str) -> Any:
    """The document, once libvirt's schema has taken it."""
    found = etree.fromstring(xml)
    assert schema().validate(found), f"{schema().error_log}\n{xml}"
    return found


def around(spec: ServerSpec, *kernel: str) -> Surroundings:
    """What a host adds to the server."""
    named = {port.id: "tap0" for port in spec.ports}
    paths = tuple(Path(each) for each in kernel)
    return Surroundings(taps=named, bridges=named, kernel=paths, displays=("vnc", "spice", "serial"), nodes=NODES)


def opened(spec: ServerSpec) -> dict[str, Disk]:
    return {volume.volume_id: Disk(path="/volumes/one", format="qcow2") for volume in spec.volumes}


@contextmanager
def refusing(*codes: str) -> Iterator[None]:
    """What may be refused: with these codes and no others."""
    try:
        yield
    except Conflict as refused:
        if refused.code not in codes:
            raise


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(spec=SPECS, machine=MACHINES)
def test_what_qemu_takes_is_of_libvirts_form(spec: ServerSpec, machine: Machine) -> None:
    with refusing("UnsupportedHardware", "InvalidVIOMMUMachineType", "TooManyDiskDevices"):
        found = check(domain(spec, FOLDER, machine, opened(spec), around(spec)))
        for question in ("devices/disk/target/@dev", "devices/*/boot/@order", "devices/*/alias/@name"):
            names = found.xpath(question)
            assert len(names) == len(set(names))


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(spec=SPECS, kernel=st.sampled_from([(), ("/kernel",), ("/kernel", "/ramdisk")]))
def test_what_xen_takes_is_of_libvirts_form(spec: ServerSpec, kernel: tuple[str, ...]) -> None:
    wish = spec.guest
    plain = Guest(video=wish.video, nic=wish.nic, disk_bus=wish.disk_bus, tablet=wish.tablet, boot_menu=wish.boot_menu)
    for guest in (wish, plain, Guest()):
        tried = msgspec.structs.replace(spec, guest=guest, parts=spec.parts if guest is wish else Parts())
        with refusing("UnsupportedHardware", "InvalidVideoMode"):
            found = check(xen.domain(tried, FOLDER, opened(tried), around(tried, *kernel)))
            assert found.xpath("string(os/type)") == ("linux" if kernel else "hvm")


@pytest.mark.parametrize("kernel", [(), ("/kernel", "/ramdisk")])
def test_a_plain_server_is_one_for_xen(kernel: tuple[str, ...]) -> None:
    port, volume = PortSpec(id=PORT, mac="fa:16:3e:00:00:01"), VolumeSpec(volume_id=VOLUME, device="/dev/vdb")
    spec = ServerSpec(id=UUID, vcpus=1, ram=64, image_id="image", ports=[port], volumes=[volume], config_drive={})
    found = check(xen.domain(spec, FOLDER, opened(spec), around(spec, *kernel)))
    assert found.xpath("devices/disk/target/@dev") == ["xvda", "xvdb", "xvdc"]
    assert found.xpath("string(devices/interface/model/@type)") == "netfront"
    assert found.xpath("string(os/type/@machine)") == ("xenpv" if kernel else "xenfv")


def test_parts_of_the_host_are_named() -> None:
    numa = GuestNodes(
        nodes=[
            GuestNode(cpus=[0, 1, 2], memory=256, host_node=0, pins=[(0, 2), (1, 3)]),
            GuestNode(cpus=[3], memory=256, host_node=1, page_size=2048),
        ],
        reserved=[6],
        realtime=[1, 2],
    )
    spec = ServerSpec(id=UUID, vcpus=4, ram=512, parts=Parts(numa=numa, devices=[Passed(address="0000:84:00.3")]))
    found = check(domain(spec, FOLDER, Machine(accelerator="kvm"), {}, around(spec)))
    pins = dict(zip(found.xpath("cputune/vcpupin/@vcpu"), found.xpath("cputune/vcpupin/@cpuset"), strict=True))
    assert pins == {"0": "2", "1": "3", "2": "0-1", "3": "4-5"}
    assert found.xpath("string(cputune/emulatorpin/@cpuset)") == "6"
    assert found.xpath("string(cputune/vcpusched/@vcpus)") == "1-2"
    assert found.xpath("numatune/memnode/@nodeset") == ["0", "1"]
    assert found.xpath("cpu/numa/cell/@cpus") == ["0-2", "3"]
    assert found.xpath("memoryBacking/hugepages/page/@nodeset") == ["1"]
    assert found.xpath("string(devices/hostdev/source/address/@bus)") == "0x84"


def test_what_is_plugged_in_is_of_the_form_too() -> None:
    """Devices have no schema of their own: they are what a domain's are."""
    spec = ServerSpec(id=UUID, vcpus=1, ram=64)
    whole = check(domain(spec, FOLDER, Machine(accelerator="tcg"), {}, around(spec)))
    drive = volume_drive(VolumeSpec(volume_id=VOLUME), Disk(path="/a&b'<c", format="raw"), "virtio")
    for device in (
        disks.disk(drive, "vdx", "ua-other", server_id="s"),
        devices.interface(PortSpec(id=PORT, mac="fa:16:3e:00:00:01", mtu=1400), "tap0", Guest()),
    ):
        whole.find("devices").append(etree.fromstring(write(device)))
    found = check(etree.tostring(whole).decode())
    assert found.xpath("devices/disk/source/@file") == ["/a&b'<c"]


def test_containers_are_opened_over_exports_alone() -> None:
    remote = RemoteDisk(address="192.0.2.1", port=10809, export="v", server="other")
    spec = ServerSpec(id=UUID, vcpus=1, ram=64, volumes=[VolumeSpec(volume_id=VOLUME, encrypted=True)])

    def made(source: Disk) -> str:
        return domain(spec, FOLDER, Machine(accelerator="tcg"), {VOLUME: source}, around(spec))

    exported = NetworkSource(remote=remote, credentials=Path("/tls"))
    found = check(made(Disk(source=exported, key="secret word")))
    assert found.xpath("devices/disk[@type='network']/source/@tlsHostname") == ["other"]
    assert found.xpath("devices/disk/source/encryption/@format") == ["luks"]
    assert b"secret word" not in etree.tostring(found)
    for source in (
        Disk(path="/v", format="raw", key="key"),
        Disk(source=BlockDisk(path=Path("/dev/vg/v")), key="key"),
    ):
        with pytest.raises(Conflict, match="libvirt opens"):
            made(source)


@pytest.mark.parametrize(
    ("source", "xpath", "words", "place"),
    [
        (BlockDisk(path=Path("/dev/vg/v")), "@dev", "/dev/vg/v", "/dev/vg/v"),
        (NetworkDisk(protocol="nbd", servers=("[::1]:10809",), name="v"), "host/@name", "::1", "v"),
        (NetworkDisk(protocol="rbd", servers=("a:6789", "b:6789"), name="pool/v"), "host[2]/@name", "b", "pool/v"),
    ],
    ids=["block", "nbd", "rbd"],
)
def test_disks_that_are_no_files(source: DiskSource, xpath: str, words: str, place: str) -> None:
    opened_at = {VOLUME: Disk.of(source)}
    spec = ServerSpec(id=UUID, vcpus=1, ram=64, volumes=[VolumeSpec(volume_id=VOLUME)])
    found = check(domain(spec, FOLDER, Machine(accelerator="tcg"), opened_at, around(spec)))
    assert found.xpath(f"devices/disk/source/{xpath}") == [words]
    assert place in plugged.files(found).values()
    assert disks.place_of(opened_at[VOLUME]) == place


def test_disks_with_secrets_are_refused() -> None:
    secret = NetworkDisk(protocol="rbd", name="pool/v", user="u", secret=Path("/s"))
    with pytest.raises(Conflict, match="secret"):
        disks.place_of(Disk.of(secret))


def test_names_of_disks_go_on_after_the_last_letter() -> None:
    targets = disks.Targets(["vda", "vdc"])
    names = [targets.take("virtio") for _ in range(30)]
    assert names[:3] == ["vdb", "vdd", "vde"]
    assert names[-3:] == ["vdad", "vdae", "vdaf"]
    assert [targets.take(bus) for bus in ("scsi", "sata", "usb", "ide")] == ["sda", "sdb", "sdc", "hda"]
