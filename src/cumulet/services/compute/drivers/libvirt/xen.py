# SPDX-License-Identifier: Apache-2.0
"""A server as a libvirt domain of Xen: paravirtual where it is started with a kernel, else fully virtual (HVM).

Xen's devices are its own: disks and interfaces that say `virtio`, which is what images without a wish say, are Xen's
paravirtual ones. What Xen has not is refused as the QEMU driver refuses, and only what can be is rendered.
"""

from __future__ import annotations

from pathlib import Path

from cumulet.kernel.errors import Conflict
from cumulet.services.block_storage.contract import NetworkSource
from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.drivers.libvirt import disks
from cumulet.services.compute.drivers.libvirt.domain import Surroundings, identity, kernel
from cumulet.services.compute.drivers.libvirt.words import Element, element, write
from cumulet.services.compute.drivers.qemu.drives import Drive, drives
from cumulet.services.compute.types import Guest, PortSpec, ServerSpec

TYPE = "Xen"  # what a connection calls itself
LOADER = "/usr/lib/xen/boot/hvmloader"
# What a guest may wish, and what Xen has for it; beside the first, HVM alone.
_BUSES = {"virtio": "xen", "ide": "ide"}
_INTERFACES = {
    "virtio": "netfront",
    "e1000": "e1000",
    "rtl8139": "rtl8139",
    "ne2k_pci": "ne2k_pci",
    "pcnet": "pcnet",
}
_CARDS = ("vga", "cirrus", "none")


def domain(spec: ServerSpec, folder: Path, volumes: dict[str, Disk], surroundings: Surroundings) -> str:
    """The domain's XML; ports are on the bridges that `surroundings` names. Conflict for hardware that Xen has not."""
    is_hvm = not surroundings.kernel
    _judge(spec, is_hvm=is_hvm)
    guest = spec.guest
    return write(
        element(
            "domain",
            *(identity(spec) if is_hvm else identity(spec)[:2]),
            element("memory", text=str(spec.ram), unit="MiB"),
            element("vcpu", text=str(spec.vcpus)),
            _system(spec, surroundings, is_hvm=is_hvm),
            element("features", element("acpi"), element("apic"), element("pae")) if is_hvm else None,
            element("clock", offset="localtime" if guest.windows else "utc"),
            element("on_poweroff", text="destroy"),
            element("on_reboot", text="restart"),
            element("on_crash", text="destroy"),
            _devices(spec, folder, volumes, surroundings, is_hvm=is_hvm),
            type="xen",
        )
    )


def _judge(spec: ServerSpec, *, is_hvm: bool) -> None:
    """Refuse what would be there on QEMU and cannot be on Xen."""
    guest = spec.guest
    wanted: dict[str, object] = {
        "uefi": guest.firmware == "uefi",
        "tpm": guest.tpm,
        "qemu-guest-agent": guest.agent,
        "watchdog": guest.watchdog,
        "sound": guest.sound,
        "iommu": guest.iommu,
        "usb-redir": guest.usb_redirections,
        "numa": spec.parts.numa,
        "hostdev": spec.parts.devices or spec.parts.mdevs,
        "rescue": spec.rescue is not None and spec.rescue.bus not in ("", *_BUSES),
        guest.machine: guest.machine not in ("", "pc"),
    }
    if not is_hvm:
        wanted |= {"boot menu": guest.boot_menu, guest.video: guest.video not in ("", "none")}
        wanted |= {"tablet": guest.tablet, "keyboard": guest.keyboard}
    for name, is_wanted in wanted.items():
        if is_wanted:
            raise unsupported(name)
    if guest.video and guest.video not in _CARDS:
        raise Conflict(f"Provided video model ({guest.video}) is not supported.", code="InvalidVideoMode")


def _system(spec: ServerSpec, surroundings: Surroundings, *, is_hvm: bool) -> Element:
    if not is_hvm:
        made = element("os", element("type", arch="x86_64", machine="xenpv", text="linux"))
        made.extend(kernel(spec, surroundings.kernel, root="xvda", console="hvc0"))
        return made
    made = element("os", element("type", arch="x86_64", machine="xenfv", text="hvm"))
    made.append(element("loader", type="rom", text=LOADER))
    made.append(element("boot", dev="hd"))
    if spec.guest.boot_menu:
        made.append(element("bootmenu", enable="yes"))
    made.append(element("smbios", mode="sysinfo"))
    return made


def _devices(
    spec: ServerSpec, folder: Path, volumes: dict[str, Disk], surroundings: Surroundings, *, is_hvm: bool
) -> Element:
    guest, targets = spec.guest, disks.Targets()
    made = element("devices")
    for drive in drives(spec, folder, volumes):
        placed = _placed(drive, is_hvm=is_hvm)
        made.append(disks.disk(placed, targets.take(placed.bus), server_id=spec.id))
    made.extend([_interface(port, surroundings.bridges[port.id], guest, is_hvm=is_hvm) for port in spec.ports])
    kind = "serial" if is_hvm else "xen"
    made.append(element("console", element("target", type=kind, port=0), type="pty"))
    if guest.tablet == "usb":
        made.append(element("input", type="tablet", bus="usb"))
    if "vnc" in surroundings.displays:
        made.append(element("graphics", element("listen", type="none"), type="vnc"))
        card = (guest.video or "vga") if is_hvm else "xen"
        made.append(element("video", element("model", type=card)))
    made.append(element("memballoon", model="xen"))
    return made


def _placed(drive: Drive, *, is_hvm: bool) -> Drive:
    """The drive on Xen's bus; the order of booting is that of the disks."""
    if isinstance(drive.disk.source, NetworkSource):
        raise unsupported(drive.disk.source.remote.protocol)
    if drive.bus not in _BUSES or (not is_hvm and (drive.bus != "virtio" or drive.is_cdrom)):
        raise unsupported(drive.bus)
    return drive._replace(bus=_BUSES[drive.bus], boot=None)


def _interface(port: PortSpec, bridge: str, guest: Guest, *, is_hvm: bool) -> Element:
    if guest.nic not in _INTERFACES or (not is_hvm and guest.nic != "virtio"):
        raise unsupported(guest.nic)
    parts = [element("mac", address=port.mac), element("source", bridge=bridge)]
    return element("interface", *parts, element("model", type=_INTERFACES[guest.nic]), type="bridge")


def unsupported(model: str) -> Conflict:
    return Conflict(
        f"Requested hardware '{model}' is not supported by the 'xen' virt driver", code="UnsupportedHardware"
    )
