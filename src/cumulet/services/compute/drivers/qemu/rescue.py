# SPDX-License-Identifier: Apache-2.0
"""A rescue's disk: how it is made and plugged in; and images written over volumes."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cumulet.kernel.errors import Conflict
from cumulet.services.compute.drivers.base import Disk, Supplies
from cumulet.services.compute.drivers.qemu import overlay
from cumulet.services.compute.types import RescueSpec, ServerSpec

DISK = "rescue.qcow2"
HEADER = 2 << 20  # bytes that a container needs for itself
NODE = "rescue"
# The controller that a bus needs, and what a disk and a CD drive are called there.
_BUSES = {
    "virtio": ((), "virtio-blk-pci", ""),
    "scsi": (("-device", "virtio-scsi-pci,id=rescue-bus"), "scsi-hd,bus=rescue-bus.0", "scsi-cd,bus=rescue-bus.0"),
    "ide": ((), "ide-hd", "ide-cd"),
    "sata": (("-device", "ahci,id=rescue-bus"), "ide-hd,bus=rescue-bus.0", "ide-cd,bus=rescue-bus.0"),
    "usb": (("-device", "qemu-xhci,id=rescue-bus"), "usb-storage,bus=rescue-bus.0", ""),
}


def prepare(folder: Path, wanted: RescueSpec | None, supplies: Supplies) -> None:
    """Make the disk, as large as its image; take it away where none is wanted."""
    if wanted is None:
        (folder / DISK).unlink(missing_ok=True)
    elif not (folder / DISK).exists():
        overlay.make_root(folder / DISK, supplies.base(wanted.image_id), wanted.image_format, 0)


def plugged(spec: ServerSpec) -> ServerSpec:
    """The server with the disks that it is started with: in a plain rescue those of its own are the only ones."""
    if spec.rescue is None or spec.rescue.bus:
        return spec
    return msgspec.structs.replace(spec, volumes=[], disks=[])


def device(wanted: RescueSpec) -> list[str]:
    """The arguments that plug the block node in, first in the boot order."""
    controller, disk, drive = _BUSES[wanted.bus or "virtio"]
    driver = drive if wanted.device == "cdrom" else disk
    return [*controller, "-device", f"{driver},drive={NODE},id={NODE},bootindex=0"]


def fill_volume(volume: Disk, image: Path, image_format: str) -> None:
    """Write the image over the volume; Conflict where it is not in a file of this host, or too small."""
    if volume.source is not None:
        raise Conflict("the volume is in no file of this host", code="VolumeNotLocal")
    path = Path(volume.path)
    size = overlay.size_of(path, volume.format) - (HEADER if volume.key else 0)
    if overlay.virtual_size(image, image_format) > size:
        raise Conflict("the image is larger than the volume", code="FlavorDiskSmallerThanImage")
    if volume.key:
        overlay.overwrite_in_container(path, volume.format, volume.key, image, image_format)
    else:
        overlay.overwrite(path, volume.format, image, image_format)
