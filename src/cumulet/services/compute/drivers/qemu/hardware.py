# SPDX-License-Identifier: Apache-2.0
"""A guest's description as arguments of QEMU: machine, processors, firmware and everything but disks and interfaces."""

from __future__ import annotations

import re

from cumulet.kernel.errors import Conflict
from cumulet.services.compute.drivers.qemu.board import Board, Device, unsupported
from cumulet.services.compute.drivers.qemu.firmware import Build
from cumulet.services.compute.types import Guest

# Of all that QEMU calls a machine, those that the rest of this driver knows the buses of.
_MACHINE = re.compile(r"pc|q35|pc-(i440fx|q35)-[0-9.]+")
# Without a bound the cache of translated code makes each guest grow beyond 1 GB.
TRANSLATION_CACHE = 128  # MiB
MOST_SERIAL_PORTS = 4
INTERFACES = {
    "virtio": "virtio-net-pci", "e1000": "e1000", "e1000e": "e1000e", "rtl8139": "rtl8139", "ne2k_pci": "ne2k_pci",
    "pcnet": "pcnet", "vmxnet3": "vmxnet3",
}  # fmt: skip
CARDS = {
    "cirrus": "cirrus-vga", "vga": "VGA", "virtio": "virtio-vga", "bochs": "bochs-display", "vmvga": "vmware-svga",
    "qxl": "qxl-vga",
}  # fmt: skip
_CARD_MEMORY = {"cirrus": "vgamem_mb", "vga": "vgamem_mb", "vmvga": "vgamem_mb", "qxl": "vgamem_mb"}
_SOUND = {"sb16": "sb16", "es1370": "ES1370", "ac97": "AC97", "usb": "usb-audio"}
_HDA = {"ich6": "intel-hda", "ich9": "ich9-intel-hda"}
SOUNDS = (*_SOUND, *_HDA, "pcspk")
IOMMUS = ("intel", "virtio", "auto")
_INPUT = {"usb": ("usb-tablet", "usb-kbd"), "virtio": ("virtio-tablet-pci", "virtio-keyboard-pci")}
# What makes Windows aware of a hypervisor (KVM only); its clock is the local time.
_ENLIGHTENMENTS = (
    "hv-relaxed", "hv-vapic", "hv-vpindex", "hv-runtime", "hv-time", "hv-synic", "hv-reset", "hv-frequencies",
)  # fmt: skip
_ENLIGHTENED = [f"{name}=on" for name in _ENLIGHTENMENTS] + ["hv-spinlocks=8191"]


def machine(guest: Guest, accelerator: str, build: Build | None) -> list[str]:
    """The machine and its firmware. Conflict for a machine type that is none of those known here."""
    name = guest.machine or "pc"
    if not _MACHINE.fullmatch(name):
        raise Conflict(f"Machine type '{name}' is not supported by this host", code="InvalidMachineType")
    words = [name, "usb=off", "vmport=off"]
    if guest.hpet is not None:
        words.append(f"hpet={_switch(guest.hpet)}")
    if guest.sound == "pcspk":
        words.append("pcspk-audiodev=sound")
    if guest.iommu and accelerator == "kvm":
        words.append("kernel-irqchip=split")
    flash: list[str] = []
    if build is not None:
        words += ["pflash0=firmware", "pflash1=nvram"]
        if build.secure:
            # Variables may be changed by the firmware alone, in a mode of the processor that the system cannot enter.
            words.append("smm=on")
            flash += ["-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1"]
    base = "localtime" if guest.windows else "utc"
    menu = "strict=on,menu=on" if guest.boot_menu else "strict=on"
    locked = ["-overcommit", "mem-lock=on"] if guest.locked_memory else []
    return ["-machine", ",".join(words), *flash, "-rtc", f"base={base},driftfix=slew", "-boot", menu, *locked]


def processors(guest: Guest, vcpus: int, accelerator: str, model: str) -> list[str]:
    """Accelerator, processor model and topology; `model` "" is the accelerator's own."""
    is_native = accelerator == "kvm"
    flags = []
    if guest.pmu is not None:
        flags.append(f"pmu={_switch(guest.pmu)}")
    if guest.hidden:
        flags.append("kvm=off")
    if guest.address_mode == "passthrough":
        flags.append("host-phys-bits=on")
    elif guest.address_mode and guest.address_bits:
        flags.append(f"host-phys-bits=off,phys-bits={guest.address_bits}")
    if guest.windows and is_native:
        flags += _ENLIGHTENED
    name = model or ("host" if is_native else "qemu64" if flags else "")
    sockets, cores, threads = (guest.sockets, guest.cores, guest.threads) if guest.sockets else (vcpus, 1, 1)
    engine = "kvm" if is_native else accelerator
    if accelerator == "tcg":
        engine = f"tcg,thread=multi,tb-size={TRANSLATION_CACHE}"
    return [
        *("-accel", engine),
        *(("-cpu", ",".join([name, *flags])) if name else ()),
        *("-smp", f"cpus={vcpus},sockets={sockets},cores={cores},threads={threads}"),
    ]


def extras(guest: Guest, board: Board) -> list[Device]:
    """Devices that a guest has beside disks, interfaces and its consoles' serial ports."""
    found: list[Device] = []
    if guest.agent:
        found += [
            {"driver": "virtio-serial-pci", "id": "channels"},
            {"driver": "virtserialport", "bus": "channels.0", "chardev": "agent", "name": "org.qemu.guest_agent.0"},
        ]
    if guest.tpm:
        found.append({"driver": guest.tpm_model, "tpmdev": "tpm0"})
    if guest.watchdog:
        found.append({"driver": "i6300esb", "id": "watchdog0"})
    if guest.video not in ("", "none"):
        found.append(_card(guest))
    found += [*_input(guest, board), *_sound(guest, board)]
    if guest.usb not in ("", "none"):
        board.usb()
    if guest.usb_redirections:
        raise unsupported("usb-redir")
    return found


def backends(guest: Guest) -> list[str]:
    """What stands behind those devices on the host; the chardevs of agent and TPM are not among it."""
    words: list[str] = []
    if guest.tpm:
        words += ["-tpmdev", "emulator,id=tpm0,chardev=tpm"]
    if guest.watchdog:
        words += ["-action", f"watchdog={guest.watchdog}"]
    if guest.sound:
        words += ["-audiodev", "none,id=sound"]
    return words


def random_numbers(guest: Guest) -> list[str]:
    """Fresh random numbers for the guest, as many as it may have."""
    if not guest.rng:
        return []
    limit = f",max-bytes={guest.rng_bytes},period={guest.rng_period or 1000}" if guest.rng_bytes else ""
    source = ["-object", "rng-random,id=random0,filename=/dev/urandom"]
    return [*source, "-device", f"virtio-rng-pci,rng=random0{limit}"]


def interface(guest: Guest) -> Device:
    """The model of the guest's network interfaces. Conflict for one that QEMU has not."""
    if guest.nic not in INTERFACES:
        raise unsupported(guest.nic)
    found = {"driver": INTERFACES[guest.nic]}
    return {**found, "packed": "on"} if guest.packed_ring and guest.nic == "virtio" else found


def serial_ports(guest: Guest) -> int:
    """How many there are. Conflict for more than the machine has."""
    if guest.serial_ports > MOST_SERIAL_PORTS:
        raise Conflict(
            f"Maximum number of serial port exceeds {MOST_SERIAL_PORTS} for qemu", code="SerialPortNumberLimitExceeded"
        )
    return max(guest.serial_ports, 1)


def _card(guest: Guest) -> Device:
    if guest.video not in CARDS:
        raise Conflict(f"Provided video model ({guest.video}) is not supported.", code="InvalidVideoMode")
    found = {"driver": CARDS[guest.video], "id": "video0"}
    if memory := card_memory(guest):
        found[_CARD_MEMORY[guest.video]] = str(memory)
    return found


def card_memory(guest: Guest) -> int:
    """MiB of the graphics card, which come in powers of two; 0 for its own choice."""
    return 1 << (guest.video_ram - 1).bit_length() if guest.video_ram and guest.video in _CARD_MEMORY else 0


def _input(guest: Guest, board: Board) -> list[Device]:
    found: list[Device] = []
    for number, bus in enumerate((guest.tablet, guest.keyboard)):
        if bus:
            place = {"bus": board.usb()} if bus == "usb" else {}
            found.append({"driver": _INPUT[bus][number], **place})
    return found


def _sound(guest: Guest, board: Board) -> list[Device]:
    if guest.sound in ("", "pcspk"):
        return []
    if guest.sound in _HDA:
        codec = {"driver": "hda-duplex", "bus": "sound0.0", "audiodev": "sound"}
        return [{"driver": _HDA[guest.sound], "id": "sound0"}, codec]
    if guest.sound not in _SOUND:
        raise unsupported(guest.sound)
    place = {"bus": board.usb()} if guest.sound == "usb" else {}
    return [{"driver": _SOUND[guest.sound], **place, "audiodev": "sound"}]


def iommu(guest: Guest) -> list[Device]:
    """The unit that translates devices' addresses; it stands before all other devices. Conflict but on q35."""
    if not guest.iommu:
        return []
    if "q35" not in guest.machine:
        words = f"vIOMMU is not supported by Current machine type {guest.machine or 'pc'} (Architecture: x86_64)."
        raise Conflict(words, code="InvalidVIOMMUMachineType")
    if guest.iommu in ("virtio", "auto"):
        return [{"driver": "virtio-iommu-pci"}]
    if guest.iommu == "intel":
        options = {"intremap": "on", "caching-mode": "on", "device-iotlb": "on", "aw-bits": "48"}
        return [{"driver": "intel-iommu", **options}]
    raise unsupported(guest.iommu)


def _switch(value: bool) -> str:
    return "on" if value else "off"
