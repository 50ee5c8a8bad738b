# SPDX-License-Identifier: Apache-2.0
"""What a hypervisor can give its guests, in placement's names for it."""

from __future__ import annotations

from collections.abc import Iterable

TPM = ("TPM_1_2", "TPM_2_0", "TPM_TIS", "TPM_CRB", "TPM_SECRET_SECURITY_HOST")


def names(
    *,
    buses: Iterable[str],
    interfaces: Iterable[str],
    cards: Iterable[str],
    sounds: Iterable[str],
    iommus: Iterable[str],
    tpm: bool,
    secure_boot: bool,
    addresses: bool,
) -> list[str]:
    """The traits for models by their names in image properties; `addresses`: the width of addresses can be chosen."""
    families = {
        "COMPUTE_STORAGE_BUS": buses,
        "COMPUTE_NET_VIF_MODEL": interfaces,
        "COMPUTE_GRAPHICS_MODEL": [*cards, "none"],
        "COMPUTE_SOUND_MODEL": sounds,
        "COMPUTE_VIOMMU_MODEL": iommus,
    }
    found = [f"{family}_{model.replace('-', '_').upper()}" for family, models in families.items() for model in models]
    found += ["COMPUTE_NET_VIRTIO_PACKED", "COMPUTE_ARCH_X86_64", "HW_ARCH_X86_64"]
    if tpm:
        found += [f"COMPUTE_SECURITY_{name}" for name in TPM]
    if secure_boot:
        found.append("COMPUTE_SECURITY_UEFI_SECURE_BOOT")
    if addresses:
        found += ["COMPUTE_ADDRESS_SPACE_PASSTHROUGH", "COMPUTE_ADDRESS_SPACE_EMULATED"]
    return sorted(found)
