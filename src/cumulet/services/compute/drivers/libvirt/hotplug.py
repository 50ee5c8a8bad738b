# SPDX-License-Identifier: Apache-2.0
"""Plugging devices into a running domain, and out of it with the guest's consent."""

from __future__ import annotations

import queue
import time
from pathlib import Path

from cumulet.kernel.errors import Conflict
from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.drivers.libvirt import devices, disks, places, plugged, secrets
from cumulet.services.compute.drivers.libvirt.connection import Connection, Heard
from cumulet.services.compute.drivers.libvirt.running import RunningDomain
from cumulet.services.compute.drivers.libvirt.words import element, write
from cumulet.services.compute.drivers.qemu import board
from cumulet.services.compute.drivers.qemu.drives import volume_drive
from cumulet.services.compute.drivers.qemu.hotplug import check_bus
from cumulet.services.compute.drivers.qemu.work import UNPLUG_TIMEOUT, UNPLUG_TRIES
from cumulet.services.compute.types import Guest, PortSpec, VolumeSpec


def plug_volume(
    connection: Connection, domain: RunningDomain, folder: Path, volume: VolumeSpec, source: Disk, guest: Guest
) -> None:
    """`folder` is the server's. Nothing happens where it is plugged in. Conflict where the bus takes no disk now."""
    there = domain.description()
    if places.find(folder, there, volume.volume_id) is not None:
        return
    drive = volume_drive(volume, source, guest.disk_bus)._replace(boot=None)
    check_bus(drive.bus)
    if drive.bus == "scsi" and not plugged.controllers(there, "scsi"):
        board.scsi_controller(guest)
        domain.plug(write(element("controller", type="scsi", index=0, model=guest.scsi_model)))
    if drive.bus == "usb" and not plugged.controllers(there, "usb"):
        raise Conflict("Bus 'usb' does not support hotplugging", code="HypervisorFailed")
    target = disks.Targets(plugged.targets(there).values()).take(drive.bus)
    alias = places.free_alias(there, volume.volume_id)
    made = write(disks.disk(drive, target, alias, server_id=folder.name))
    places.add(folder, there, places.Place(volume.volume_id, alias, disks.place_of(source)))
    with secrets.lent(connection, folder.name, {volume.volume_id: source}):
        domain.plug(made)


def plug_port(domain: RunningDomain, port: PortSpec, tap: str, guest: Guest) -> None:
    domain.plug(write(devices.interface(port, tap, guest)))


def unplug(connection: Connection, domain: RunningDomain, server_id: str, alias: str) -> None:
    """Nothing happens where it is out. Conflict (DeviceDetachFailed) where the guest holds on to it."""
    with connection.listening(server_id) as heard:
        for _attempt in range(UNPLUG_TRIES):
            if not plugged.has(domain.description(), alias) or not domain.ask_to_unplug(alias):
                return
            if _is_out(heard, alias):
                return
    if plugged.has(domain.description(), alias):
        raise Conflict("the guest does not let go of the device", code="DeviceDetachFailed")


def _is_out(heard: queue.SimpleQueue[Heard], alias: str) -> bool:
    """Whether the guest lets go within one try's time; it has the same where it said no."""
    deadline = time.monotonic() + UNPLUG_TIMEOUT
    while True:
        try:
            told = heard.get(timeout=max(deadline - time.monotonic(), 0.0))
        except queue.Empty:
            return False
        if told.kind == "ended" or told == Heard("removed", alias):
            return True
