# SPDX-License-Identifier: Apache-2.0
"""A server's QEMU command line, as a pure function of what the server is.

Where an image says nothing the machine is `pc`: it starts sooner than `q35`, and all slots of its one PCI bus take
hot-plugged devices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cumulet.kernel import memory_file
from cumulet.services.block_storage.contract import LUN, NetworkDisk, NetworkSource, RemoteDisk, qemu_file
from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.drivers.qemu import guest_agent, hardware, passthrough, rescue
from cumulet.services.compute.drivers.qemu.board import Board, Device
from cumulet.services.compute.drivers.qemu.drives import Drive, drives
from cumulet.services.compute.drivers.qemu.firmware import VARIABLES, Build
from cumulet.services.compute.types import Guest, PortSpec, ServerSpec, VolumeSpec

PROGRAM = "qemu-system-x86_64"
# 32 slots, less those of the host bridge, the south bridge, the random number generator and the root disk.
PCI_SLOTS = 28
# Seconds that a guest's requests wait for another host's disk, and that opening one at a start may take.
RECONNECT_TIME = 3600
OPEN_TIME = 20
CONTROL_SOCKET = "control.sock"
EVENTS_SOCKET = "events.sock"
SERIAL_SOCKET = "serial.sock"
CONSOLE_LOG = "console.log"
PID_FILE = "qemu.pid"
LOG_FILE = "qemu.log"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the host decides: `accelerator` `kvm` or `tcg`, `cpu` a QEMU CPU model or "" for the accelerator's own.

    `firmware` is the UEFI of a server that has one, `numa` the arguments of its nodes.
    """

    accelerator: str
    cpu: str = ""
    firmware: Build | None = None
    numa: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Inheritance:
    """The file descriptors that QEMU inherits: listening sockets by name, taps by port id, the server's folder.

    `keys` are files in memory with the passphrases of encrypted volumes, by volume.

    `tpm` is the stream to its TPM; `kernel` holds the paths of the kernel and the first file system, which stay paths.
    """

    sockets: dict[str, int]
    keys: Mapping[str, int] = field(default_factory=dict)
    folder: int = -1
    tpm: int = -1
    taps: Mapping[str, Sequence[int]] = field(default_factory=dict)
    kernel: tuple[Path, ...] = ()

    def all(self) -> list[int]:
        others = [*self.keys.values(), *(each for each in (self.folder, self.tpm) if each >= 0)]
        return [*self.sockets.values(), *(each for queues in self.taps.values() for each in queues), *others]


def command_line(
    spec: ServerSpec, folder: Path, machine: Machine, volumes: dict[str, Disk], inherited: Inheritance
) -> list[str]:
    """The argument list. `folder` holds the server's disks; `volumes` says where each attached volume is opened.

    Conflict where the guest asks for hardware that QEMU has not.
    """
    guest, board = spec.guest, Board(spec.guest)
    disks = _disks(spec, folder, volumes, board, inherited)
    interfaces = [
        word
        for port in spec.ports
        if not port.passed
        for word in _interface(port, inherited.taps.get(port.id, ()), guest, board)
    ]
    extras = _devices([*hardware.extras(guest, board), *passthrough.devices(spec.parts, board)])
    return [
        PROGRAM,
        *_identity(spec, folder),
        *hardware.machine(guest, machine.accelerator, machine.firmware),
        *_firmware(machine.firmware, folder),
        *hardware.processors(guest, spec.vcpus, machine.accelerator, machine.cpu),
        *("-m", f"{spec.ram}M"),
        *machine.numa,
        *_monitors(inherited),
        *_kernel(spec, inherited),
        *_devices(hardware.iommu(guest)),
        *_devices(board.controllers()),
        *_serial(guest, folder, inherited),
        *hardware.random_numbers(guest),
        *disks,
        *interfaces,
        *_channels(guest, inherited),
        *hardware.backends(guest),
        *extras,
    ]


def local_node(name: str) -> str:
    """The block node's name of a disk that is the server's own (`ephemeral0`, `swap`)."""
    return f"local-{name}"


def volume_node(volume_id: str) -> str:
    """The block node's name; QEMU takes 31 characters."""
    return f"vol-{volume_id[:20]}"


def opened_node(node: str) -> str:
    """The name of the node by which the volume with this block node is decrypted, where that is a LUKS container.

    The volume's own node stays the ciphertext, so that whatever is copied of it is.
    """
    return f"luks-{node.removeprefix('vol-')}"


def moved_node(volume_id: str, generation: int) -> str:
    """The block node's name of a volume that has come to another place while the guest runs, by its attachment."""
    return f"mv{generation}-{volume_id[:20]}"


def is_of_volume(name: str, node: str) -> bool:
    """Whether a block node is, or decrypts, the volume with this ordinary name, wherever it is."""
    (kind, _, volume), (ordinary, _, wanted) = name.partition("-"), node.partition("-")
    return name == node or (ordinary == "vol" and volume == wanted and (kind == "luks" or kind.startswith("mv")))


def key_object(node: str) -> str:
    """The name of the object with the passphrase, for the volume with this block node."""
    return f"key-{node}"


def volume_device(volume_id: str) -> str:
    return f"disk-{volume_id}"


def port_netdev(port_id: str) -> str:
    return f"tap-{port_id}"


def port_device(port_id: str) -> str:
    return f"nic-{port_id}"


def disk_arguments(volume: VolumeSpec) -> dict[str, str]:
    """The device of a volume, but for its place, as `device_add` and `-device` take it."""
    return {
        "drive": volume_node(volume.volume_id),
        "id": volume_device(volume.volume_id),
        "serial": volume.serial,
    }


def block_arguments(node: str, disk: Disk, *, read_only: bool = False) -> dict[str, object]:
    """A block node as `blockdev-add` and `-blockdev` take it. Backing files are named in qcow2 itself."""
    return {
        "node-name": node,
        "driver": disk.format,
        "discard": "unmap",
        "read-only": read_only,
        "file": _file(node, disk),
    }


def container_arguments(node: str, *, read_only: bool = False) -> dict[str, object]:
    """The node that decrypts a volume, on top of its own and with the passphrase that `key_object` holds."""
    words = {"node-name": opened_node(node), "driver": "luks", "key-secret": key_object(node)}
    return {**words, "read-only": read_only, "file": node}


def credentials_arguments(node: str, disk: Disk) -> dict[str, object] | None:
    """What `object-add` and `-object` must be told before `block_arguments`; None where nothing has to be.

    QEMU's own checks of the files ask for more than a certificate needs here; the peer is verified all the same.
    """
    if not isinstance(disk.source, NetworkSource):
        secret = disk.source.secret if isinstance(disk.source, NetworkDisk) else None
        return None if secret is None else {"qom-type": "secret", "id": credentials(node), "file": str(secret)}
    if disk.source.remote.protocol == "iscsi":
        return {"qom-type": "secret", "id": credentials(node), "file": str(disk.source.credentials)}
    words = {"qom-type": "tls-creds-x509", "id": credentials(node), "endpoint": "client", "verify-peer": True}
    return {**words, "sanity-check": False, "dir": str(disk.source.credentials)}


def credentials(node: str) -> str:
    """The name of the object with this host's certificate, or its secret, for the volume with this block node."""
    return f"tls-{node}"


def _file(node: str, disk: Disk) -> dict[str, object]:
    if disk.source is None:
        return {"driver": "file", "filename": disk.path}
    if isinstance(disk.source, NetworkSource):
        return _export(node, disk.source)
    found = qemu_file(disk.source, credentials(node))
    if found["driver"] == "nbd":
        found |= {"reconnect-delay": RECONNECT_TIME, "open-timeout": OPEN_TIME}
    return found


def _export(node: str, network: NetworkSource) -> dict[str, object]:
    """An exported disk: requests wait for it when it is away, and are made again when it is back."""
    remote = network.remote
    if remote.protocol == "iscsi":
        return _target(node, remote)
    return {
        "driver": "nbd",
        "server": {"type": "inet", "host": remote.address, "port": str(remote.port)},
        "export": remote.export,
        "tls-creds": credentials(node),
        "tls-hostname": remote.server,
        "reconnect-delay": RECONNECT_TIME,
        "open-timeout": OPEN_TIME,
    }


def _target(node: str, remote: RemoteDisk) -> dict[str, object]:
    address = f"[{remote.address}]" if ":" in remote.address else remote.address
    return {
        "driver": "iscsi",
        "transport": "tcp",
        "portal": f"{address}:{remote.port}",
        "target": remote.export,
        "lun": LUN,
        "initiator-name": remote.initiator,
        "user": remote.user,
        "password-secret": credentials(node),
    }


def interface_arguments(port: PortSpec, guest: Guest) -> dict[str, str]:
    """The device of a port, but for its place. It has no boot ROM, which would cost seconds at each start."""
    found = {
        **hardware.interface(guest),
        "netdev": port_netdev(port.id),
        "id": port_device(port.id),
        "mac": port.mac,
        "romfile": "",
    }
    if port.mtu and guest.nic == "virtio":
        found["host_mtu"] = str(port.mtu)
    if port.queues > 1:
        # An interrupt for each way of each queue, one for the control queue and one for changes.
        found |= {"mq": "on", "vectors": str(2 * port.queues + 2)}
    return found


def _identity(spec: ServerSpec, folder: Path) -> list[str]:
    return [
        *("-name", f"guest={spec.id}"),
        *("-uuid", spec.id),
        *("-pidfile", str(folder / PID_FILE)),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        # Guests find out by these that they run in an OpenStack cloud.
        *("-smbios", f"type=1,manufacturer=Cumulet,product=OpenStack Compute,serial={spec.id},uuid={spec.id}"),
    ]


def _firmware(build: Build | None, folder: Path) -> list[str]:
    """The firmware's code, shared by all, and the server's own variables."""
    if build is None:
        return []
    words: list[str] = []
    for node, path, read_only in (("firmware", build.code, True), ("nvram", folder / VARIABLES, False)):
        file = {"driver": "file", "filename": str(path)}
        arguments = {"node-name": node, "driver": "raw", "read-only": read_only, "file": file}
        words += ["-blockdev", _flatten(arguments)]
    return words


def _kernel(spec: ServerSpec, inherited: Inheritance) -> list[str]:
    """A kernel that is started past the boot loader; it finds its root where the first disk is."""
    if not inherited.kernel:
        return []
    kernel, *ramdisk = inherited.kernel
    default = f"root=/dev/{'vda' if spec.guest.disk_bus == 'virtio' else 'sda'} console=tty0 console=ttyS0"
    words = ["-kernel", str(kernel), "-append", spec.guest.command_line or default]
    return [*words, "-initrd", str(ramdisk[0])] if ramdisk else words


def _channels(guest: Guest, inherited: Inheritance) -> list[str]:
    words: list[str] = []
    if guest.agent:
        words += ["-chardev", f"socket,id=agent,fd={inherited.sockets[guest_agent.SOCKET]},server=on,wait=off"]
    if guest.tpm:
        words += ["-chardev", f"socket,id=tpm,fd={inherited.tpm}"]
    return words


def _monitors(inherited: Inheritance) -> list[str]:
    words: list[str] = []
    for name in (CONTROL_SOCKET, EVENTS_SOCKET):
        label = name.removesuffix(".sock")
        words += ["-chardev", f"socket,id={label},fd={inherited.sockets[name]},server=on,wait=off"]
        words += ["-mon", f"chardev={label},mode=control"]
    return words


def _serial(guest: Guest, folder: Path, inherited: Inheritance) -> list[str]:
    """The first port is the console, which is kept; what goes to the others is lost where nobody listens."""
    log = _escape(str(folder / CONSOLE_LOG))
    words: list[str] = []
    for number, name in enumerate(serial_sockets(guest)):
        kept = f",logfile={log},logappend=on" if number == 0 else ""
        socket = inherited.sockets[name]
        words += ["-chardev", f"socket,id=serial{number},fd={socket},server=on,wait=off{kept}"]
        words += ["-serial", f"chardev:serial{number}"]
    return words


def serial_sockets(guest: Guest) -> list[str]:
    """The names of the sockets behind the serial ports. Conflict for more ports than there can be."""
    others = [f"serial{number}.sock" for number in range(1, hardware.serial_ports(guest))]
    return [SERIAL_SOCKET, *others]


def _disks(spec: ServerSpec, folder: Path, volumes: dict[str, Disk], board: Board, inherited: Inheritance) -> list[str]:
    words: list[str] = []
    for drive in drives(spec, folder, volumes):
        if drive.kind == "rescue" and spec.rescue is not None:
            words += ["-blockdev", _flatten(block_arguments(rescue.NODE, drive.disk)), *rescue.device(spec.rescue)]
        else:
            words += _drive(drive, board, inherited.keys.get(drive.name, -1))
    return words


def _drive(drive: Drive, board: Board, key: int) -> list[str]:
    """`key` is the descriptor of a passphrase, of a volume that needs one."""
    words: list[str] = []
    names = {"local": (local_node(drive.name),) * 2, "volume": (volume_node(drive.name), volume_device(drive.name))}
    node, device = names.get(drive.kind, (drive.name, drive.name))
    if (secret := credentials_arguments(node, drive.disk)) is not None:
        kind = secret.pop("qom-type")
        words += ["-object", f"{kind},{_flatten(secret)}"]
    words += ["-blockdev", _flatten(block_arguments(node, drive.disk, read_only=drive.is_read_only))]
    shown = node
    if drive.disk.key:
        shown = opened_node(node)
        words += ["-object", f"secret,id={key_object(node)},file={memory_file.path_of(key)}"]
        words += ["-blockdev", _flatten(container_arguments(node, read_only=drive.is_read_only))]
    found = {"drive": shown, "id": device, **({"serial": drive.serial} if drive.serial else {})}
    placed = board.drive(drive.bus, found, cdrom=drive.is_cdrom)
    if drive.boot is not None:
        placed["bootindex"] = str(drive.boot)
    return [*words, "-device", _device(placed)]


def _interface(port: PortSpec, queues: Sequence[int], guest: Guest, board: Board) -> list[str]:
    if port.socket:
        return _shared_interface(port, guest, board)
    handles = f"fd={queues[0]}" if len(queues) == 1 else f"fds={':'.join(map(str, queues))}"
    netdev = f"tap,id={port_netdev(port.id)},{handles}"
    return ["-netdev", netdev, "-device", _device(board.slot(interface_arguments(port, guest)))]


def _shared_interface(port: PortSpec, guest: Guest, board: Board) -> list[str]:
    """QEMU makes the socket, and begins when the switch has come to it."""
    chardev, queues = f"vhu-{port.id}", f",queues={port.queues}" if port.queues > 1 else ""
    return [
        *("-chardev", f"socket,id={chardev},path={_escape(port.socket)},server=on"),
        *("-netdev", f"vhost-user,id={port_netdev(port.id)},chardev={chardev}{queues}"),
        *("-device", _device(board.slot(interface_arguments(port, guest)))),
    ]


def _devices(devices: list[Device]) -> list[str]:
    return [word for device in devices for word in ("-device", _device(device))]


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
