# SPDX-License-Identifier: Apache-2.0
"""What a host is told of a server."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from cumulet.services.block_storage.contract import RemoteDisk
from cumulet.services.compute.types.topology import Parts

# What a server shows of itself: the kinds of consoles by which a driver is asked for one.
Display: TypeAlias = Literal["vnc", "spice", "serial"]
DISPLAYS: tuple[Display, ...] = ("vnc", "spice", "serial")


class PortSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A network interface: the port's id, its address, its MTU in bytes (0: unknown) and its pairs of queues.

    One that is a device `passed` to the guest is among the parts of its host; one with a `socket` is a switch's that
    shares the guest's memory. Others are taps.
    """

    id: str
    mac: str
    mtu: int = 0
    queues: int = 1
    passed: bool = False
    socket: str = ""


class VolumeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An attached volume: `device` as the user knows it (`/dev/vdb`), `boot_index` 0 for the root disk.

    The guest sees the first 20 characters of the volume's id as the disk's serial number, as with OpenStack. `remote`
    is where the volume's host exports it, None where it is on the server's own and no other server shares it.
    `generation` is the attachment's. `bus` is that of the disk, "" the guest's own. `limits` are what the
    hypervisor keeps the disk to, by libvirt's names (`total_bytes_sec`, `read_iops_sec_max`), empty for none.
    An `encrypted` volume is opened with a key that the host asks for each time, and keeps nowhere. `backend` has the
    disk on the server's own host; "" where nothing was said of that.
    """

    volume_id: str
    attachment_id: str = ""
    generation: int = 0
    remote: RemoteDisk | None = None
    device: str = ""
    boot_index: int | None = None
    tag: str | None = None
    bus: str = ""
    read_only: bool = False
    limits: dict[str, int] = {}
    encrypted: bool = False
    backend: str = ""

    @property
    def serial(self) -> str:
        return self.volume_id[:20]


class LocalDisk(msgspec.Struct, frozen=True, kw_only=True):
    """An empty disk that lives and dies with its server, such as a flavor's ephemeral and swap space; size in MiB.

    `filesystem` is one of FILESYSTEMS, "" for none; its label is the disk's name.
    """

    name: str
    size: int
    filesystem: str = ""


FILESYSTEMS = ("ext2", "ext3", "ext4", "vfat", "swap")


class RescueSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The disk that a server boots from instead of its own, made of an image.

    With `bus` "" the disk comes first, the server's own root disk second, and nothing else is plugged in. Else all of
    the server's disks keep their places, and the disk comes last: `bus` is virtio, scsi, ide, sata or usb, `device`
    disk or cdrom.
    """

    image_id: str
    image_format: str = "qcow2"
    bus: str = ""
    device: str = "disk"


class Guest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A server's hardware as image and flavor ask for it, in words of no hypervisor; "" leaves the choice to the host.

    The defaults are those of an image and a flavor that say nothing. `machine` is QEMU's name of a machine type. `tpm`
    is "", 1.2 or 2.0. Buses are virtio, scsi, ide, sata, usb; `cdrom_bus` "" leaves the config drive a plain disk.
    `watchdog` is what happens when the guest does not answer: "" (there is none), none, pause, poweroff, reset.
    `rng_bytes` each `rng_period` milliseconds are all that the guest gets of random numbers (0: no limit). `video` is
    "" (a card only where there is a graphical console), none or a card's model with `video_ram` MiB (0: its own
    choice). `tablet` and `keyboard` are "" or a bus (usb, virtio). `sockets`, `cores` and `threads` 0: a socket for
    each processor. `pmu` and `hpet` None: as the hypervisor has them. `address_mode` is "", passthrough or emulate.
    `kernel_id` and `ramdisk_id` are images, with which the guest is started past its own boot loader.
    """

    machine: str = ""
    firmware: Literal["bios", "uefi"] = "bios"
    secure_boot: Literal["disabled", "optional", "required"] = "disabled"
    tpm: str = ""
    tpm_model: str = "tpm-tis"
    disk_bus: str = "virtio"
    cdrom_bus: str = ""
    scsi_model: str = "virtio-scsi"
    nic: str = "virtio"
    multiqueue: bool = False
    packed_ring: bool = False
    agent: bool = False
    admin_user: str = ""
    needs_quiesce: bool = False
    windows: bool = False
    watchdog: str = ""
    rng: bool = True
    rng_bytes: int = 0
    rng_period: int = 0
    video: str = ""
    video_ram: int = 0
    tablet: str = ""
    keyboard: str = ""
    usb: str = ""
    usb_redirections: int = 0
    sound: str = ""
    iommu: str = ""
    serial_ports: int = 1
    boot_menu: bool = False
    sockets: int = 0
    cores: int = 0
    threads: int = 0
    pmu: bool | None = None
    hpet: bool | None = None
    hidden: bool = False
    address_mode: str = ""
    address_bits: int = 0
    locked_memory: bool = False
    kernel_id: str = ""
    ramdisk_id: str = ""
    command_line: str = ""


class ServerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All that a host has to know to run a server; sizes: `ram` in MiB, `disk` in GiB (0: as large as the image).

    `image_id` is None where the root disk is the volume with boot index 0. `image_format` is the declared format of
    the image (`qcow2` or `raw`): a disk is never probed for it, since its content is the guest's. `config_drive` is
    the content of the config drive by path, None for no drive. `parts` are those of the host that it has for itself.
    """

    id: str
    vcpus: int
    ram: int
    disk: int = 0
    name: str = ""
    image_id: str | None = None
    image_format: str = "qcow2"
    ports: list[PortSpec] = []
    volumes: list[VolumeSpec] = []
    disks: list[LocalDisk] = []
    config_drive: dict[str, bytes] | None = None
    rescue: RescueSpec | None = None
    guest: Guest = Guest()
    parts: Parts = Parts()
