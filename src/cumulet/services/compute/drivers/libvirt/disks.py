# SPDX-License-Identifier: Apache-2.0
"""Disks as libvirt's XML: names that guests do not see, aliases by which they are found again, places on buses."""

from __future__ import annotations

from collections.abc import Iterable

from cumulet.kernel.errors import Conflict
from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.drivers.libvirt.words import Element, element
from cumulet.services.compute.drivers.qemu.drives import Drive

# The library keeps aliases that begin so, and makes up others.
_OURS = "ua-"
_PREFIXES = {"virtio": "vd", "ide": "hd", "xen": "xvd"}  # all others are `sd`
RESCUE_CONTROLLER = 1
_LETTERS = 26


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


def disk(drive: Drive, target: str, alias: str = "") -> Element:
    """The disk, under its own alias or another one. Conflict for one that another host exports."""
    made = element("disk", type="file", device="cdrom" if drive.is_cdrom else "disk")
    made.append(element("driver", name="qemu", type=drive.disk.format, discard="unmap"))
    made.append(element("source", file=local_path(drive.disk)))
    made.append(element("target", dev=target, bus=drive.bus))
    if drive.is_read_only or drive.is_cdrom:
        made.append(element("readonly"))
    made.extend([element("serial", text=drive.serial)] if drive.serial else [])
    made.extend([element("boot", order=drive.boot + 1)] if drive.boot is not None else [])
    made.append(element("alias", name=alias or alias_of(drive)))
    if drive.kind == "rescue" and drive.bus == "scsi":
        made.append(element("address", type="drive", controller=RESCUE_CONTROLLER, bus=0, target=0, unit=0))
    return made


def local_path(source: Disk) -> str:
    """The file that is opened. Conflict where another host exports it."""
    if source.network is not None:
        raise Conflict("libvirt opens no volumes of other hosts", code="UnsupportedHardware")
    return source.path


def _letters(number: int) -> str:
    word = ""
    while number >= 0:
        word = chr(ord("a") + number % _LETTERS) + word
        number = number // _LETTERS - 1
    return word
