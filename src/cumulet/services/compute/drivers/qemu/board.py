# SPDX-License-Identifier: Apache-2.0
"""Places for devices on a machine: slots, controllers, and the drives on them.

The machine `pc` has one PCI bus, all slots of which take devices while the guest runs. On `q35` only root ports do, so
each disk and interface gets one of its own, and some stay free.
"""

from __future__ import annotations

from collections.abc import Mapping

from cumulet.kernel.errors import Conflict
from cumulet.services.compute.types import Guest

BUSES = ("virtio", "scsi", "ide", "sata", "usb")
FREE_PORTS = 12
PORT = "port"
USB = "usb"
_FIRST_SLOT = 8  # of the root ports; eight functions a slot
_SATA_DRIVES = 6
_IDE_CHANNELS, _IDE_UNITS = 2, 2
_SCSI_CONTROLLERS = {
    "virtio-scsi": "virtio-scsi-pci",
    "lsilogic": "lsi53c895a",
    "lsisas1068": "mptsas1068",
    "lsisas1078": "megasas",
    "vmpvscsi": "pvscsi",
}
_USB_CONTROLLERS = {"nec-xhci": "nec-usb-xhci"}
SCSI = "scsi0"

Device = dict[str, str]


class Board:
    """Gives out places in the order of asking; `controllers` holds what the places need."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._controllers: dict[str, Device] = {}
        self._drives: dict[str, int] = {}
        self._ports = 0
        self.is_pcie = is_pcie(guest)

    def slot(self, device: Mapping[str, str]) -> Device:
        """A PCI device, at a place of its own from which it can be taken while the guest runs."""
        if not self.is_pcie:
            return dict(device)
        self._ports += 1
        return {**device, "bus": f"{PORT}{self._ports - 1}"}

    def drive(self, bus: str, device: Mapping[str, str], *, cdrom: bool = False) -> Device:
        """A disk or a CD drive on a bus (virtio, scsi, ide, sata, usb): `device` names its block node and itself.

        Conflict for a bus that there is not, or that has no place left.
        """
        if bus == "virtio":
            return self.slot({"driver": "virtio-blk-pci", **device})
        if bus == "scsi":
            self._need(SCSI, scsi_controller(self._guest))
            return {"driver": "scsi-cd" if cdrom else "scsi-hd", "bus": f"{SCSI}.0", **device}
        if bus == "usb":
            self.usb()
            return {"driver": "usb-storage", "bus": f"{USB}.0", **device}
        if bus in ("ide", "sata"):
            return {"driver": "ide-cd" if cdrom else "ide-hd", **self._ata(bus), **device}
        raise unsupported(bus)

    def usb(self) -> str:
        """The name of the USB bus, for a device on it."""
        model = self._guest.usb if self._guest.usb not in ("", "none") else "qemu-xhci"
        self._need(USB, {"driver": _USB_CONTROLLERS.get(model, model), "id": USB})
        return f"{USB}.0"

    def controllers(self) -> list[Device]:
        """What stands before the devices on the command line: root ports and controllers."""
        ports = self._ports + FREE_PORTS if self.is_pcie else 0
        return [*(_root_port(number) for number in range(ports)), *self._controllers.values()]

    def _ata(self, bus: str) -> Device:
        number = self._drives.get(bus, 0)
        self._drives[bus] = number + 1
        if bus == "sata" and self.is_pcie:
            # The machine's own controller.
            if number >= _SATA_DRIVES:
                raise _full(bus)
            return {"bus": f"ide.{number}"}
        if bus == "sata":
            name = f"sata{number // _SATA_DRIVES}"
            self._need(name, {"driver": "ich9-ahci", "id": name})
            return {"bus": f"{name}.{number % _SATA_DRIVES}"}
        if self.is_pcie:
            raise unsupported(bus)
        if number >= _IDE_CHANNELS * _IDE_UNITS:
            raise _full(bus)
        return {"bus": f"ide.{number // _IDE_UNITS}", "unit": str(number % _IDE_UNITS)}

    def _need(self, name: str, controller: Device) -> None:
        self._controllers.setdefault(name, controller)


def is_pcie(guest: Guest) -> bool:
    return "q35" in guest.machine


def scsi_controller(guest: Guest) -> Device:
    """The controller of the guest's SCSI bus; Conflict for a model that QEMU has not."""
    if guest.scsi_model not in _SCSI_CONTROLLERS:
        raise unsupported(guest.scsi_model)
    return {"driver": _SCSI_CONTROLLERS[guest.scsi_model], "id": SCSI}


def unsupported(model: str) -> Conflict:
    """What OpenStack says of hardware that a hypervisor does not have."""
    return Conflict(
        f"Requested hardware '{model}' is not supported by the 'qemu' virt driver", code="UnsupportedHardware"
    )


def _full(bus: str) -> Conflict:
    return Conflict(f"The {bus} bus has no place for another drive", code="TooManyDiskDevices")


def _root_port(number: int) -> Device:
    found = {
        "driver": "pcie-root-port",
        "id": f"{PORT}{number}",
        "chassis": str(number + 1),
        "addr": f"0x{_FIRST_SLOT + number // 8:x}.{number % 8}",
        # Devices here need none of the scarce ports that old PCI devices talk through.
        "io-reserve": "0",
    }
    return {**found, "multifunction": "on"} if number % 8 == 0 else found
