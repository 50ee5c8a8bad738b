# SPDX-License-Identifier: Apache-2.0
"""A server's hardware as its flavor and its image ask for it: what is refused at the API, and the whole description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.errors import Invalid
from cumulet.services.compute.logic.extra_specs import is_true
from cumulet.services.compute.logic.guest import encryption, exclusive, topology
from cumulet.services.compute.logic.guest.agreement import Wishes, choose, number
from cumulet.services.compute.logic.numa import wanted as numa
from cumulet.services.compute.types import Flavor, Guest

SOUNDS = ("sb16", "es1370", "pcspk", "ac97", "ich6", "ich9", "usb", "virtio")
USB_CONTROLLERS = ("none", "nec-xhci", "qemu-xhci")
TPM_VERSIONS = ("1.2", "2.0")
TPM_MODELS = ("tpm-tis", "tpm-crb")
SECURE_BOOTS = ("required", "disabled", "optional")
ADDRESS_MODES = ("passthrough", "emulate")
WATCHDOG_ACTIONS = ("none", "pause", "poweroff", "reset", "disabled")
IOMMUS = ("intel", "smmuv3", "virtio", "auto")
MOST_USB_PORTS = 15
MOST_QUEUES = 256  # of a tap, by the kernel


def check(flavor: Flavor, words: Mapping[str, str], name: str | None = None, image_id: str = "") -> None:
    """Raise Invalid, as OpenStack's API does before a server is made, for what image and flavor cannot say together."""
    if (drive := words.get("img_config_drive", "optional")) not in ("optional", "mandatory"):
        raise Invalid(f"Image's config drive option '{drive}' is invalid", code="InvalidImageConfigDrive")
    _check_packed_ring(flavor, words)
    wishes = Wishes.of(flavor, words, name, image_id)
    encryption.check(wishes)
    wishes.flag("pmu")
    _serial_ports(wishes)
    topology.check(wishes)
    _multiqueue(wishes)
    numa.of(wishes)
    exclusive.pci_policy(wishes)


def describe(flavor: Flavor, words: Mapping[str, str], name: str | None = None, image_id: str = "") -> Guest:
    """The whole hardware. Raises Invalid for what `check` lets through and hosts refuse."""
    return of(Wishes.of(flavor, words, name, image_id))


def of(wishes: Wishes) -> Guest:
    """The same of wishes that were read."""
    image, flavor = wishes.image, wishes.flavor
    shape = topology.choose(wishes) if flavor.vcpus else topology.Topology(0, 0, 0)
    plain = shape == (flavor.vcpus, 1, 1)
    return Guest(
        **_firmware(wishes),
        **_tpm(wishes),
        **_video(wishes),
        **_input(image),
        **_random(flavor),
        **_addresses(wishes),
        **_kernel(image),
        machine=image.get("hw_machine_type", ""),
        disk_bus=image.get("hw_disk_bus", "virtio"),
        cdrom_bus=image.get("hw_cdrom_bus", ""),
        scsi_model=image.get("hw_scsi_model", "virtio-scsi"),
        nic=image.get("hw_vif_model", "virtio"),
        multiqueue=_multiqueue(wishes),
        packed_ring=bool(wishes.flag("virtio_packed_ring")),
        agent=image.get("hw_qemu_guest_agent", False),
        admin_user=image.get("os_admin_user", ""),
        needs_quiesce=image.get("os_require_quiesce", False),
        windows=image.get("os_type") == "windows",
        watchdog=_watchdog(wishes),
        usb=choose(wishes.one("usb_model"), USB_CONTROLLERS, "USB controller model") or "",
        usb_redirections=_usb_redirections(wishes),
        sound=choose(wishes.one("sound_model"), SOUNDS, "sound device model") or "",
        iommu=choose(wishes.spec("viommu_model") or image.get("hw_viommu_model"), IOMMUS, "vIOMMU model") or "",
        serial_ports=_serial_ports(wishes),
        boot_menu=image.get("hw_boot_menu", is_true(wishes.spec("boot_menu") or "no")),
        sockets=0 if plain else shape.sockets,
        cores=0 if plain else shape.cores,
        threads=0 if plain else shape.threads,
        pmu=wishes.flag("pmu"),
        hpet=image.get("hw_time_hpet"),
        hidden=_is_hidden(wishes),
        locked_memory=exclusive.check_locked(wishes),
    )


def _firmware(wishes: Wishes) -> dict[str, Any]:
    policy = choose(wishes.one("secure_boot", "os"), SECURE_BOOTS, "secure boot policy") or "disabled"
    return {"firmware": wishes.image.get("hw_firmware_type", "bios"), "secure_boot": policy}


def _tpm(wishes: Wishes) -> dict[str, Any]:
    version = choose(wishes.one("tpm_version"), TPM_VERSIONS, "TPM version")
    if not version:
        return {}
    model = choose(wishes.one("tpm_model"), TPM_MODELS, "TPM model") or "tpm-tis"
    if (model, version) == ("tpm-crb", "1.2"):
        raise Invalid("TPM model CRB is only valid with TPM version 2.0.", code="Invalid")
    return {"tpm": version, "tpm_model": model}


def _video(wishes: Wishes) -> dict[str, Any]:
    memory = wishes.image.get("hw_video_ram", 0)
    most = number(wishes.flavor.extra_specs.get("hw_video:ram_max_mb"))
    if memory > most:
        raise Invalid(
            f"The requested amount of video memory {memory} is higher than the maximum allowed by flavor {most}.",
            code="RequestedVRamTooHigh",
        )
    return {"video": wishes.image.get("hw_video_model", ""), "video_ram": max(memory, 0)}


def _input(image: Mapping[str, Any]) -> dict[str, Any]:
    bus = image.get("hw_input_bus", "")
    return {"tablet": bus or ("usb" if image.get("hw_pointer_model") else ""), "keyboard": bus}


def _random(flavor: Flavor) -> dict[str, Any]:
    specs = flavor.extra_specs
    count = number(specs.get("hw_rng:rate_bytes"))
    return {
        "rng": is_true(specs.get("hw_rng:allowed", "true")),
        "rng_bytes": max(count, 0),
        "rng_period": max(number(specs.get("hw_rng:rate_period")), 0) if count else 0,
    }


def _addresses(wishes: Wishes) -> dict[str, Any]:
    mode = choose(wishes.one("maxphysaddr_mode"), ADDRESS_MODES, "Maxphyaddr mode")
    if not mode:
        return {}
    bits = number(wishes.spec("maxphysaddr_bits") or wishes.image.get("hw_maxphysaddr_bits"))
    return {"address_mode": mode, "address_bits": max(bits, 0)}


def _kernel(image: Mapping[str, Any]) -> dict[str, Any]:
    """An image may name the kernel to start it with; its own words for that kernel count only then."""
    if not image.get("kernel_id"):
        return {}
    return {
        "kernel_id": image["kernel_id"],
        "ramdisk_id": image.get("ramdisk_id", ""),
        "command_line": image.get("os_command_line", ""),
    }


def _watchdog(wishes: Wishes) -> str:
    action = wishes.image.get("hw_watchdog_action") or wishes.spec("watchdog_action") or "disabled"
    if action not in WATCHDOG_ACTIONS:
        raise Invalid(f"Provided watchdog action ({action}) is not supported.", code="InvalidWatchdogAction")
    return "" if action == "disabled" else str(action)


def _usb_redirections(wishes: Wishes) -> int:
    asked = wishes.one("redirected_usb_ports") or 0
    try:
        count = int(asked)
    except ValueError:
        raise Invalid(f'"{asked}" is not a valid integer.', code="Invalid") from None
    if count < 0:
        raise Invalid("You cannot have a negative number of USB ports.", code="Invalid")
    if count > MOST_USB_PORTS:
        raise Invalid(f"Nova only supports up to {MOST_USB_PORTS} USB ports.", code="Invalid")
    return count


def _serial_ports(wishes: Wishes) -> int:
    spec, word = wishes.pair("serial_port_count")
    try:
        most = int(spec or 0)
    except ValueError:
        raise Invalid(
            f"Number of serial ports specified in flavor is invalid: expected an integer, got '{spec}'",
            code="ImageSerialPortNumberInvalid",
        ) from None
    if most and word and word > most:
        raise Invalid(
            "Forbidden to exceed flavor value of number of serial ports passed in image meta.",
            code="ImageSerialPortNumberExceedFlavorValue",
        )
    return word or most or 1


def queues(flavor: Flavor, words: Mapping[str, str], name: str | None = None, image_id: str = "") -> int:
    """How many pairs of queues each interface has: one for each processor where that is asked for."""
    wishes = Wishes.of(flavor, words, name, image_id)
    is_virtio = wishes.image.get("hw_vif_model", "virtio") == "virtio"
    return min(flavor.vcpus, MOST_QUEUES) if is_virtio and _multiqueue(wishes) else 1


def _multiqueue(wishes: Wishes) -> bool:
    """One processor has nothing to share."""
    return wishes.flavor.vcpus > 1 and bool(wishes.flag("vif_multiqueue_enabled"))


def _is_hidden(wishes: Wishes) -> bool:
    specs = wishes.flavor.extra_specs
    asked = any(is_true(specs.get(name, "no")) for name in ("hide_hypervisor_id", "hw:hide_hypervisor_id"))
    return asked or bool(wishes.image.get("img_hide_hypervisor_id"))


def _check_packed_ring(flavor: Flavor, words: Mapping[str, str]) -> None:
    spec, word = flavor.extra_specs.get("hw:virtio_packed_ring"), words.get("hw_virtio_packed_ring")
    if spec is not None and word is not None and is_true(spec) != is_true(word):
        raise Invalid(
            f"Flavor has hw:virtio_packed_ring extra spec explicitly set to {is_true(spec)}, conflicting with image "
            f"which has hw_virtio_packed_ring explicitly set to {is_true(word)}.",
            code="FlavorImageConflict",
        )
