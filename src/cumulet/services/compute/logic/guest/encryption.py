# SPDX-License-Identifier: Apache-2.0
"""Encrypted memory: what must be true of image and flavor before a host is looked for that has it."""

from __future__ import annotations

from cumulet.kernel.errors import Invalid
from cumulet.services.compute.logic.extra_specs import is_true
from cumulet.services.compute.logic.guest.agreement import Wishes

MODELS = ("amd-sev", "amd-sev-es", "amd-sev-snp", "intel-tdx")
_STATELESS = ("amd-sev-snp", "intel-tdx")
_MACHINE = "q35"


def is_wanted(wishes: Wishes) -> bool:
    return is_true(wishes.spec("mem_encryption") or "no") or bool(wishes.image.get("hw_mem_encryption"))


def check(wishes: Wishes) -> None:
    """Raise Invalid where encryption is asked for with firmware, a machine or words that do not go with it."""
    if not is_wanted(wishes):
        return
    spec, word = wishes.pair("mem_encryption")
    wanted = None if spec is None else is_true(spec)
    if wanted is not None and word is not None and wanted != word:
        raise _conflict(wishes, "mem_encryption", spec, word)
    spec_model, word_model = wishes.pair("mem_encryption_model")
    if None not in (spec_model, word_model) and spec_model != word_model:
        raise _conflict(wishes, "mem_encryption_model", spec_model, word_model)
    model = word_model or spec_model or MODELS[0]
    if model not in MODELS:
        raise Invalid(f"Invalid memory encryption model {model!r}. Allowed values: {', '.join(MODELS)}.")
    _check_firmware(wishes, [name for name, asks in _askers(wishes, wanted, word) if asks])
    _check_machine(wishes, model)
    if model in _STATELESS and not wishes.image.get("hw_firmware_stateless"):
        raise Invalid(
            f"The {model} memory encryption model requires stateless firmware but the image metadata doesn't have the "
            "'hw_firmware_stateless' property set to True",
            code="StatelessFirmwareRequired",
        )


def _askers(wishes: Wishes, spec: bool | None, word: bool | None) -> list[tuple[str, bool]]:
    return [
        (f"hw:mem_encryption extra spec in {wishes.flavor.name} flavor", bool(spec)),
        (f"hw_mem_encryption property of image {wishes.image_id}", bool(word)),
    ]


def _check_firmware(wishes: Wishes, askers: list[str]) -> None:
    if wishes.image.get("hw_firmware_type") != "uefi":
        raise Invalid(
            f"Memory encryption is requested by {' and '.join(askers)} but the image metadata doesn't have the "
            "'hw_firmware_type' property set to 'uefi'",
            code="FlavorImageConflict",
        )


def _check_machine(wishes: Wishes, model: str) -> None:
    machine = wishes.image.get("hw_machine_type")
    if machine is not None and _MACHINE not in machine:
        raise Invalid(
            f"Machine type '{machine}' is not compatible with image {wishes.image_name} ({wishes.image_id}): "
            f"{_MACHINE} type is required for {model} to work",
            code="InvalidMachineType",
        )


def _conflict(wishes: Wishes, key: str, spec: object, word: object) -> Invalid:
    return Invalid(
        f"Flavor {wishes.flavor.name} has hw:{key} extra spec explicitly set to {spec}, conflicting with image "
        f"{wishes.image_name} which has hw_{key} property explicitly set to {word}",
        code="FlavorImageConflict",
    )
