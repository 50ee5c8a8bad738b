# SPDX-License-Identifier: Apache-2.0
"""Any description of hardware as a command line: what holds for all of them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from cumulet.kernel.errors import Conflict
from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.drivers.qemu import board, hardware
from cumulet.services.compute.drivers.qemu.command_line import Inheritance, Machine, command_line, serial_sockets
from cumulet.services.compute.drivers.qemu.firmware import Build
from cumulet.services.compute.types import Guest, LocalDisk, PortSpec, ServerSpec, VolumeSpec

BUILD = Build(Path("/code.fd"), Path("/variables.fd"), secure=True)
REFUSALS = {
    "InvalidMachineType", "UnsupportedHardware", "InvalidVideoMode", "SerialPortNumberLimitExceeded",
    "InvalidVIOMMUMachineType", "TooManyDiskDevices",
}  # fmt: skip
WORDS = st.text("abc,=;- 0", max_size=12)
CHOICES = {
    "machine": st.sampled_from(["", "pc", "q35", "pc-q35-7.2", "pc-i440fx-7.2"]) | WORDS,
    "tpm": st.sampled_from(["", "1.2", "2.0"]),
    "tpm_model": st.sampled_from(["tpm-tis", "tpm-crb"]),
    "disk_bus": st.sampled_from([*board.BUSES, "fdc", "xen"]),
    "cdrom_bus": st.sampled_from(["", *board.BUSES]),
    "scsi_model": st.sampled_from(["virtio-scsi", "lsilogic", "buslogic"]),
    "nic": st.sampled_from([*hardware.INTERFACES, "igb"]),
    "watchdog": st.sampled_from(["", "none", "pause", "poweroff", "reset"]),
    "video": st.sampled_from(["", "none", "gop", *hardware.CARDS]),
    "tablet": st.sampled_from(["", "usb", "virtio"]),
    "keyboard": st.sampled_from(["", "usb", "virtio"]),
    "usb": st.sampled_from(["", "none", "nec-xhci", "qemu-xhci"]),
    "sound": st.sampled_from(["", "virtio", *hardware.SOUNDS]),
    "iommu": st.sampled_from(["", "smmuv3", *hardware.IOMMUS]),
    "address_mode": st.sampled_from(["", "passthrough", "emulate"]),
    "command_line": WORDS,
    "admin_user": WORDS,
    "kernel_id": st.just(""),
    "ramdisk_id": st.just(""),
}


def _strategy(name: str, kind: object) -> st.SearchStrategy[object]:
    if name in CHOICES:
        return CHOICES[name]
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(0, 6)
    return st.sampled_from([value for each in get_args(kind) for value in _values(each)] or list(get_args(kind)))


def _values(kind: object) -> list[object]:
    return [True, False] if kind is bool else [None] if kind is type(None) else [kind]


GUESTS = st.builds(Guest, **{name: _strategy(name, kind) for name, kind in get_type_hints(Guest).items()})
SPECS = st.builds(
    ServerSpec,
    id=st.just("9a438d88-10c6-4bcd-8b5b-5b6e25e1346f"),
    vcpus=st.integers(1, 8),
    ram=st.just(64),
    image_id=st.sampled_from([None, "image"]),
    ports=st.lists(
        st.builds(PortSpec, id=st.uuids().map(str), mac=st.just("fa:16:3e:00:00:01"), mtu=st.just(1450)), max_size=3
    ),
    volumes=st.lists(
        st.builds(VolumeSpec, volume_id=st.uuids().map(str), bus=st.sampled_from(["", *board.BUSES])), max_size=8
    ),
    disks=st.lists(st.builds(LocalDisk, name=st.just("swap"), size=st.just(1)), max_size=1),
    config_drive=st.sampled_from([None, {}]),
    guest=GUESTS,
)


def line(spec: ServerSpec, accelerator: str = "tcg") -> list[str]:
    sockets = {name: number for number, name in enumerate(serial_sockets(spec.guest), 20)}
    sockets |= {"control.sock": 7, "events.sock": 8, "agent.sock": 9}
    taps = {port.id: [number] for number, port in enumerate(spec.ports, 40)}
    inherited = Inheritance(sockets=sockets, taps=taps, tpm=10)
    volumes = {volume.volume_id: Disk(path="/volume", format="qcow2") for volume in spec.volumes}
    machine = Machine(accelerator=accelerator, firmware=BUILD if spec.guest.firmware == "uefi" else None)
    return command_line(spec, Path("/servers/x"), machine, volumes, inherited)


def line_or_refusal(spec: ServerSpec, accelerator: str) -> list[str] | Conflict:
    try:
        return line(spec, accelerator)
    except Conflict as error:
        return error


def values(words: list[str], option: str) -> list[str]:
    return [value for name, value in pairwise(words) if name == option]


def properties(word: str) -> dict[str, str]:
    driver, *rest = word.split(",")
    return {"driver": driver, **dict(each.partition("=")[::2] for each in rest)}


@settings(max_examples=150, deadline=None)
@given(SPECS, st.sampled_from(["tcg", "kvm"]))
def test_every_line_is_whole_or_refused_in_known_words(spec: ServerSpec, accelerator: str) -> None:
    words = line_or_refusal(spec, accelerator)
    if isinstance(words, Conflict):
        assert words.code in REFUSALS
        return
    devices = [properties(word) for word in values(words, "-device")]
    names = [device["id"] for device in devices if "id" in device]
    assert len(names) == len(set(names))
    # Each bus is there before what is plugged into it, and each port takes one device.
    made = {"ide", "pcie"}
    taken: list[str] = []
    for device in devices:
        if "bus" in device:
            assert device["bus"].partition(".")[0] in made
            taken += [device["bus"]] if device["bus"].startswith(board.PORT) else []
        made.add(device.get("id", ""))
    assert len(taken) == len(set(taken))
    # Every block node is used by one device, and every device's node exists.
    nodes = {properties(f"x,{word}")["node-name"] for word in values(words, "-blockdev")} - {"firmware", "nvram"}
    drives = [device["drive"] for device in devices if "drive" in device]
    assert sorted(drives) == sorted(nodes)
    assert len([device for device in devices if "netdev" in device]) == len(spec.ports)
    assert ("-tpmdev" in words) == bool(spec.guest.tpm)
    assert len(values(words, "-machine")) == len(values(words, "-accel")) == 1
    assert not values(words, "-machine")[0].startswith(tuple(",=; "))


def test_who_asks_for_nothing_gets_the_line_that_starts_fastest() -> None:
    spec = ServerSpec(id="s", vcpus=2, ram=64, image_id="i")
    words = line(spec)
    assert values(words, "-machine") == ["pc,usb=off,vmport=off"]
    assert values(words, "-smp") == ["cpus=2,sockets=2,cores=1,threads=1"]
    assert values(words, "-device") == ["virtio-rng-pci,rng=random0", "virtio-blk-pci,drive=root,id=root,bootindex=1"]
    assert values(words, "-boot") == ["strict=on"]
    assert "-cpu" not in words


def test_kernels_are_started_with_their_words() -> None:
    spec = ServerSpec(id="s", vcpus=1, ram=64, image_id="i", guest=Guest(kernel_id="k", command_line="quiet, please"))
    inherited = Inheritance(
        sockets={"control.sock": 7, "events.sock": 8, "serial.sock": 9}, kernel=(Path("/k"), Path("/r"))
    )
    machine = Machine(accelerator="tcg")
    words = command_line(spec, Path("/x"), machine, {}, inherited)
    assert (values(words, "-kernel"), values(words, "-initrd")) == (["/k"], ["/r"])
    assert values(words, "-append") == ["quiet, please"]
    plain = msgspec.structs.replace(spec, guest=Guest(kernel_id="k", disk_bus="scsi"))
    default = command_line(plain, Path("/x"), machine, {}, inherited)
    assert values(default, "-append") == ["root=/dev/sda console=tty0 console=ttyS0"]
