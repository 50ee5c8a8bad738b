# SPDX-License-Identifier: Apache-2.0
"""A server's QEMU command line, as a pure function of what the server is.

The machine is `pc`: it starts sooner than `q35`, and all slots of its one PCI bus take hot-plugged devices.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cumulet.services.block_storage.contract import RemoteDisk
from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.drivers.qemu import rescue
from cumulet.services.compute.types import PortSpec, RescueSpec, ServerSpec, VolumeSpec

PROGRAM = "qemu-system-x86_64"
# 32 slots, less those of the host bridge, the south bridge, the random number generator and the root disk.
PCI_SLOTS = 28
# Without a bound the cache of translated code makes each guest grow beyond 1 GB.
TRANSLATION_CACHE = 128  # MiB
# Seconds that a guest's requests wait for another host's disk, and that opening one at a start may take.
RECONNECT_TIME = 3600
OPEN_TIME = 20
CONTROL_SOCKET = "control.sock"
EVENTS_SOCKET = "events.sock"
SERIAL_SOCKET = "serial.sock"
CONSOLE_LOG = "console.log"
PID_FILE = "qemu.pid"
LOG_FILE = "qemu.log"
ROOT_DISK = "root.qcow2"
CONFIG_DRIVE = "config-drive.iso"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the host decides: `accelerator` `kvm` or `tcg`, `cpu` a QEMU CPU model or "" for the accelerator's own."""

    accelerator: str
    cpu: str = ""


@dataclass(frozen=True, kw_only=True)
class Inheritance:
    """The file descriptors that QEMU inherits: listening sockets by name, taps by port id, the server's folder."""

    sockets: dict[str, int]
    folder: int = -1
    taps: dict[str, int] = field(default_factory=dict)

    def all(self) -> list[int]:
        return [*self.sockets.values(), *self.taps.values(), *([self.folder] if self.folder >= 0 else [])]


def command_line(
    spec: ServerSpec, folder: Path, machine: Machine, volumes: dict[str, Disk], inherited: Inheritance
) -> list[str]:
    """The argument list. `folder` holds the server's disks; `volumes` says where each attached volume is opened."""
    return [
        PROGRAM,
        *_identity(spec, folder),
        *_processors(spec, machine),
        *_monitors(inherited),
        *_serial(folder, inherited),
        *_disks(spec, folder, volumes),
        *[word for port in spec.ports for word in _interface(port, inherited.taps[port.id])],
    ]


def local_node(name: str) -> str:
    """The block node's name of a disk that is the server's own (`ephemeral0`, `swap`)."""
    return f"local-{name}"


def volume_node(volume_id: str) -> str:
    """The block node's name; QEMU takes 31 characters."""
    return f"vol-{volume_id[:20]}"


def volume_device(volume_id: str) -> str:
    return f"disk-{volume_id}"


def port_netdev(port_id: str) -> str:
    return f"tap-{port_id}"


def port_device(port_id: str) -> str:
    return f"nic-{port_id}"


def disk_arguments(volume: VolumeSpec) -> dict[str, str]:
    """The device of a volume, as `device_add` and `-device` take it."""
    return {
        "driver": "virtio-blk-pci",
        "drive": volume_node(volume.volume_id),
        "id": volume_device(volume.volume_id),
        "serial": volume.serial,
    }


def block_arguments(node: str, disk: Disk, *, read_only: bool = False) -> dict[str, object]:
    """A block node as `blockdev-add` and `-blockdev` take it. Backing files are named in qcow2 itself."""
    file = {"driver": "file", "filename": disk.path} if disk.network is None else _export(node, disk.network.remote)
    return {
        "node-name": node,
        "driver": disk.format,
        "discard": "unmap",
        "read-only": read_only,
        "file": file,
    }


def credentials_arguments(node: str, disk: Disk) -> dict[str, object] | None:
    """What `object-add` and `-object` must be told before `block_arguments`; None where nothing has to be.

    QEMU's own checks of the files ask for more than a certificate needs here; the peer is verified all the same.
    """
    if disk.network is None:
        return None
    words = {"qom-type": "tls-creds-x509", "id": credentials(node), "endpoint": "client", "verify-peer": True}
    return {**words, "sanity-check": False, "dir": str(disk.network.credentials)}


def credentials(node: str) -> str:
    """The name of the object with this host's certificate, for the volume with this block node."""
    return f"tls-{node}"


def _export(node: str, remote: RemoteDisk) -> dict[str, object]:
    """Another host's disk: requests wait for it when it is away, and are made again when it is back."""
    return {
        "driver": "nbd",
        "server": {"type": "inet", "host": remote.address, "port": str(remote.port)},
        "export": remote.export,
        "tls-creds": credentials(node),
        "tls-hostname": remote.server,
        "reconnect-delay": RECONNECT_TIME,
        "open-timeout": OPEN_TIME,
    }


def interface_arguments(port: PortSpec) -> dict[str, str]:
    """The device of a port. It has no boot ROM, which would cost seconds at each start."""
    found = {
        "driver": "virtio-net-pci",
        "netdev": port_netdev(port.id),
        "id": port_device(port.id),
        "mac": port.mac,
        "romfile": "",
    }
    if port.mtu:
        found["host_mtu"] = str(port.mtu)
    return found


def _identity(spec: ServerSpec, folder: Path) -> list[str]:
    return [
        *("-name", f"guest={spec.id}"),
        *("-uuid", spec.id),
        *("-pidfile", str(folder / PID_FILE)),
        *("-machine", "pc,usb=off,vmport=off"),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        # Guests find out by these that they run in an OpenStack cloud.
        *("-smbios", f"type=1,manufacturer=Cumulet,product=OpenStack Compute,serial={spec.id},uuid={spec.id}"),
        *("-rtc", "base=utc,driftfix=slew"),
        *("-boot", "strict=on"),
    ]


def _processors(spec: ServerSpec, machine: Machine) -> list[str]:
    accelerator = machine.accelerator
    if accelerator == "tcg":
        accelerator = f"tcg,thread=multi,tb-size={TRANSLATION_CACHE}"
    cpu = machine.cpu or ("host" if machine.accelerator == "kvm" else "")
    return [
        *("-accel", accelerator),
        *(("-cpu", cpu) if cpu else ()),
        *("-m", f"{spec.ram}M"),
        *("-smp", f"cpus={spec.vcpus},sockets={spec.vcpus},cores=1,threads=1"),
    ]


def _monitors(inherited: Inheritance) -> list[str]:
    words: list[str] = []
    for name in (CONTROL_SOCKET, EVENTS_SOCKET):
        label = name.removesuffix(".sock")
        words += ["-chardev", f"socket,id={label},fd={inherited.sockets[name]},server=on,wait=off"]
        words += ["-mon", f"chardev={label},mode=control"]
    return words


def _serial(folder: Path, inherited: Inheritance) -> list[str]:
    log = _escape(str(folder / CONSOLE_LOG))
    socket = inherited.sockets[SERIAL_SOCKET]
    return [
        "-chardev",
        f"socket,id=serial0,fd={socket},server=on,wait=off,logfile={log},logappend=on",
        *("-serial", "chardev:serial0"),
        *("-object", "rng-random,id=random0,filename=/dev/urandom"),
        *("-device", "virtio-rng-pci,rng=random0"),
    ]


def _disks(spec: ServerSpec, folder: Path, volumes: dict[str, Disk]) -> list[str]:
    words: list[str] = []
    if spec.rescue is not None and not spec.rescue.bus:
        words += _rescue(spec.rescue, folder)
    if spec.image_id is not None:
        root = block_arguments("root", Disk(path=str(folder / ROOT_DISK), format="qcow2"))
        words += ["-blockdev", _flatten(root), "-device", "virtio-blk-pci,drive=root,id=root,bootindex=1"]
    for volume in sorted(spec.volumes, key=_attach_order):
        source = volumes[volume.volume_id]
        node = block_arguments(volume_node(volume.volume_id), source)
        if (secret := credentials_arguments(volume_node(volume.volume_id), source)) is not None:
            kind = secret.pop("qom-type")
            words += ["-object", f"{kind},{_flatten(secret)}"]
        device = disk_arguments(volume)
        if volume.boot_index is not None and volume.boot_index >= 0:
            device["bootindex"] = str(volume.boot_index + 1)
        words += ["-blockdev", _flatten(node), "-device", _device(device)]
    for disk in spec.disks:
        label = local_node(disk.name)
        node = block_arguments(label, Disk(path=str(folder / f"{disk.name}.qcow2"), format="qcow2"))
        words += ["-blockdev", _flatten(node), "-device", f"virtio-blk-pci,drive={label},id={label}"]
    if spec.rescue is not None and spec.rescue.bus:
        words += _rescue(spec.rescue, folder)
    if spec.config_drive is not None:
        node = block_arguments("config", Disk(path=str(folder / CONFIG_DRIVE), format="raw"), read_only=True)
        words += ["-blockdev", _flatten(node), "-device", "virtio-blk-pci,drive=config,id=config"]
    return words


def _rescue(wanted: RescueSpec, folder: Path) -> list[str]:
    node = block_arguments(rescue.NODE, Disk(path=str(folder / rescue.DISK), format="qcow2"))
    return ["-blockdev", _flatten(node), *rescue.device(wanted)]


def _attach_order(volume: VolumeSpec) -> tuple[bool, str, str]:
    """The root disk first, then by device name, which is what guests number their disks by."""
    return volume.boot_index != 0, f"{len(volume.device):04}", volume.device


def _interface(port: PortSpec, tap: int) -> list[str]:
    netdev = f"tap,id={port_netdev(port.id)},fd={tap}"
    return ["-netdev", netdev, "-device", _device(interface_arguments(port))]


def _device(arguments: dict[str, str]) -> str:
    words = dict(arguments)
    driver = words.pop("driver")
    return ",".join([driver, *(f"{name}={_escape(value)}" for name, value in words.items())])


def _flatten(arguments: dict[str, object], prefix: str = "") -> str:
    words: list[str] = []
    for name, value in arguments.items():
        if isinstance(value, dict):
            words.append(_flatten(value, f"{prefix}{name}."))
        elif isinstance(value, bool):
            words.append(f"{prefix}{name}={'on' if value else 'off'}")
        else:
            words.append(f"{prefix}{name}={_escape(str(value))}")
    return ",".join(words)


def _escape(value: str) -> str:
    """QEMU reads a doubled comma as one that is part of the value."""
    return value.replace(",", ",,")
