# SPDX-License-Identifier: Apache-2.0
"""A guest's devices beside its disks as libvirt's XML: interfaces, consoles, controllers, cards, and what an image
may ask for. What is refused was refused before, by the rules of the QEMU driver."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cumulet.services.compute.drivers.libvirt.disks import RESCUE_CONTROLLER
from cumulet.services.compute.drivers.libvirt.words import QEMU, Element, element
from cumulet.services.compute.drivers.qemu import board, guest_agent, hardware, tpm
from cumulet.services.compute.drivers.qemu.command_line import CONSOLE_LOG, serial_sockets
from cumulet.services.compute.types import Display, Guest, PortSpec, ServerSpec

KIB = 1 << 10
DEFAULT_USB = "qemu-xhci"


def port_alias(port_id: str) -> str:
    return f"ua-nic-{port_id}"


def interface(port: PortSpec, tap: str, guest: Guest) -> Element:
    """A network interface on a tap that is there. It has no boot ROM, which would cost seconds at each start."""
    made = element("interface", type="ethernet")
    made.append(element("mac", address=port.mac))
    made.append(element("target", dev=tap, managed="no"))
    made.append(element("model", type=guest.nic))
    words = {"packed": "on"} if guest.packed_ring and guest.nic == "virtio" else {}
    if port.queues > 1:
        words["queues"] = str(port.queues)
    if words:
        made.append(Element("driver", words))
    if port.mtu:
        made.append(element("mtu", size=port.mtu))
    made.append(element("rom", enabled="no"))
    made.append(element("alias", name=port_alias(port.id)))
    return made


def serial_ports(guest: Guest, folder: Path) -> list[Element]:
    """The first port is the console, which is kept; what goes to the others is lost where nobody listens."""
    found: list[Element] = []
    for number, name in enumerate(serial_sockets(guest)):
        log = element("log", file=str(folder / CONSOLE_LOG), append="on") if number == 0 else None
        source = element("source", mode="bind", path=str(folder / name))
        found.append(element("serial", source, log, element("target", port=number), type="unix"))
    return found


def graphics(displays: Sequence[Display]) -> list[Element]:
    """VNC and SPICE that listen nowhere: the daemon hands out streams."""
    return [
        element("graphics", element("listen", type="none"), type=each) for each in displays if each in ("vnc", "spice")
    ]


def card(guest: Guest, displays: Sequence[Display]) -> Element:
    """The graphics card: a plain one for displays where the guest has no wish."""
    is_shown = bool({"vnc", "spice"} & set(displays))
    model = guest.video or ("vga" if is_shown else "none")
    memory = hardware.card_memory(guest)
    made = element("model", type=model)
    if memory:
        made.set("vgamem" if model == "qxl" else "vram", str(memory * KIB))
    return element("video", made)


def controllers(spec: ServerSpec, drives_on: Sequence[str]) -> list[Element]:
    """Those that devices need; `drives_on` are the buses of the disks. libvirt makes the ones of a machine itself."""
    guest = spec.guest
    found: list[Element] = []
    if board.is_pcie(guest):
        found += [element("controller", type="pci", model="pcie-root")]
        ports = board.FREE_PORTS + drives_on.count("virtio") + len(spec.ports)
        found += [element("controller", type="pci", model="pcie-root-port") for _ in range(ports)]
    rescue_on = spec.rescue.bus if spec.rescue is not None else ""
    if "scsi" in [guest.disk_bus, guest.cdrom_bus, *drives_on]:
        found.append(element("controller", type="scsi", index=0, model=guest.scsi_model))
    if rescue_on == "scsi":
        found.append(element("controller", type="scsi", index=RESCUE_CONTROLLER, model="virtio-scsi"))
    needs_usb = "usb" in [guest.tablet, guest.keyboard, guest.sound, *drives_on]
    wanted = guest.usb if guest.usb not in ("", "none") else DEFAULT_USB if needs_usb else "none"
    return [*found, element("controller", type="usb", model=wanted)]


def extras(guest: Guest, folder: Path) -> list[Element]:
    """What images and flavors may ask for, in libvirt's words, which are those of the properties."""
    found: list[Element] = []
    if guest.agent:
        source = element("source", mode="bind", path=str(folder / guest_agent.SOCKET))
        target = element("target", type="virtio", name=guest_agent.PORT)
        found.append(element("channel", source, target, type="unix"))
    for kind, bus in (("tablet", guest.tablet), ("keyboard", guest.keyboard)):
        if bus:
            found.append(element("input", type=kind, bus=bus))
    if guest.sound:
        found.append(element("sound", model=guest.sound))
    found.append(element("audio", id=1, type="none"))
    if guest.watchdog:
        found.append(element("watchdog", model="i6300esb", action=guest.watchdog))
    if guest.rng:
        found.append(_random_numbers(guest))
    if guest.iommu:
        found.append(_iommu(guest))
    return [*found, element("memballoon", model="none")]


def tpm_arguments(guest: Guest, folder: Path) -> Element | None:
    """The TPM that waits in the server's folder, in QEMU's words: libvirt 9.0 knows it in XML and refuses it."""
    if not guest.tpm:
        return None
    path = str(folder / tpm.SOCKET).replace(",", ",,")
    words = ["-chardev", f"socket,id=tpm,path={path}", "-tpmdev", "emulator,id=tpm0,chardev=tpm"]
    words += ["-device", f"{guest.tpm_model},tpmdev=tpm0"]
    return element(f"{QEMU}commandline", *(element(f"{QEMU}arg", value=word) for word in words))


def _random_numbers(guest: Guest) -> Element:
    made = element("rng", model="virtio")
    if guest.rng_bytes:
        made.append(element("rate", bytes=guest.rng_bytes, period=guest.rng_period or 1000))
    made.append(element("backend", model="random", text="/dev/urandom"))
    return made


def _iommu(guest: Guest) -> Element:
    if guest.iommu != "intel":
        return element("iommu", model="virtio")
    words = {"intremap": "on", "caching_mode": "on", "iotlb": "on", "aw_bits": "48"}
    return element("iommu", element("driver", **words), model="intel")
