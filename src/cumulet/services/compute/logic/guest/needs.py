# SPDX-License-Identifier: Apache-2.0
"""What a host must have for a server's hardware, in placement's words: traits and resources."""

from __future__ import annotations

from collections.abc import Mapping

from cumulet.services.compute.logic import hosts
from cumulet.services.compute.logic.extra_specs import is_true
from cumulet.services.compute.logic.guest import encryption, hardware
from cumulet.services.compute.logic.guest.agreement import Wishes
from cumulet.services.compute.logic.numa import wanted as numa
from cumulet.services.compute.types import Flavor, Server

_NATIVE = ("x86_64", "i686")  # of all hosts
_SECURITY = "COMPUTE_SECURITY_"


def traits(flavor: Flavor, words: Mapping[str, str]) -> set[str]:
    """The traits that the image asks for by name, and those that its hardware needs. Invalid as `hardware.describe`."""
    wishes = Wishes.of(flavor, words)
    guest = hardware.of(wishes)
    needed = {name.removeprefix("trait:") for name, value in words.items() if _is_required(name, value)}
    if (architecture := wishes.image.get("hw_architecture", _NATIVE[0])) not in _NATIVE:
        needed.add(f"HW_ARCH_{architecture.upper()}")
    if emulated := wishes.image.get("hw_emulation_architecture"):
        needed.add(f"COMPUTE_ARCH_{emulated.upper()}")
    if guest.secure_boot == "required":
        needed.add(f"{_SECURITY}UEFI_SECURE_BOOT")
    if guest.tpm:
        version, model = guest.tpm.replace(".", "_"), guest.tpm_model.removeprefix("tpm-").upper()
        needed |= {f"{_SECURITY}TPM_{version}", f"{_SECURITY}TPM_{model}"}
        # Nobody's word means here what hosts offer.
        secrecy = wishes.spec("tpm_secret_security") or "host"
        needed.add(f"{_SECURITY}TPM_SECRET_SECURITY_{secrecy.upper()}")
    if wishes.image.get("hw_firmware_stateless") and guest.firmware == "uefi":
        needed.add(f"{_SECURITY}STATELESS_FIRMWARE")
    if guest.packed_ring:
        needed.add("COMPUTE_NET_VIRTIO_PACKED")
    if guest.address_mode:
        needed.add(f"COMPUTE_ADDRESS_SPACE_{'PASSTHROUGH' if guest.address_mode == 'passthrough' else 'EMULATED'}")
    if guest.sound == "virtio":
        needed.add("COMPUTE_SOUND_MODEL_VIRTIO")
    needed |= {name for name, wanted in numa.traits(wishes).items() if wanted}
    return needed | _encrypted_disks(wishes)


def has_tpm(server: Server) -> bool:
    words = server.image.get("properties", {})
    return bool(server.kind.extra_specs.get("hw:tpm_version") or words.get("hw_tpm_version"))


def unwanted_traits(flavor: Flavor, words: Mapping[str, str]) -> set[str]:
    """The traits that a host may not have."""
    if "hw:cpu_thread_policy" not in flavor.extra_specs and "hw_cpu_thread_policy" not in words:
        return set()
    return {name for name, wanted in numa.traits(Wishes.of(flavor, words)).items() if not wanted}


def claim(flavor: Flavor, words: Mapping[str, str], *, with_disk: bool) -> dict[str, int]:
    """All that a server takes of its host in placement, by class."""
    found = hosts.resources(flavor, with_disk=with_disk) | resources(flavor, words)
    return {name: amount for name, amount in found.items() if amount}


def resources(flavor: Flavor, words: Mapping[str, str]) -> dict[str, int]:
    """What else of a host a server takes, or takes in the stead of what the flavor says: processors of its own, a
    context of encrypted memory (hosts have none to offer yet)."""
    wishes = Wishes.of(flavor, words)
    found = {"MEM_ENCRYPTION_CONTEXT": 1} if encryption.is_wanted(wishes) else {}
    return {**found, **numa.resources(numa.of(wishes))}


def _encrypted_disks(wishes: Wishes) -> set[str]:
    spec, word = wishes.pair("ephemeral_encryption")
    if not (is_true(spec or "no") or word):
        return set()
    disk_format = wishes.one("ephemeral_encryption_format")
    name = "COMPUTE_EPHEMERAL_ENCRYPTION"
    return {name} | ({f"{name}_{disk_format.upper()}"} if disk_format else set())


def _is_required(name: str, value: str) -> bool:
    return name.startswith("trait:") and value == "required"
