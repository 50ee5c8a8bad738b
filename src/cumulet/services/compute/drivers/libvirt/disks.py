# SPDX-License-Identifier: Apache-2.0
"""Disks as libvirt's XML: names that guests do not see, aliases by which they are found again, places on buses."""

from __future__ import annotations

from collections.abc import Iterable

from cumulet.kernel.errors import Conflict
from cumulet.services.block_storage.contract import (
    LUN,
    BlockDisk,
    FileDisk,
    NetworkDisk,
    NetworkSource,
    RemoteDisk,
    server_of,
)
from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.drivers.libvirt import secrets
from cumulet.services.compute.drivers.libvirt.words import Element, element
from cumulet.services.compute.drivers.qemu.drives import Drive

# The library keeps aliases that begin so, and makes up others.
_OURS = "ua-"
_PREFIXES = {"virtio": "vd", "ide": "hd", "xen": "xvd"}  # all others are `sd`
RESCUE_CONTROLLER = 1
_LETTERS = 26
_TYPES = {
    type(None): "file", FileDisk: "file", BlockDisk: "block", NetworkDisk: "network", NetworkSource: "network",
}  # fmt: skip


class Targets:
    """Gives out names of disks that are not taken: libvirt knows each disk by one, and places it by it."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def take(self, bus: str) -> str:
        prefix = _PREFIXES.get(bus, "sd")
        number = 0
        while (name := prefix + _letters(number)) in self._taken:
            number += 1
        self._taken.add(name)
        return name


def volume_alias(volume_id: str) -> str:
    return f"{_OURS}disk-{volume_id}"


def alias_of(drive: Drive) -> str:
    """By what the disk is found again: a volume by its id, one of the server's own by its name."""
    return volume_alias(drive.name) if drive.kind == "volume" else f"{_OURS}{drive.kind}-{drive.name}"


def local_alias(name: str) -> str:
    return f"{_OURS}local-{name}"


ROOT = f"{_OURS}root-root"


def disk(drive: Drive, target: str, alias: str = "", *, server_id: str) -> Element:
    """The server's disk, under its own alias or another one. Conflict for one that libvirt cannot open.

    What is to be proved or decrypted is so by the secrets that `secrets.lent` tells.
    """
    source = _source(drive.disk)
    if secrets.source_of(drive.disk) is not None:
        source.append(_proof(drive.disk, secrets.number_of(server_id, drive.name)))
    if drive.disk.key:
        secret = element("secret", type="passphrase", uuid=secrets.key_of(server_id, drive.name))
        source.append(element("encryption", secret, format="luks"))
    # libvirt gives up an export that is away: the guest is held, and tries again when the agent lets it go on.
    policy = "stop" if source.get("tls") else ""
    words = {"discard": "unmap", "error_policy": policy, "rerror_policy": policy}
    made = element("disk", type=_TYPES[type(drive.disk.source)], device="cdrom" if drive.is_cdrom else "disk")
    made.append(element("driver", name="qemu", type=drive.disk.format, **words))
    made.append(source)
    made.append(element("target", dev=target, bus=drive.bus))
    if drive.is_read_only or drive.is_cdrom:
        made.append(element("readonly"))
    made.extend([element("serial", text=drive.serial)] if drive.serial else [])
    made.extend([element("boot", order=drive.boot + 1)] if drive.boot is not None else [])
    if drive.limits:
        made.append(element("iotune", *(element(name, text=str(value)) for name, value in drive.limits.items())))
    made.append(element("alias", name=alias or alias_of(drive)))
    if drive.kind == "rescue" and drive.bus == "scsi":
        made.append(element("address", type="drive", controller=RESCUE_CONTROLLER, bus=0, target=0, unit=0))
    return made


def place_of(disk: Disk) -> str:
    """By what the disk is known again in a description. Conflict for what libvirt does not open."""
    found = _source(disk)
    return next((value for name in ("file", "dev", "name") if (value := found.get(name))), "")


def local_path(disk: Disk) -> str:
    """The file that is opened. Conflict where the volume is in none."""
    if disk.source is not None:
        raise Conflict("the volume is in no file of this host", code="UnsupportedHardware")
    return place_of(disk)


def _export(remote: RemoteDisk) -> Element:
    """What opens a volume that a host exports, but for the proof over iSCSI."""
    host = element("host", name=remote.address, port=remote.port)
    if remote.protocol == "nbd":
        return element("source", host, protocol="nbd", name=remote.export, tls="yes", tlsHostname=remote.server)
    initiator = element("initiator", element("iqn", name=remote.initiator))
    return element("source", host, initiator, protocol="iscsi", name=f"{remote.export}/{LUN}")


def _proof(disk: Disk, number: str) -> Element:
    user = "" if (source := secrets.source_of(disk)) is None else source.remote.user
    return element("auth", element("secret", type="iscsi", uuid=number), username=user)


def _source(disk: Disk) -> Element:
    """Conflict where the volume is a container that nobody exports."""
    source = disk.source
    if disk.key and not isinstance(source, NetworkSource):
        # libvirt finds none in a qcow2: it would give the guest the ciphertext. Of others it would copy what is in it.
        raise Conflict("libvirt opens containers of exports alone", code="UnsupportedHardware")
    if isinstance(source, NetworkSource):
        return _export(source.remote)
    if isinstance(source, BlockDisk):
        return element("source", dev=str(source.path))
    if isinstance(source, NetworkDisk):
        if source.secret is not None:
            raise Conflict("libvirt opens no disks that ask for a secret", code="UnsupportedHardware")
        servers = [server_of(each) for each in source.servers]
        hosts = [element("host", name=each["host"], port=each["port"]) for each in servers]
        return element("source", *hosts, protocol=source.protocol, name=source.name)
    return element("source", file=disk.path)


def _letters(number: int) -> str:
    word = ""
    while number >= 0:
        word = chr(ord("a") + number % _LETTERS) + word
        number = number // _LETTERS - 1
    return word
