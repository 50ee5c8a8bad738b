# SPDX-License-Identifier: Apache-2.0
"""Places for devices that are plugged in while the guest runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from cumulet.kernel.errors import Conflict
from cumulet.kernel.qmp import Monitor
from cumulet.services.compute.drivers.qemu import board
from cumulet.services.compute.types import Guest

FILE = "guest.json"


def remember(folder: Path, guest: Guest) -> None:
    """Keep in the server's folder what it was started with, for whoever takes it up later."""
    (folder / FILE).write_bytes(msgspec.json.encode(guest))


def recall(folder: Path) -> Guest:
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Guest)
    except FileNotFoundError:
        return Guest()


def began(folder: Path) -> float:
    """When the server was last started, in seconds since 1970."""
    return (folder / FILE).stat().st_mtime


async def slot(monitor: Monitor, guest: Guest, device: Mapping[str, Any]) -> dict[str, Any]:
    """A PCI device at a free place; Conflict where all of the guest's ports are taken."""
    if not board.is_pcie(guest):
        return dict(device)
    buses = await monitor.execute("query-pci")
    ports = (each for bus in buses for each in bus["devices"] if each["qdev_id"].startswith(board.PORT))
    for port in ports:
        if not port.get("pci_bridge", {}).get("devices"):
            return {**device, "bus": port["qdev_id"]}
    raise Conflict("the machine has no free port for another device", code="TooManyDiskDevices")


async def drive(monitor: Monitor, guest: Guest, bus: str, device: Mapping[str, Any]) -> dict[str, Any]:
    """A disk on a bus, whose controller is plugged in first where there is none. Conflict where a bus takes no disk."""
    check_bus(bus)
    if bus == "virtio":
        return await slot(monitor, guest, {"driver": "virtio-blk-pci", **device})
    if bus == "scsi":
        await _need(monitor, guest, board.scsi_controller(guest))
        return {"driver": "scsi-hd", "bus": f"{board.SCSI}.0", **device}
    await _need(monitor, guest, {"driver": "qemu-xhci", "id": board.USB})
    return {"driver": "usb-storage", "bus": f"{board.USB}.0", **device}


def check_bus(bus: str) -> None:
    """Conflict for a bus that takes no disk while the guest runs."""
    if bus in ("ide", "sata"):
        raise Conflict(f"Bus '{bus}' does not support hotplugging", code="HypervisorFailed")
    if bus not in board.BUSES:
        raise board.unsupported(bus)


async def _need(monitor: Monitor, guest: Guest, controller: Mapping[str, Any]) -> None:
    there = [entry["name"] for entry in await monitor.execute("qom-list", path="/machine/peripheral")]
    if controller["id"] not in there:
        await monitor.send("device_add", await slot(monitor, guest, controller))
