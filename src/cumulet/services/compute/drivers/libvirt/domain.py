# SPDX-License-Identifier: Apache-2.0
"""A server as a libvirt domain of QEMU or KVM, as a pure function of what the server is.

What hardware a guest has, in which order and what of it is refused, is decided where the QEMU driver decides it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.drivers.libvirt import devices, disks, parts
from cumulet.services.compute.drivers.libvirt.words import Element, element, switch, write, yes
from cumulet.services.compute.drivers.qemu import guest_agent, hardware
from cumulet.services.compute.drivers.qemu.command_line import (
    CONTROL_SOCKET,
    EVENTS_SOCKET,
    PROGRAM,
    Inheritance,
    Machine,
    command_line,
    serial_sockets,
)
from cumulet.services.compute.drivers.qemu.drives import drives
from cumulet.services.compute.drivers.qemu.firmware import VARIABLES
from cumulet.services.compute.types import Display, Guest, HostNode, ServerSpec

# What makes Windows aware of a hypervisor (KVM only), by libvirt's names; the clock is a timer there.
_ENLIGHTENMENTS = ("relaxed", "vapic", "vpindex", "runtime", "synic", "reset", "frequencies")


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What the host adds: taps or bridges by port, kernel and first file system, kinds of consoles, its own nodes."""

    taps: dict[str, str] = {}
    bridges: dict[str, str] = {}
    nodes: Sequence[HostNode] = ()
    kernel: tuple[Path, ...] = ()
    displays: Sequence[Display] = ()


def domain(
    spec: ServerSpec, folder: Path, machine: Machine, volumes: dict[str, Disk], surroundings: Surroundings
) -> str:
    """The domain's XML. `folder` holds the server's disks; `volumes` says where each attached volume is opened.

    Conflict where the guest asks for hardware that QEMU, or libvirt's QEMU, has not.
    """
    judge(spec, folder, machine, volumes)
    guest = spec.guest
    is_native = machine.accelerator == "kvm"
    tuned = parts.tuning(guest, spec.parts.numa, surroundings.nodes, spec.vcpus)
    return write(
        element(
            "domain",
            *identity(spec),
            element("memory", text=str(spec.ram), unit="MiB"),
            tuned.memory,
            element("vcpu", text=str(spec.vcpus)),
            tuned.processors,
            tuned.nodes,
            _system(spec, folder, machine, surroundings),
            _features(guest, machine),
            _processor(spec, machine, tuned.cells),
            _clock(guest, is_native=is_native),
            element("on_poweroff", text="destroy"),
            element("on_reboot", text="restart"),
            element("on_crash", text="destroy"),
            _devices(spec, folder, volumes, surroundings),
            devices.tpm_arguments(guest, folder),
            type="kvm" if is_native else "qemu",
        )
    )


def judge(spec: ServerSpec, folder: Path, machine: Machine, volumes: dict[str, Disk]) -> None:
    """Refuse what the QEMU driver refuses, in its words: it would have to render the same server."""
    names = [CONTROL_SOCKET, EVENTS_SOCKET, guest_agent.SOCKET, *serial_sockets(spec.guest)]
    taps, keys = {port.id: [0] for port in spec.ports}, {each: 0 for each, disk in volumes.items() if disk.key}
    nobody = Inheritance(sockets=dict.fromkeys(names, 0), taps=taps, keys=keys)
    command_line(spec, folder, machine, volumes, nobody)


def identity(spec: ServerSpec) -> list[Element]:
    """Name, number and what guests find out by that they run in an OpenStack cloud."""
    words = {"manufacturer": "Cumulet", "product": "OpenStack Compute", "serial": spec.id, "uuid": spec.id}
    entries = [element("entry", name=name, text=text) for name, text in words.items()]
    return [
        element("name", text=spec.id),
        element("uuid", text=spec.id),
        element("sysinfo", element("system", *entries), type="smbios"),
    ]


def kernel(spec: ServerSpec, paths: Sequence[Path], root: str = "", console: str = "ttyS0") -> list[Element]:
    """A kernel that is started past the boot loader; it finds its root where the first disk is."""
    if not paths:
        return []
    root = root or ("vda" if spec.guest.disk_bus == "virtio" else "sda")
    default = f"root=/dev/{root} console=tty0 console={console}"
    found = [element(name, text=str(path)) for name, path in zip(("kernel", "initrd"), paths, strict=False)]
    return [*found, element("cmdline", text=spec.guest.command_line or default)]


def _system(spec: ServerSpec, folder: Path, machine: Machine, surroundings: Surroundings) -> Element:
    made = element("os", element("type", arch="x86_64", machine=spec.guest.machine or "pc", text="hvm"))
    if machine.firmware is not None:
        code = str(machine.firmware.code)
        made.append(element("loader", readonly="yes", secure=yes(machine.firmware.secure), type="pflash", text=code))
        made.append(element("nvram", text=str(folder / VARIABLES)))
    made.extend(kernel(spec, surroundings.kernel))
    made.append(element("bootmenu", enable=yes(spec.guest.boot_menu)))
    made.append(element("smbios", mode="sysinfo"))
    return made


def _features(guest: Guest, machine: Machine) -> Element:
    made = element("features", element("acpi"), element("apic"))
    made.extend([element("pmu", state=switch(guest.pmu))] if guest.pmu is not None else [])
    made.extend([element("ioapic", driver="qemu")] if guest.iommu else [])
    if machine.accelerator == "kvm":
        made.extend([_enlightenments()] if guest.windows else [])
    else:
        cache = element("tb-cache", unit="MiB", text=str(hardware.TRANSLATION_CACHE))
        made.append(element("tcg", cache))
    made.extend([element("kvm", element("hidden", state="on"))] if guest.hidden else [])
    made.append(element("vmport", state="off"))
    if machine.firmware is not None and machine.firmware.secure:
        made.append(element("smm", state="on"))
    return made


def _enlightenments() -> Element:
    made = element("hyperv", *(element(name, state="on") for name in _ENLIGHTENMENTS), mode="custom")
    made.append(element("spinlocks", state="on", retries=8191))
    return made


def _processor(spec: ServerSpec, machine: Machine, cells: Element | None) -> Element:
    guest = spec.guest
    default = "host" if machine.accelerator == "kvm" else "qemu64" if guest.address_mode else ""
    model, *flags = (machine.cpu or default).split(",")
    sockets, cores, threads = (guest.sockets, guest.cores, guest.threads) if guest.sockets else (spec.vcpus, 1, 1)
    topology = element("topology", sockets=sockets, dies=1, cores=cores, threads=threads)
    made = element("cpu")
    if model == "host":
        made = element("cpu", mode="host-passthrough", check="none")
    elif model == "max":
        made = element("cpu", mode="maximum", check="none")
    elif model:
        made = element(
            "cpu", element("model", fallback="forbid", text=model), mode="custom", match="exact", check="none"
        )
    made.append(topology)
    for name, _, value in (flag.partition("=") for flag in flags):
        made.append(element("feature", name=name, policy="require" if value == "on" else "disable"))
    if guest.address_mode == "passthrough":
        made.append(element("maxphysaddr", mode="passthrough"))
    elif guest.address_mode and guest.address_bits:
        made.append(element("maxphysaddr", mode="emulate", bits=guest.address_bits))
    if cells is not None:
        made.append(cells)
    return made


def _clock(guest: Guest, *, is_native: bool) -> Element:
    made = element("clock", offset="localtime" if guest.windows else "utc")
    made.append(element("timer", name="rtc", tickpolicy="catchup"))
    if guest.hpet is not None:
        made.append(element("timer", name="hpet", present=yes(guest.hpet)))
    if guest.windows and is_native:
        made.append(element("timer", name="hypervclock", present="yes"))
    return made


def _devices(spec: ServerSpec, folder: Path, volumes: dict[str, Disk], surroundings: Surroundings) -> Element:
    guest, targets = spec.guest, disks.Targets()
    found = drives(spec, folder, volumes)
    return element(
        "devices",
        element("emulator", text=f"/usr/bin/{PROGRAM}"),
        *devices.controllers(spec, [drive.bus for drive in found]),
        *(disks.disk(drive, targets.take(drive.bus), server_id=spec.id) for drive in found),
        *(devices.interface(port, surroundings.taps[port.id], guest) for port in spec.ports if not port.passed),
        *devices.serial_ports(guest, folder),
        *devices.graphics(surroundings.displays),
        devices.card(guest, surroundings.displays),
        *devices.extras(guest, folder),
        *parts.devices(spec.parts),
    )
