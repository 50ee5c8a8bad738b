# SPDX-License-Identifier: Apache-2.0
"""A server's disks in the order in which its guest finds them, each with its bus and its place in the boot order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.drivers.qemu import rescue
from cumulet.services.compute.types import ServerSpec, VolumeSpec

ROOT_DISK = "root.qcow2"
CONFIG_DRIVE = "config-drive.iso"


class Drive(NamedTuple):
    """A disk or a CD drive: `name` is a volume's id, or how the server's own disk is called; `boot` counts from 0.

    `kind` `rescue` is on a controller of its own.
    """

    kind: Literal["rescue", "root", "local", "volume", "config"]
    name: str
    disk: Disk
    bus: str
    boot: int | None = None
    is_cdrom: bool = False
    is_read_only: bool = False
    serial: str = ""
    limits: Mapping[str, int] = {}


def drives(spec: ServerSpec, folder: Path, volumes: dict[str, Disk]) -> list[Drive]:
    """`folder` holds the server's own disks; `volumes` says where each attached volume is opened."""
    own = spec.guest.disk_bus
    found = _rescue(spec, folder) if spec.rescue is not None and not spec.rescue.bus else []
    if spec.image_id is not None:
        found.append(Drive("root", "root", _qcow2(folder / ROOT_DISK), own, boot=1))
    roots = [volume for volume in spec.volumes if volume.boot_index == 0]
    found += [volume_drive(volume, volumes[volume.volume_id], own) for volume in roots]
    found += [Drive("local", disk.name, _qcow2(folder / f"{disk.name}.qcow2"), own) for disk in spec.disks]
    others = sorted((each for each in spec.volumes if each not in roots), key=_attach_order)
    found += [volume_drive(volume, volumes[volume.volume_id], own) for volume in others]
    if spec.rescue is not None and spec.rescue.bus:
        found += _rescue(spec, folder)
    if spec.config_drive is not None:
        bus = spec.guest.cdrom_bus
        path = Disk(path=str(folder / CONFIG_DRIVE), format="raw")
        found.append(Drive("config", "config", path, bus or "virtio", is_cdrom=bool(bus), is_read_only=True))
    return found


def volume_drive(volume: VolumeSpec, disk: Disk, own: str) -> Drive:
    """An attached volume that is opened at `disk`; `own` is the bus of the guest's disks."""
    boot = volume.boot_index + 1 if volume.boot_index is not None and volume.boot_index >= 0 else None
    bus, serial, read_only = volume.bus or own, volume.serial, volume.read_only
    return Drive(
        "volume", volume.volume_id, disk, bus, boot=boot, serial=serial, is_read_only=read_only, limits=volume.limits
    )


def _rescue(spec: ServerSpec, folder: Path) -> list[Drive]:
    if spec.rescue is None:
        return []
    disk, is_cdrom = _qcow2(folder / rescue.DISK), spec.rescue.device == "cdrom"
    return [Drive("rescue", rescue.NODE, disk, spec.rescue.bus or "virtio", boot=0, is_cdrom=is_cdrom)]


def _attach_order(volume: VolumeSpec) -> tuple[int, str]:
    """By device name, which is what guests number their disks by."""
    return len(volume.device), volume.device


def _qcow2(path: Path) -> Disk:
    return Disk(path=str(path), format="qcow2")
