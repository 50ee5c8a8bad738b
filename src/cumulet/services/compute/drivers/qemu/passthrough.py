# SPDX-License-Identifier: Apache-2.0
"""The host's devices in guests: PCI devices by VFIO, and virtual ones (mediated devices) that others make."""

from __future__ import annotations

from pathlib import Path

from cumulet.kernel.errors import Conflict
from cumulet.services.compute.drivers.host_topology import SYS
from cumulet.services.compute.drivers.qemu.board import Board, Device
from cumulet.services.compute.types import Mdev, Parts, Passed

DRIVER = "vfio-pci"
REMEMBERED = "mdevs"


def devices(parts: Parts, board: Board) -> list[Device]:
    """What QEMU is told of them."""
    passed = [
        {"driver": DRIVER, "host": each.address, "id": f"pci-{_name(each.address)}"} for each in parts.handed_over
    ]
    made = [
        {"driver": DRIVER, "sysfsdev": f"{SYS}/bus/mdev/devices/{each.uuid}", "id": f"mdev-{each.uuid}"}
        for each in parts.mdevs
    ]
    return [board.slot(each) for each in (*passed, *made)]


def prepare(parts: Parts, folder: Path, root: Path = SYS) -> None:
    """Take the devices from the host's own drivers, and have virtual ones made; the server's folder remembers these.

    Conflict where that cannot be.
    """
    if parts.mdevs:
        (folder / REMEMBERED).write_text("\n".join(each.uuid for each in parts.mdevs))
    try:
        for device in parts.handed_over:
            _take(device, root)
        for mdev in parts.mdevs:
            _make(mdev, root)
    except OSError as error:
        words = f"a device of the host cannot be given to the server: {error}"
        raise Conflict(words, code="PciDevicePrepareFailed") from error


def give_back(folder: Path, root: Path = SYS) -> None:
    """Have the virtual devices removed that the folder remembers; those that are not there need nothing."""
    known = folder / REMEMBERED
    for uuid in known.read_text().split() if known.exists() else ():
        switch = root / "bus/mdev/devices" / uuid / "remove"
        if switch.exists():
            switch.write_text("1")


def _take(device: Passed, root: Path) -> None:
    folder = root / "bus/pci/devices" / device.address
    bound = folder / "driver"
    if bound.is_symlink() and bound.resolve().name == DRIVER:
        return
    (folder / "driver_override").write_text(DRIVER)
    if bound.is_symlink():
        (bound / "unbind").write_text(device.address)
    (root / "bus/pci/drivers_probe").write_text(device.address)


def _make(mdev: Mdev, root: Path) -> None:
    if not (root / "bus/mdev/devices" / mdev.uuid).exists():
        folder = root / "class/mdev_bus" / mdev.parent / "mdev_supported_types" / mdev.type
        (folder / "create").write_text(mdev.uuid)


def _name(address: str) -> str:
    return address.replace(":", "-").replace(".", "-")
